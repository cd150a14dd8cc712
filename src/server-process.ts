import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import type { Logger } from 'pino';
import { followCurrentKey } from './access/index.ts';
import { createPoolAccess, createRunResolver } from './activities/index.ts';
import { createApi, readVersion } from './api/index.ts';
import { ownHosts } from './config.ts';
import type { Config } from './config.ts';
import type { AppParts, RunningApp } from './embedded/index.ts';
import { temporalMetrics } from './log.ts';
import { serveMetrics } from './metrics/index.ts';
import { messageOf, WindlassError } from './model/index.ts';
import { createOperations, createTemporalGateway, refuseMoved } from './operations/index.ts';
import type { Operations, TemporalGateway } from './operations/index.ts';
import { openPayloads } from './payload-codec.ts';
import type { Payloads } from './payload-codec.ts';
import { chooseIsolation, withoutIsolation } from './process/index.ts';
import type { Isolation } from './process/index.ts';
import { isolationSettings, openRooms } from './rooms.ts';
import type { Rooms } from './rooms.ts';
import { readRecordCounts, writeInstallation } from './store/index.ts';
import { makeSystemSchedules } from './system-schedules.ts';
import { temporalConnectionOptions } from './temporal-connection.ts';
import type { TemporalConnectionOptions } from './temporal-connection.ts';
import { startTracing } from './tracing/index.ts';
import { undoneOnFailure } from './undo-stack.ts';
import type { UndoStack } from './undo-stack.ts';
import { connectWorker, startWorkers } from './worker.ts';

/** A rotation of the encryption key waits twice as long before it calls a key unused. */
const followKeyEveryMs = 5000;

export interface ProcessParts extends AppParts {
  readonly api: boolean;
  readonly worker: boolean;
  /** Told how stacks are kept from this machine. */
  readonly onIsolation?: (isolation: Isolation) => void;
}

/** What all parts of a process stand on. */
interface ProcessBase {
  readonly config: Config;
  readonly parts: ProcessParts;
  readonly log: Logger;
  /** Ends what the parts start, in reverse. */
  readonly undo: UndoStack;
  readonly isolation: Isolation;
  readonly rooms: Rooms;
  readonly client: Client;
  readonly connectionOptions: TemporalConnectionOptions;
  readonly payloads: Payloads;
  readonly gateway: TemporalGateway;
  readonly operations: Operations;
}

/** Starts the asked-for parts of one process; what was started is stopped again when a later part fails. */
export function startProcess(
  config: Config,
  parts: ProcessParts,
  log: Logger,
): Promise<RunningApp & { readonly rooms: Rooms }> {
  return undoneOnFailure(log, async (undo) => {
    // Before anything is opened: a worker that cannot keep stacks apart has no business with the database.
    const isolation = parts.worker ? await chooseIsolation(isolationSettings(config)) : withoutIsolation();
    if (isolation.note !== null) log.warn(isolation.note);
    parts.onIsolation?.(isolation);
    const service = { name: `windlass-${config.mode === 'embedded' ? 'up' : config.mode}`, version: readVersion() };
    undo.push(await startTracing(process.env, service));
    const rooms = await openRecords(config, parts, undo);
    const base = { config, parts, log, undo, isolation, rooms, ...(await openTemporal(config, parts, rooms, undo)) };
    const url = parts.api ? await startApi(base) : config.http.publicUrl;
    await startMetrics(base);
    if (parts.worker) await startWorker(base);
    return { url, rooms, stop: () => undo.undo() };
  });
}

/** Opens the database and what lies on it. */
async function openRecords(config: Config, { tools }: ProcessParts, undo: UndoStack): Promise<Rooms> {
  const rooms = await openRooms(config, tools);
  undo.push(() => rooms.db.close());
  await refuseMoved(rooms.db.sql);
  // Left by a move that was cut off before it began: whoever holds runs back is gone.
  if (config.database.kind === 'pglite') await writeInstallation(rooms.db.sql, 'hold', null);
  const following = setInterval(() => {
    void followCurrentKey(rooms.db.sql, rooms.secrets).catch(() => undefined);
  }, followKeyEveryMs).unref();
  undo.push(() => clearInterval(following));
  return rooms;
}

