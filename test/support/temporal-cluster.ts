import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { startProcess, tailOf } from './processes.ts';
import type { TestProcess } from './processes.ts';
import type { TestPostgres } from './postgres.ts';
import { temporalClusterProgram, toolPath } from './tools.ts';

const run = promisify(execFile);

/** The services of the cluster, each a process; of those that carry the load there are two. */
export const temporalServices = [
  'frontend-1',
  'frontend-2',
  'history-1',
  'history-2',
  'matching-1',
  'matching-2',
  'worker-1',
] as const;
export type TemporalService = (typeof temporalServices)[number];

export interface TemporalCluster {
  /** Where clients reach a frontend that lives, as behind a load balancer. */
  readonly address: string;
  /** The process that a service has now, or had last. */
  process(service: TemporalService): TestProcess;
  /** Starts a service that has ended, and answers when it listens. */
  start(service: TemporalService): Promise<TestProcess>;
  stop(): Promise<void>;
}

interface Ports {
  readonly grpcPort: number;
  readonly membershipPort: number;
}

const repository = join(__dirname, '..', '..');
const temporalFiles = (...names: string[]): string => {
  // Compiled tests lie one directory deeper.
  const root = repository.endsWith('dist') ? join(repository, '..') : repository;
  return join(root, 'temporal', ...names);
};
const kindOf = (service: TemporalService): string => service.replace(/-\d$/, '');

/**
 * A real Temporal cluster: seven processes of `temporal-server` on PostgreSQL, with the settings and search attributes of
 * `temporal/`. Its files and logs go into `directory`.
 */
export async function startTemporalCluster(postgres: TestPostgres, directory: string): Promise<TemporalCluster> {
  mkdirSync(directory, { recursive: true });
  const databases = {
    default: await createSchema(postgres, 'temporal', 'temporal'),
    visibility: await createSchema(postgres, 'temporal_visibility', 'visibility'),
  };
  const ports = new Map<TemporalService, Ports>();
  for (const service of temporalServices)
    ports.set(service, { grpcPort: await freeLowPort(), membershipPort: await freeLowPort() });
  const portsOf = (service: TemporalService): Ports => ports.get(service) ?? { grpcPort: 0, membershipPort: 0 };
  const frontends = (['frontend-1', 'frontend-2'] as const).map((service) => portsOf(service).grpcPort);
  const balancer = await startBalancer(frontends);
  const processes = new Map<TemporalService, TestProcess>();
  const begin = (service: TemporalService): TestProcess => {
    const config = join(directory, service);
    mkdirSync(config, { recursive: true });
    const text = stringify(configOf({ service, portsOf, databases, frontend: balancer.address }));
    writeFileSync(join(config, 'cluster.yaml'), text);
    return startProcess({
      command: temporalClusterProgram('temporal-server'),
      args: ['--root', directory, '--config', service, '--env', 'cluster', 'start', '--service', kindOf(service)],
      env: {},
      logFile: join(directory, `${service}.log`),
    });
  };
  const start = async (service: TemporalService): Promise<TestProcess> => {
    const started = begin(service);
    processes.set(service, started);
    await untilListening(started, service, portsOf(service).membershipPort);
    return started;
  };
  const cluster: TemporalCluster = {
    address: balancer.address,
    process(service) {
      const found = processes.get(service);
      if (found === undefined) throw new Error(`${service} was never started`);
      return found;
    },
    start,
    async stop() {
      await Promise.all([...processes.values()].map((process_) => process_.kill()));
      balancer.close();
    },
  };
  try {
    await Promise.all(temporalServices.map(start));
    await prepareNamespace(balancer.address);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

interface Store {
  readonly databaseName: string;
  readonly connectAddr: string;
  readonly user: string;
}

/** A database with Temporal's tables, made by Temporal's own tool. */
async function createSchema(postgres: TestPostgres, databaseName: string, schema: string): Promise<Store> {
  const url = new URL(await postgres.createDatabase(databaseName));
  const tool = (...args: string[]) =>
    run(temporalClusterProgram('temporal-sql-tool'), [
      ...['--plugin', 'postgres12', '--endpoint', url.hostname, '--port', url.port],
      ...['--user', url.username, '--password', 'unused', '--database', databaseName],
      ...args,
    ]);
  await tool('setup-schema', '--version', '0.0');
  await tool('update-schema', '--schema-name', `postgresql/v12/${schema}`);
  return { databaseName, connectAddr: url.host, user: url.username };
}

interface ServiceConfig {
  readonly service: TemporalService;
  readonly portsOf: (service: TemporalService) => Ports;
  readonly databases: { readonly default: Store; readonly visibility: Store };
  readonly frontend: string;
}

const rpc = (ports: Ports): unknown => ({ rpc: { ...ports, bindOnLocalHost: true } });

const servicesOf = (portsOf: ServiceConfig['portsOf']): Record<string, unknown> =>
  Object.fromEntries(temporalServices.map((service) => [kindOf(service), rpc(portsOf(service))]));

function configOf({ service, portsOf, databases, frontend }: ServiceConfig): unknown {
  const sql = (store: Store, maxConns: number): unknown => ({
    sql: {
      ...store,
      pluginName: 'postgres12',
      connectProtocol: 'tcp',
      password: 'unused',
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: '1h',
    },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: 8,
      datastores: { default: sql(databases.default, 10), visibility: sql(databases.visibility, 4) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    // A process finds the others only of services that it knows; where they listen it hears from themselves.
    services: { ...servicesOf(portsOf), [kindOf(service)]: rpc(portsOf(service)) },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: frontend },
      },
    },
    publicClient: { hostPort: frontend },
    dynamicConfigClient: { filepath: temporalFiles('dynamic-config.yaml'), pollInterval: '1m' },
  };
}

let nextPort = 20_000 + (process.pid % 1000) * 12;

/** Temporal keeps the ports of its services in a `smallint`, so they are below 32,768. */
async function freeLowPort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}

