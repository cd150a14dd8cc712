/**
 * `npm run bench`: the engine beside a bare Temporal workflow of the same shape, and real stacks beside `make -j`, in the
 * same run; how soon another worker takes over; and how the API answers under load. Prints tables and writes JSON.
 * `npm run bench -- engine`, `-- tools`, `-- takeover` or `-- load` runs one part; `-- load 50 200 1` is a smaller load:
 * environments, streams, waves. `-- cluster`, which is no part of the whole, counts what a Temporal cluster carries.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { loadConfig } from '../src/config.ts';
import { createToolLocator, findRunning, startTemporalServer } from '../src/embedded/index.ts';
import type { Deployment } from '../src/model/index.ts';
import { isTerminalDeployment } from '../src/model/index.ts';
import { capacityLines, measureCapacity } from './capacity.ts';
import { chain, depth, fanOut, random, shop, writeMake, writeWindlass } from './graphs.ts';
import type { Shape, StackKind } from './graphs.ts';
import { measureLoad, startClusterTarget, startEmbeddedTarget } from './load.ts';
import type { LoadRow } from './load.ts';
import { measureTakeover } from './takeover.ts';
import type { Takeover } from './takeover.ts';

interface Row {
  readonly name: string;
  readonly nodes: number;
  readonly windlassMs: number;
  readonly baselineMs: number;
  readonly baseline: string;
  readonly ratio: number;
  /** What the project holds itself to; null where it has set none. */
  readonly limit: number | null;
  readonly eventsPerNode?: number;
  readonly longestHistory?: number;
  readonly peakMemoryMb?: number;
}

const rounds = 3;
const usualLoad = [200, 500, 3] as const;
/** The end is read from the records, so looking seldom costs no precision and disturbs least. */
const lookEveryMs = 400;
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const secondsOf = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

async function main(): Promise<void> {
  const only = process.argv[2];
  const root = mkdtempSync(join(tmpdir(), 'windlass-bench-'));
  const data = join(root, 'data');
  const config = loadConfig({ ...process.env, WINDLASS_DATA: data });
  const tools = createToolLocator(config);
  const [tofu, temporalProgram] = await Promise.all([tools.find('tofu'), tools.find('temporal')]);
  const temporal = await startTemporalServer({ program: temporalProgram, dataDirectory: root, namespace: 'default' });
  const server = await startServer(data, temporal.address);
  const bench = await openBench(root, server, temporal.address, tofu);
  const rows: Row[] = [];
  const takeovers: Takeover[] = [];
  const loads: LoadRow[] = [];
  try {
    if (only === undefined || only === 'engine') {
      const short = await bench.engine('chain of 20', 'bareChain', chain(20), 5, null);
      const long = await bench.engine('chain of 60', 'bareChain', chain(60), 5, null);
      rows.push(short, long, hopOf(short, long));
      rows.push(await bench.engine('fan-out of 100', 'bareFanOut', fanOut(100), 5));
      rows.push(await bench.engine('fan-out of 500', 'bareFanOut', fanOut(500), rounds));
      rows.push(await bench.engine('fan-out of 2000', 'bareFanOut', fanOut(2000), 1));
    }
    if (only === undefined || only === 'tools') {
      rows.push(await bench.tools('six-stack example', shop, 'empty', null));
      rows.push(await bench.tools('50 near-empty stacks', random(50), 'empty', 2));
      rows.push(await bench.tools('50 two-second stacks', random(50), 'twoSeconds', 1.1));
    }
    if (only === undefined || only === 'takeover') {
      // A namespace of its own would do as well, but the queues of the other server must not take its work.
      await server.stop();
      const { cacheDirectory } = config;
      takeovers.push(await measureTakeover({ root, temporalAddress: temporal.address, tofu, cacheDirectory, rounds }));
    }
    if (only === undefined || only === 'load') {
      await server.stop();
      for (const start of [() => startEmbeddedTarget(root), startClusterTarget]) {
        const target = await start();
        try {
          const [environments = 0, streams = 0, waves = 0] = usualLoad.map((usual, at) =>
            Number(process.argv[3 + at] ?? usual),
          );
          loads.push(await measureLoad(target, root, { environments, streams, waves }));
        } finally {
          await target.stop();
        }
      }
    }
    if (only === 'cluster') {
      await server.stop();
      console.log(capacityLines(await measureCapacity(root)).join('\n'));
    }
  } finally {
    await bench.close();
    await server.stop();
    await temporal.stop();
    rmSync(root, { recursive: true, force: true });
  }
  report(rows, takeovers, loads);
}

interface Server {
  readonly url: string;
  readonly token: string;
  /** Resident memory of the process, in bytes. */
  memory(): number;
  stop(): Promise<void>;
}