async function openTemporal(
  config: Config,
  parts: ProcessParts,
  rooms: Rooms,
  undo: UndoStack,
): Promise<Pick<ProcessBase, 'client' | 'connectionOptions' | 'payloads' | 'gateway' | 'operations'>> {
  // Lazy: a Temporal that is away makes requests fail with a reason, not the start.
  const connectionOptions = config.temporal.address === null ? {} : temporalConnectionOptions(config.temporal);
  const connection = Connection.lazy({ address: parts.temporalAddress, ...connectionOptions });
  undo.push(() => connection.close());
  const { namespace, payloadKeys } = config.temporal;
  const payloads = await openPayloads(rooms.db.sql, payloadKeys);
  const { dataConverter } = payloads;
  const client = new Client({ connection, namespace, ...(dataConverter ? { dataConverter } : {}) });
  const gateway = createTemporalGateway(client, { namespace, uiUrl: parts.temporalUiUrl });
  const operations = createOperations({ ...rooms, temporal: gateway, resolver: createRunResolver(rooms) });
  return { connectionOptions, payloads, client, gateway, operations };
}

/** Serves the API; answers its address. */
async function startApi({
  config,
  parts,
  log,
  undo,
  rooms,
  gateway,
  operations,
  payloads,
}: ProcessBase): Promise<string> {
  const api = createApi({
    operations,
    ...rooms,
    temporal: gateway,
    log,
    temporalUrl: parts.temporalUiUrl,
    hosts: ownHosts(config),
    openPayloads: payloads.open,
    metrics: { token: config.metrics.token, others: temporalMetrics() },
    pools: createPoolAccess({ ...rooms, log, stateUrl: `${config.stateUrl}/state` }),
  });
  const server = await listen(api, config);
  undo.push(() => close(server));
  const { port } = server.address() as AddressInfo;
  const url = config.http.port === 0 ? `http://${config.http.host}:${port}` : config.http.publicUrl;
  log.info({ url }, 'listening');
  return url;
}

/** Serves the metrics on a port of their own, where one is set. */
async function startMetrics({ config, parts, log, undo, rooms }: ProcessBase): Promise<void> {
  const { port } = config.metrics;
  if (port === null) return;
  const metrics = await serveMetrics({
    ...config.metrics,
    port,
    sources: {
      pool: () => rooms.db.pool(),
      // Counted by servers alone: each worker would tell the same numbers.
      ...(parts.api ? { records: () => readRecordCounts(rooms.db.sql) } : {}),
      others: temporalMetrics(),
    },
  });
  undo.push(() => metrics.stop());
  log.info({ port: metrics.port }, 'metrics are served');
}

async function startWorker(base: ProcessBase): Promise<void> {
  const { config, parts, log, undo, isolation, rooms, client, connectionOptions, payloads, operations } = base;
  const address = parts.temporalAddress;
  const connection = await connectWorker({ address, ...connectionOptions }, log);
  undo.push(() => connection.close());
  const workers = await startWorkers({
    config,
    rooms,
    operations,
    temporal: client,
    connection,
    dataConverter: payloads.dataConverter,
    address,
    log,
    isolation,
  });
  undo.push(() => workers.stop());
  workers.done.catch((error: unknown) => log.fatal(`the worker failed: ${messageOf(error)}`));
  // Records that came from elsewhere; what fails here is done by the reconciliation.
  void operations
    .settleArrival()
    .catch((error: unknown) => log.warn(`schedules and ends are told to Temporal later: ${messageOf(error)}`));
  const ended = new AbortController();
  undo.push(() => ended.abort());
  await makeSystemSchedules(client, log, ended.signal);
}

/**
 * Longer than clients and load balancers keep a quiet connection for the next request: whoever closes first must not be the
 * server, or a request that is just on its way is lost.
 */
const keepAliveMs = 75_000;

function listen(api: ReturnType<typeof createApi>, config: Config): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = api.listen(config.http.port, config.http.host);
    server.keepAliveTimeout = keepAliveMs;
    server.once('listening', () => resolve(server));
    server.once('error', (error: NodeJS.ErrnoException) => {
      const busy = error.code === 'EADDRINUSE';
      reject(
        new WindlassError(
          busy ? 'conflict' : 'unavailable',
          busy
            ? `port ${config.http.port} on ${config.http.host} is used by another program`
            : `cannot listen on ${config.http.host}:${config.http.port}: ${error.message}`,
          { hint: 'set WINDLASS_PORT to a free port' },
        ),
      );
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    // Followers keep their streams open for ever; they come back when the server does.
    server.closeAllConnections();
  });
}
