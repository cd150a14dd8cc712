/**
 * What a Temporal cluster of seven processes on PostgreSQL carries: graphs of nodes without anything to do are deployed at
 * once by a server and two workers, and the processor time of each part is counted.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres } from '../test/support/postgres.ts';
import { freePort, processesOf, startServer, startWorker } from '../test/support/processes.ts';
import { startTemporalCluster, temporalServices } from '../test/support/temporal-cluster.ts';
import { fanOut, writeWindlass } from './graphs.ts';

export interface Capacity {
  readonly nodes: number;
  readonly seconds: number;
  /** Processor time in milliseconds that each part took for one node. */
  readonly cpuMsPerNode: Readonly<Record<'temporal' | 'postgres' | 'api' | 'workers', number>>;
}

const environments = 5;
const nodesEach = 200;

/** User and system time in seconds; nothing for a process that has ended. */
function cpuSecondsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}
const sumOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);

/** Starts everything, deploys once to warm up and once to measure, and ends it. */
export async function measureCapacity(root: string): Promise<Capacity> {
  const directory = (name: string): string => {
    const path = join(root, 'capacity', name, 'data');
    mkdirSync(path, { recursive: true });
    return path;
  };
  const postgres = await startPostgres({ settings: ['synchronous_commit=on', 'max_connections=300'] });
  const temporal = await startTemporalCluster(postgres, directory('temporal'));
  const port = await freePort();
  const env = {
    WINDLASS_DATABASE_URL: await postgres.createDatabase('windlass'),
    TEMPORAL_ADDRESS: temporal.address,
    WINDLASS_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    WINDLASS_STATE_URL: `http://127.0.0.1:${port}`,
  };
  const api = await startServer({ dataDirectory: directory('api'), port, env });
  const workers = [startWorker(directory('worker-1'), env), startWorker(directory('worker-2'), env)];
  const { client } = api;
  try {
    const source = join(root, 'capacity-source');
    mkdirSync(source, { recursive: true });
    writeWindlass(source, fanOut(nodesEach), 'noop');
    await client.createTemplate({ name: 'capacity', type: 'workflow', source: { kind: 'local', directory: source } });
    const ids: string[] = [];
    for (let index = 0; index < environments; index++)
      ids.push((await client.createEnvironment({ name: `capacity-${index}`, template: 'capacity' })).id);
    const deployAll = async (): Promise<void> => {
      const runs = await Promise.all(ids.map((id) => client.start(id, { force: true })));
      for (const { id } of runs) {
        const { status, error } = await client.ended(id);
        if (status !== 'succeeded') throw new Error(`the bench's own run ended ${status}: ${error?.message}`);
      }
    };
    await deployAll();
    const parts = (): Record<keyof Capacity['cpuMsPerNode'], number> => ({
      temporal: sumOf(temporalServices.map((service) => temporal.process(service).pid)),
      postgres: sumOf(processesOf(postgres.directory).map(({ pid }) => pid)),
      api: cpuSecondsOf(api.pid),
      workers: sumOf(workers.map(({ pid }) => pid)),
    });
    const before = parts();
    const begun = performance.now();
    await deployAll();
    const seconds = (performance.now() - begun) / 1000;
    const after = parts();
    const nodes = environments * nodesEach;
    const perNode = (part: keyof Capacity['cpuMsPerNode']): number => ((after[part] - before[part]) * 1000) / nodes;
    return {
      nodes,
      seconds,
      cpuMsPerNode: {
        temporal: perNode('temporal'),
        postgres: perNode('postgres'),
        api: perNode('api'),
        workers: perNode('workers'),
      },
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await api.stop();
    await temporal.stop();
    await postgres.stop();
  }
}

export function capacityLines({ nodes, seconds, cpuMsPerNode }: Capacity): string[] {
  const total = Object.values(cpuMsPerNode).reduce((sum, ms) => sum + ms, 0);
  return [
    '',
    `a Temporal cluster of seven processes: ${nodes} nodes in ${seconds.toFixed(1)} s, ${(nodes / seconds).toFixed(0)} a second`,
    ...Object.entries(cpuMsPerNode).map(
      ([part, ms]) => `  ${part.padEnd(10)} ${ms.toFixed(1)} ms of a processor a node`,
    ),
    `  ${'together'.padEnd(10)} ${total.toFixed(1)} ms: a core carries ${(1000 / total).toFixed(0)} nodes a second`,
  ];
}