async function untilListening(process_: TestProcess, service: TemporalService, port: number): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await accepts(port)); await delay(100)) {
    if (process_.running && Date.now() < deadline) continue;
    throw new Error(`${service} of Temporal did not start:\n${tailOf(process_.logFile)}`);
  }
}

/** Makes the namespace, and registers the search attributes as `temporal/README.md` says. */
async function prepareNamespace(address: string): Promise<void> {
  const temporal = toolPath('temporal');
  const create = ['operator', 'namespace', 'create', '--namespace', 'default', '--address', address];
  const env = { PATH: process.env['PATH'] ?? '', TEMPORAL_ADDRESS: address, WINDLASS_TEMPORAL: temporal };
  for (const deadline = Date.now() + 60_000; ; await delay(500)) {
    const made = await run(temporal, create, { env, timeout: 20_000 }).then(
      () => null,
      (error: unknown) => String(error),
    );
    if (made === null || made.includes('already')) break;
    if (Date.now() > deadline) throw new Error(`the namespace could not be made: ${made}`);
  }
  await run('sh', [temporalFiles('search-attributes.sh')], { env, timeout: 180_000 });
}

interface Balancer {
  readonly address: string;
  close(): void;
}

/** Passes connections on to the ports in turn, past those where nobody listens. */
async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  let next = 0;
  const sockets = new Set<{ destroy(): void }>();
  const server: Server = createServer((client) => {
    sockets.add(client);
    client.on('close', () => sockets.delete(client)).on('error', () => client.destroy());
    const dial = (left: number): void => {
      const target = connect(ports[next++ % ports.length] ?? 0, '127.0.0.1');
      target.once('error', () => (left > 0 ? dial(left - 1) : client.destroy()));
      target.once('connect', () => {
        sockets.add(target);
        target.removeAllListeners('error').on('error', () => target.destroy());
        target.on('close', () => {
          sockets.delete(target);
          client.destroy();
        });
        client.on('close', () => target.destroy());
        client.pipe(target).pipe(client);
      });
    };
    dial(ports.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: `127.0.0.1:${address.port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