/** Windlass as a user runs it, in a process of its own, on the same Temporal as the bare workflows. */
async function startServer(data: string, temporalAddress: string): Promise<Server> {
  const main = join(__dirname, '..', 'src', 'cli', 'main.js');
  const env = {
    ...process.env,
    WINDLASS_DATA: data,
    WINDLASS_PORT: '0',
    TEMPORAL_ADDRESS: temporalAddress,
    WINDLASS_LOG_LEVEL: 'warn',
  };
  const child = spawn(process.execPath, [main, 'up'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  for (;;) {
    const url = findRunning(data)?.url;
    if (url) {
      const token = readFileSync(join(data, 'administrator.token'), 'utf8').trim();
      const memory = (): number =>
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
      return { url, token, memory, stop: () => (child.kill('SIGTERM'), ended) };
    }
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function openBench(root: string, server: Server, address: string, tofu: string) {
  const { url, token } = server;
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const native = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection: native,
    taskQueue: 'bench-bare',
    workflowsPath: require.resolve('./bare-workflows'),
    activities: { noop: (index: number) => Promise.resolve(`node ${index}`) },
  });
  const working = worker.run();

  const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };

  let serial = 0;
  const prepare = async (shape: Shape, kind: StackKind): Promise<string> => {
    const name = `bench-${++serial}`;
    const directory = join(root, name);
    mkdirSync(directory);
    writeWindlass(directory, shape, kind);
    await api('POST', '/templates', { name, type: 'workflow', source: { kind: 'local', directory } });
    const environment = await api<{ id: string }>('POST', '/environments', { name, template: name });
    return environment.id;
  };
  /** From the request to the end as the records have it. */
  const deploy = async (environmentId: string): Promise<{ deployment: Deployment; ms: number }> => {
    const begun = await api<Deployment>('POST', `/environments/${environmentId}/deployments`, {});
    for (;;) {
      const deployment = await api<Deployment>('GET', `/deployments/${begun.id}`);
      if (isTerminalDeployment(deployment.status)) {
        if (deployment.status !== 'succeeded')
          throw new Error(`the bench's own run ended ${deployment.status}: ${JSON.stringify(deployment.error)}`);
        return { deployment, ms: Date.parse(deployment.finishedAt ?? '') - Date.parse(deployment.queuedAt) };
      }
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  };
  const histories = async (deploymentId: string): Promise<{ events: number; longest: number }> => {
    const runs: string[] = [];
    let runId: string | undefined;
    let longest = 0;
    let events = 0;
    for await (const info of client.workflow.list({ query: `WorkflowId = "deployment:${deploymentId}"` }))
      runs.push(info.runId);
    for (runId of runs) {
      const { historyLength } = await client.workflow.getHandle(`deployment:${deploymentId}`, runId).describe();
      longest = Math.max(longest, historyLength);
      events += historyLength;
    }
    return { events, longest };
  };

  return {
    async engine(
      name: string,
      workflow: string,
      shape: Shape,
      times: number,
      limit: number | null = 1.5,
    ): Promise<Row> {
      const ours: number[] = [];
      const bare: number[] = [];
      let last: Deployment | null = null;
      let peak = 0;
      const watching = setInterval(() => (peak = Math.max(peak, server.memory())), 200);
      for (let round = 0; round < times; round++) {
        const environmentId = await prepare(shape, 'noop');
        const result = await deploy(environmentId);
        last = result.deployment;
        ours.push(result.ms);
        const begun = performance.now();
        await client.workflow.execute(workflow, {
          taskQueue: 'bench-bare',
          workflowId: `bare-${name}-${round}`,
          args: [shape.length],
        });
        bare.push(performance.now() - begun);
      }
      clearInterval(watching);
      const found = last === null ? { events: 0, longest: 0 } : await histories(last.id);
      return row(name, shape, ours, bare, 'bare Temporal', limit, {
        eventsPerNode: Number((found.events / shape.length).toFixed(1)),
        longestHistory: found.longest,
        peakMemoryMb: Math.round(peak / 1024 / 1024),
      });
    },
    async tools(name: string, shape: Shape, kind: Exclude<StackKind, 'noop'>, limit: number | null): Promise<Row> {
      const ours: number[] = [];
      const made: number[] = [];
      for (let round = 0; round < (kind === 'twoSeconds' ? 1 : rounds); round++) {
        const environmentId = await prepare(shape, kind);
        ours.push((await deploy(environmentId)).ms);
        const directory = join(root, `make-${++serial}`);
        mkdirSync(directory);
        writeMake(directory, shape, kind, tofu);
        const begun = performance.now();
        const { TF_CLI_CONFIG_FILE: _, ...environment } = process.env;
        const result = spawnSync('make', ['-j'], { cwd: directory, env: environment, encoding: 'utf8' });
        if (result.status !== 0) throw new Error(`make failed: ${result.stderr}`);
        made.push(performance.now() - begun);
      }
      return row(`${name} (depth ${depth(shape)})`, shape, ours, made, 'make -j', limit, {});
    },
    async close(): Promise<void> {
      worker.shutdown();
      await working;
      await native.close();
      await connection.close();
    },
  };
}

function row(
  name: string,
  shape: Shape,
  ours: number[],
  other: number[],
  baseline: string,
  limit: number | null,
  more: Partial<Row>,
): Row {
  const windlassMs = Math.round(median(ours));
  const baselineMs = Math.round(median(other));
  const made: Row = {
    name,
    nodes: shape.length,
    windlassMs,
    baselineMs,
    baseline,
    ratio: Number((windlassMs / baselineMs).toFixed(2)),
    limit,
    ...more,
  };
  console.log(
    `${made.name}: ${secondsOf(windlassMs)} against ${secondsOf(baselineMs)} ${baseline}, ratio ${made.ratio} (limit ${limit ?? 'none'})`,
  );
  return made;
}

/** What the chain grows by a node: without the beginning and the end of a run, which do not grow with it. */
function hopOf(short: Row, long: Row): Row {
  const nodes = long.nodes - short.nodes;
  const windlassMs = (long.windlassMs - short.windlassMs) / nodes;
  const baselineMs = (long.baselineMs - short.baselineMs) / nodes;
  const ratio = Number((windlassMs / baselineMs).toFixed(2));
  console.log(`one hop: ${windlassMs.toFixed(1)} ms against ${baselineMs.toFixed(1)} ms, ratio ${ratio} (limit 1.5)`);
  return { name: 'one hop of a chain', nodes: 1, windlassMs, baselineMs, baseline: long.baseline, ratio, limit: 1.5 };
}

function report(rows: readonly Row[], takeovers: readonly Takeover[], loads: readonly LoadRow[]): void {
  if (rows.length > 0) printRows(rows);
  for (const made of loads) {
    console.log(
      `\n${made.environments} environments at once, ${made.streams} streams, ${made.waves} waves: ${made.name}\n` +
        `  a list            ${made.p50Ms} ms (median), ${made.p99Ms} ms (p99), ${made.worstMs} ms (worst) of ${made.lists}, limit of p99 ${made.limitMs} ms\n` +
        `  a wave            ${secondsOf(made.waveMs)}, ${made.lost} runs or streams lost\n` +
        `  the API's process ${made.memoryMb.join(', ')} MB after each wave, ${made.cpuSeconds} s of processor time`,
    );
  }
  for (const made of takeovers) {
    console.log(
      `\n${made.name}, ${made.rounds} times\n` +
        `  taken over after  ${secondsOf(made.medianMs)} (median), ${secondsOf(made.worstMs)} (worst), limit ${secondsOf(made.limitMs)}\n` +
        `  run ended after   ${secondsOf(made.endMedianMs)} (median), ${secondsOf(made.endWorstMs)} (worst)`,
    );
  }
  const directory = join(process.cwd(), 'bench', 'results');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'latest.json');
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
  const machine = { cores: cpus().length, memoryGib: Math.round(totalmem() / 2 ** 30), node: process.version };
  writeFileSync(
    file,
    `${JSON.stringify({ at: new Date().toISOString(), commit, machine, rows, takeovers, loads }, null, 2)}\n`,
  );
  console.log(`\nwritten to ${file}`);
}

function printRows(rows: readonly Row[]): void {
  console.log(
    `\n${'what'.padEnd(36)}${'windlass'.padStart(10)}${'baseline'.padStart(12)}${'ratio'.padStart(8)}${'limit'.padStart(7)}${'per node'.padStart(10)}${'events'.padStart(8)}${'longest'.padStart(9)}${'memory'.padStart(9)}`,
  );
  for (const made of rows) {
    console.log(
      made.name.padEnd(36) +
        secondsOf(made.windlassMs).padStart(10) +
        secondsOf(made.baselineMs).padStart(12) +
        String(made.ratio).padStart(8) +
        String(made.limit ?? '-').padStart(7) +
        `${(made.windlassMs / made.nodes).toFixed(0)} ms`.padStart(10) +
        String(made.eventsPerNode ?? '').padStart(8) +
        String(made.longestHistory ?? '').padStart(9) +
        (made.peakMemoryMb === undefined ? '' : `${made.peakMemoryMb} MB`).padStart(9),
    );
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
