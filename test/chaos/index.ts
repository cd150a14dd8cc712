/**
 * `npm run chaos -- --seed N --runs M [--from K] [--keep]`: deploys random graphs on Windlass as users run it on
 * servers, while parts of it and the tools are killed, and checks that nothing is lost, stuck or done twice.
 */
import { parseArgs } from 'node:util';
import { Client as TemporalClient, Connection } from '@temporalio/client';
import { Client as DatabaseClient } from 'pg';
import { createChaosClient } from './client.ts';
import { startCluster } from './cluster.ts';
import { oneRun } from './one-run.ts';
import type { RunReport } from './one-run.ts';

const print = (text: string): void => void process.stdout.write(`${text}\n`);

function printRun(seed: number, report: RunReport): void {
  const { run, nodes, kills, seconds, quietSeconds, violations, story } = report;
  const killed = kills.map(
    ({ kind, atMs, tools }) => `${kind}@${(atMs / 1000).toFixed(1)}${tools.length > 0 ? `(${tools.join()})` : ''}`,
  );
  const verdict = violations.length === 0 ? 'ok' : `${violations.length} VIOLATIONS`;
  print(
    `run ${run}: ${verdict}; ${nodes} nodes, killed ${killed.join(' ') || 'nothing'}; ${seconds.toFixed(1)} s, quiet after ${quietSeconds.toFixed(1)} s`,
  );
  for (const line of story) print(`    ${line}`);
  for (const violation of violations) print(`  VIOLATION ${violation}`);
  if (violations.length > 0) print(`  repeat: npm run chaos -- --seed ${seed} --from ${run} --runs 1`);
}

function printSummary(reports: readonly RunReport[], seconds: number, endedAlone: readonly string[]): number {
  const kinds: Record<string, number> = {};
  for (const { kind } of reports.flatMap(({ kills }) => kills)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  const violations = reports.flatMap(({ run, violations: found }) => found.map((text) => `run ${run}: ${text}`));
  print(
    `\nruns ${reports.length}, kills ${JSON.stringify(kinds)}, violations ${violations.length}, ${seconds.toFixed(0)} s`,
  );
  for (const text of violations) print(`  ${text}`);
  if (endedAlone.length > 0) print(`parts that ended by themselves: ${endedAlone.length}`);
  for (const text of endedAlone.slice(0, 20)) print(`  ${text.replaceAll('\n', '\n    ')}`);
  return violations.length;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '10' },
      from: { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
    },
  });
  const [seed, runs, from] = [Number(values.seed), Number(values.runs), Number(values.from)];
  if (![seed, runs, from].every(Number.isSafeInteger)) throw new Error('--seed, --runs and --from are whole numbers');
  const begunMs = Date.now();
  const cluster = await startCluster();
  print(`seed ${seed}; files in ${cluster.directory}`);
  const database = new DatabaseClient({ connectionString: cluster.databaseUrl });
  const connection = Connection.lazy({ address: cluster.temporalAddress });
  const reports: RunReport[] = [];
  let violations = 0;
  const stop = async (): Promise<void> => {
    await database.end();
    await connection.close();
    await cluster.stop({ keepFiles: values.keep || violations > 0 });
  };
  try {
    await database.connect();
    const parts = {
      cluster,
      client: createChaosClient(cluster),
      database,
      temporal: new TemporalClient({ connection }),
    };
    for (let run = from; run < from + runs; run++) {
      const report = await oneRun(parts, seed, run);
      reports.push(report);
      printRun(seed, report);
      violations += report.violations.length;
    }
  } finally {
    violations = Math.max(violations, printSummary(reports, (Date.now() - begunMs) / 1000, cluster.endedAlone));
    await stop();
  }
  process.exitCode = violations > 0 ? 1 : 0;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 2;
});
