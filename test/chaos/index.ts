/**
 * `npm run chaos -- [--seed N] [--runs M] [--parallel P] [--from K] [--report FILE] [--keep]
 * [--temporal server|cluster]`: deploys random graphs on
 * Windlass as users run it on servers, while parts of it and the tools are killed, and checks that nothing is lost, stuck
 * or done twice.
 */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Client as TemporalClient, Connection } from '@temporalio/client';
import { Pool } from 'pg';
import type { Counts } from './actions.ts';
import { createChaosClient } from './client.ts';
import { startCluster } from './cluster.ts';
import type { Cluster, TemporalKind } from './cluster.ts';
import { releaseMonkey } from './monkey.ts';
import { oneRun } from './one-run.ts';
import type { RunParts, RunReport } from './one-run.ts';
import { createRandom } from './random.ts';
import { countViolations, runLines, summaryLines, writeReport } from './report.ts';
import type { SeriesReport } from './report.ts';

const print = (lines: readonly string[]): void => void process.stdout.write(lines.map((line) => `${line}\n`).join(''));

function temporalKind(text: string): TemporalKind {
  if (text === 'server' || text === 'cluster') return text;
  throw new Error('--temporal is server or cluster');
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '10' },
      parallel: { type: 'string', default: '6' },
      from: { type: 'string', default: '0' },
      report: { type: 'string' },
      keep: { type: 'boolean', default: false },
      temporal: { type: 'string', default: 'server' },
    },
  });
  const whole = (name: 'seed' | 'runs' | 'parallel' | 'from', least: number): number => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} is a whole number from ${least}`);
    return value;
  };
  const { report, keep } = values;
  return {
    seed: whole('seed', 0),
    runs: whole('runs', 1),
    parallel: whole('parallel', 1),
    from: whole('from', 0),
    report,
    keep,
    temporal: temporalKind(values.temporal),
  };
}

/** Works off the numbers, several at a time. */
async function inParallel(
  numbers: readonly number[],
  parallel: number,
  work: (next: number) => Promise<void>,
): Promise<void> {
  const left = [...numbers];
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

/** What a series must not leave behind anywhere, whatever run it belonged to. */
async function findLeftOver({ cluster, database, temporal }: RunParts): Promise<string[]> {
  const rows = async (what: string, text: string): Promise<string[]> =>
    (await database.query<object>(text)).rows.map((row) => `${what}: ${JSON.stringify(row)}`);
  const open: string[] = [];
  // What is listed lags behind what is.
  for (const deadline = Date.now() + 30_000; ; await delay(500)) {
    open.length = 0;
    const query = `ExecutionStatus = 'Running' AND (WorkflowType = 'deployment' OR WorkflowType = 'subEnvironment')`;
    for await (const { workflowId } of temporal.workflow.list({ query }))
      open.push(`a workflow is open: ${workflowId}`);
    if (open.length === 0 || Date.now() > deadline) break;
  }
  return [
    ...open,
    ...(await rows('locked', 'SELECT environment_id, info FROM state_locks')),
    ...(await rows('not over', 'SELECT id, status FROM deployments WHERE finished_at IS NULL')),
    ...(await rows('pending', "SELECT id FROM approvals WHERE status = 'pending'")),
    ...(await rows('in progress', "SELECT id, status FROM environments WHERE status LIKE '%InProgress'")),
    ...cluster.tools().map((tool) => `a tool still runs: ${JSON.stringify(tool)}`),
  ];
}

/** Not even its beginning could be made. */
function brokenOff(run: number, error: unknown): RunReport {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { run, nodes: 0, kills: [], story: [], endings: [], violations: [`it broke off: ${why}`], seconds: 0 };
}

async function runSeries(cluster: Cluster, options: ReturnType<typeof readOptions>): Promise<SeriesReport> {
  const { seed, runs, parallel, from } = options;
  const begunMs = Date.now();
  const database = new Pool({ connectionString: cluster.databaseUrl, max: 4 });
  const connection = Connection.lazy({ address: cluster.temporalAddress });
  const counts: Counts = {};
  const reports: RunReport[] = [];
  const leftOver: string[] = [];
  const monkey = releaseMonkey(cluster, createRandom(seed, from, 1));
  const client = createChaosClient(cluster);
  const parts: RunParts = { cluster, client, database, temporal: new TemporalClient({ connection }), monkey, counts };
  try {
    await inParallel(
      Array.from({ length: runs }, (_, at) => from + at),
      parallel,
      async (run) => {
        const report = await oneRun(parts, seed, run).catch((error: unknown) => brokenOff(run, error));
        reports.push(report);
        print(runLines(seed, report));
      },
    );
    await monkey.stop();
    await cluster.ready();
    leftOver.push(...(await findLeftOver(parts)));
  } finally {
    await monkey.stop();
    await database.end();
    await connection.close();
  }
  const seconds = (Date.now() - begunMs) / 1000;
  return { seed, parallel, seconds, reports, kills: monkey.kills, counts, endedAlone: cluster.endedAlone, leftOver };
}

async function main(): Promise<void> {
  const options = readOptions();
  const cluster = await startCluster(options.temporal);
  let keepFiles = true;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void cluster.stop({ keepFiles: options.keep }).finally(() => process.exit(130)));
  try {
    print([`seed ${options.seed}; files in ${cluster.directory}`]);
    const series = await runSeries(cluster, options);
    print(summaryLines(series));
    if (options.report !== undefined) writeReport(options.report, series);
    const violations = countViolations(series);
    keepFiles = options.keep || violations > 0;
    process.exitCode = violations > 0 ? 1 : 0;
  } finally {
    await cluster.stop({ keepFiles });
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 2;
});
