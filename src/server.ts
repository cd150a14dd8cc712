import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { Logger } from 'pino';
import { followCurrentKey, provideAdministratorKey } from './access/index.ts';
import { createPoolAccess, createRunResolver } from './activities/index.ts';
import { createApi, readVersion } from './api/index.ts';
import { ownHosts } from './config.ts';
import type { Config } from './config.ts';
import { createToolLocator, startEmbedded } from './embedded/index.ts';
import type { AppParts, RunningApp } from './embedded/index.ts';
import type { OnToolProgress } from './provision/index.ts';
import { createLogger, installTemporalRuntime, temporalMetrics } from './log.ts';
import { serveMetrics } from './metrics/index.ts';
import { messageOf, searchAttributes, WindlassError, workflowIds, workflowTypes, taskQueues } from './model/index.ts';
import { createOperations, createTemporalGateway, refuseMoved } from './operations/index.ts';
import { openPayloads } from './payload-codec.ts';
import { isolationSettings, openRooms } from './rooms.ts';
import type { Rooms } from './rooms.ts';
import { chooseIsolation, withoutIsolation } from './process/index.ts';
import type { Isolation } from './process/index.ts';
import { readRecordCounts, writeInstallation } from './store/index.ts';
import { temporalConnectionOptions } from './temporal-connection.ts';
import { startTracing } from './tracing/index.ts';
import { undoneOnFailure } from './undo-stack.ts';
import { connectWorker, startWorkers } from './worker.ts';

/** What a started server tells its caller. */
export interface RunningWindlass {
  readonly url: string;
  /** The administrator's key of the data directory; null when the database has one that is kept elsewhere. */
  readonly token: string | null;
  readonly temporalUrl: string | null;
  /** `host:port`. */
  readonly temporalAddress: string;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Make an administrator's key although the database has one: the last way in when it was lost. */
  readonly newAdministratorKey?: boolean | undefined;
}

interface ProcessParts extends AppParts {
  readonly api: boolean;
  readonly worker: boolean;
  /** Told how stacks are kept from this machine. */
  readonly onIsolation?: (isolation: Isolation) => void;
}

/** Everything in this process and below it: database, Temporal, API and worker. */
export async function startWindlass(
  config: Config,
  onProgress?: OnToolProgress,
  options: StartOptions = {},
): Promise<RunningWindlass> {
  const log = createLogger(config);
  await installTemporalRuntime(log, config.metrics);
  let token: string | null = null;
  const embedded = await startEmbedded({
    config,
    onProgress,
    onEvent: (message) => log.warn(message),
    startApp: async (chosen, parts) => {
      const onIsolation = ({ way, note }: Isolation): void =>
        onProgress?.({ tool: 'sandbox of stacks', phase: 'ready', elapsedMs: 0, detail: note ?? way });
      const app = await startProcess(chosen, { ...parts, api: true, worker: true, onIsolation }, log);
      token = await keyOfOwner(app.rooms, config, log, options);
      return app;
    },
  });
  return {
    url: embedded.url,
    token,
    temporalUrl: embedded.temporalUrl,
    temporalAddress: embedded.temporalAddress,
    stop: () => embedded.stop(),
  };
}

/** `windlass server`: the API, on a database and a Temporal that run elsewhere. */
export async function runServer(config: Config, options: StartOptions = {}): Promise<RunningApp> {
  return startAlone(config, { api: true, worker: false }, options);
}

/** `windlass worker`: workflows and tools, as many processes as wanted. */
export async function runWorker(config: Config): Promise<RunningApp> {
  return startAlone(config, { api: false, worker: true });
}

async function startAlone(
  config: Config,
  what: { api: boolean; worker: boolean },
  options: StartOptions = {},
): Promise<RunningApp> {
  const log = createLogger(config);
  await installTemporalRuntime(log, config.metrics);
  const { address, uiUrl } = config.temporal;
  if (address === null)
    throw new WindlassError('invalidInput', 'TEMPORAL_ADDRESS is missing', {
      hint: 'set it to host:port of your Temporal server',
    });
  const tools = createToolLocator(config);
  const app = await startProcess(config, { temporalAddress: address, temporalUiUrl: uiUrl, tools, ...what }, log);
  if (what.api) await keyOfOwner(app.rooms, config, log, options);
  return app;
}

/** Says where the administrator's key is, never what it is: logs are read by many and kept for long. */
async function keyOfOwner(
  { db }: Rooms,
  { dataDirectory }: Config,
  log: Logger,
  { newAdministratorKey }: StartOptions,
): Promise<string | null> {
  const { token, created, file } = await provideAdministratorKey(db, { dataDirectory, anew: newAdministratorKey });
  if (created) log.info({ file }, 'an administrator key was made and stored in a file that its owner alone can read');
  else if (token === null)
    log.info(
      { file },
      'the database has an administrator key, which is not in this data directory; none was made (--new-administrator-key makes one)',
    );
  return token;
}

