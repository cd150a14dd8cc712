import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from './postgres.ts';
import type { TestPostgres } from './postgres.ts';
import { freePort, startPoolWorker, startServer, startTemporal, startWorker } from './processes.ts';
import type { TestApi, TestProcess, TestTemporal } from './processes.ts';
import { toolPath } from './tools.ts';

/** PostgreSQL, Temporal, `windlass server` and workers, each a process of its own that can be killed and started again. */
export interface TestCluster {
  readonly root: string;
  /** Of the database of Windlass. */
  readonly databaseUrl: string;
  readonly postgres: TestPostgres;
  /** Replaced by the `start…` functions. */
  temporal: TestTemporal;
  api: TestApi;
  readonly workers: TestProcess[];
  startTemporal(): Promise<void>;
  startApi(): Promise<void>;
  /** One more `windlass server`, which the caller ends. */
  startAnotherApi(): Promise<TestApi>;
  /** All workers of one machine share a data directory; another name stands for another directory on it. */
  startWorker(directory?: string): TestProcess;
  /** A worker of a runner pool, on a machine directory of its own. */
  startPoolWorker(pool: { readonly name: string; readonly token: string }, directory?: string): TestProcess;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly workers: number;
  /** Settings of API and workers besides. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startCluster(options: ClusterOptions): Promise<TestCluster> {
  const root = mkdtempSync(join(tmpdir(), 'windlass-cluster-'));
  const directory = (name: string): string => {
    const path = join(root, name, 'data');
    mkdirSync(path, { recursive: true });
    return path;
  };
  // What was committed must be there after a crash, as on any server that is set up for use.
  const postgres = await startPostgres({ settings: ['synchronous_commit=on'] });
  const ports = { port: await freePort(), uiPort: await freePort() };
  const port = await freePort();
  const databaseUrl = await postgres.createDatabase('windlass');
  const env = {
    WINDLASS_DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.port}`,
    WINDLASS_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    WINDLASS_STATE_URL: `http://127.0.0.1:${port}`,
    ...options.env,
  };
  const temporal = (): Promise<TestTemporal> => startTemporal(toolPath('temporal'), root, ports);
  const api = (): Promise<TestApi> => startServer({ dataDirectory: directory('server'), port, env });
  const workers: TestProcess[] = [];
  const first = await temporal().catch(async (error: unknown) => {
    await postgres.stop();
    throw error;
  });
  const server = await api().catch(async (error: unknown) => {
    await first.kill();
    await postgres.stop();
    throw error;
  });
  const cluster: TestCluster = {
    root,
    databaseUrl,
    postgres,
    temporal: first,
    api: server,
    workers,
    async startTemporal() {
      cluster.temporal = await temporal();
    },
    async startApi() {
      cluster.api = await api();
    },
    async startAnotherApi() {
      const dataDirectory = directory('other-server');
      // The administrator's key is told once, to the server that has made it.
      cpSync(join(directory('server'), 'administrator.token'), join(dataDirectory, 'administrator.token'));
      return startServer({ dataDirectory, port: await freePort(), env });
    },
    startWorker(name = 'worker') {
      const worker = startWorker(directory(name), env);
      workers.push(worker);
      return worker;
    },
    startPoolWorker(pool, name = `pool-${pool.name}`) {
      const { url } = cluster.api.client;
      const worker = startPoolWorker(directory(name), { ...pool, url, temporalAddress: env.TEMPORAL_ADDRESS });
      workers.push(worker);
      return worker;
    },
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop()));
      await cluster.api.stop();
      await cluster.temporal.stop();
      await postgres.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
  for (let count = 0; count < options.workers; count++) cluster.startWorker();
  return cluster;
}