/** Starts the asked-for parts of one process; what was started is stopped again when a later part fails. */
function startProcess(
  config: Config,
  parts: ProcessParts,
  log: Logger,
): Promise<RunningApp & { readonly rooms: Rooms }> {
  const service = { name: `windlass-${config.mode === 'embedded' ? 'up' : config.mode}`, version: readVersion() };
  return undoneOnFailure(log, async (undo) => {
    // Before anything is opened: a worker that cannot keep stacks apart has no business with the database.
    const isolation = parts.worker ? await chooseIsolation(isolationSettings(config)) : withoutIsolation();
    if (isolation.note !== null) log.warn(isolation.note);
    parts.onIsolation?.(isolation);
    undo.push(await startTracing(process.env, service));
    const rooms = await openRooms(config, parts.tools);
    undo.push(() => rooms.db.close());
    await refuseMoved(rooms.db.sql);
    // Left by a move that was cut off before it began: whoever holds runs back is gone.
    if (config.database.kind === 'pglite') await writeInstallation(rooms.db.sql, 'hold', null);
    const following = setInterval(() => {
      void followCurrentKey(rooms.db.sql, rooms.secrets).catch(() => undefined);
    }, followKeyEveryMs).unref();
    undo.push(() => clearInterval(following));
    const { namespace } = config.temporal;
    // Lazy: a Temporal that is away makes requests fail with a reason, not the start.
    const access = config.temporal.address === null ? {} : temporalConnectionOptions(config.temporal);
    const connection = Connection.lazy({ address: parts.temporalAddress, ...access });
    undo.push(() => connection.close());
    const payloads = await openPayloads(rooms.db.sql, config.temporal.payloadKeys);
    const { dataConverter } = payloads;
    const client = new Client({ connection, namespace, ...(dataConverter ? { dataConverter } : {}) });
    const temporal = createTemporalGateway(client, { namespace, uiUrl: parts.temporalUiUrl });
    const operations = createOperations({ ...rooms, temporal, resolver: createRunResolver(rooms) });
    let url = config.http.publicUrl;
    if (parts.api) {
      const api = createApi({
        operations,
        ...rooms,
        temporal,
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
      if (config.http.port === 0) url = `http://${config.http.host}:${port}`;
      log.info({ url }, 'listening');
    }
    const { port: metricsPort } = config.metrics;
    if (metricsPort !== null) {
      const metrics = await serveMetrics({
        ...config.metrics,
        port: metricsPort,
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
    if (parts.worker) {
      const address = parts.temporalAddress;
      const native = await connectWorker({ address, ...access }, log);
      undo.push(() => native.close());
      const workers = await startWorkers({
        config,
        rooms,
        operations,
        temporal: client,
        connection: native,
        dataConverter,
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
      if (!(await ensureSystemSchedules(client, log))) void retrySystemSchedules(client, log, ended.signal);
    }
    return { url, rooms, stop: () => undo.undo() };
  });
}

const scheduleAgainMs = 5000;
/** A rotation of the encryption key waits twice as long before it calls a key unused. */
const followKeyEveryMs = 5000;

/** Temporal went away during the start: the worker waits for it by itself, and so does the schedule. */
async function retrySystemSchedules(client: Client, log: Logger, signal: AbortSignal): Promise<void> {
  do await delay(scheduleAgainMs, undefined, { signal, ref: false }).catch(() => undefined);
  while (!signal.aborted && !(await ensureSystemSchedules(client, log)));
}

const kindKey = defineSearchAttributeKey(searchAttributes.kind, SearchAttributeType.KEYWORD);

/** The engine's own schedules, by the name of their workflow: how often, and how late at most. */
const systemSchedules = {
  reconcile: { every: '1 minute', late: '1 minute', kind: 'reconcile' },
  keepHouse: { every: '1 day', late: '1 day', kind: 'housekeeping' },
} as const;

/** Schedules, so that exactly one process does it, whichever lives. False when one could not be made. */
async function ensureSystemSchedules(client: Client, log: Logger): Promise<boolean> {
  for (const name of ['reconcile', 'keepHouse'] as const) {
    const id = workflowIds[name];
    try {
      await client.schedule.create({
        scheduleId: id,
        spec: { intervals: [{ every: systemSchedules[name].every }] },
        action: {
          type: 'startWorkflow',
          workflowType: workflowTypes[name],
          taskQueue: taskQueues.orchestration,
          args: [],
          workflowId: id,
          typedSearchAttributes: [{ key: kindKey, value: systemSchedules[name].kind }],
        },
        policies: { overlap: 'SKIP', catchupWindow: systemSchedules[name].late },
      });
    } catch (error) {
      if (error instanceof Error && error.name === 'ScheduleAlreadyRunning') continue;
      log.warn(`${id} is not scheduled yet: ${messageOf(error)}`);
      return false;
    }
  }
  return true;
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
