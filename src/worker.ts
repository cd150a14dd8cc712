import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { DataConverter } from '@temporalio/common';
import type { WorkerOptions } from '@temporalio/worker';
import { NativeConnection, TransportError, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { ActivityDeps } from './activities/index.ts';
import type { WorkerIdentity } from './node/index.ts';
import { createOrchestrationActivities, createToolActivities, pruneDisk } from './activities/index.ts';
import type { Config } from './config.ts';
import { messageOf, newId, taskQueues, WindlassError } from './model/index.ts';
import type { Operations } from './operations/index.ts';
import { workDirectory } from './rooms.ts';
import type { Rooms } from './rooms.ts';
import type { Isolation } from './process/index.ts';
import { heartbeatWorker, registerWorker, stopWorker } from './store/index.ts';
import type { TemporalConnectionOptions } from './temporal-connection.ts';

/** Made by the build from src/workflows; the same directory level in dist/ and in the source tree. */
const bundlePath = join(__dirname, '..', 'workflow-bundle.js');
const sourcePath = join(__dirname, 'workflows', 'index.ts');

/** Sooner than Temporal's default, so that a cancel reaches a tool within about a second. */
export const heartbeatThrottle = '1 second';
export const workerHeartbeatEveryMs = 5000;
/** Not at once: what a worker was started for goes first. */
const firstPruneAfterMs = 5 * 60_000;
const pruneEveryMs = 24 * 3_600_000;

export interface RunningWorkers {
  /** Ends when the workers have stopped; rejects when one of them failed. */
  readonly done: Promise<void>;
  /** Takes no new work and waits for what runs, up to the grace time. */
  stop(): Promise<void>;
}

export interface WorkerParts {
  readonly config: Config;
  readonly rooms: Rooms;
  readonly operations: Operations;
  readonly temporal: Client;
  readonly connection: NativeConnection;
  /** Seals payloads; undefined leaves them readable. */
  readonly dataConverter?: DataConverter | undefined;
  /** `host:port` of Temporal, for messages. */
  readonly address: string;
  readonly log: Logger;
  readonly isolation: Isolation;
  /** Workflows kept in memory between their steps; default 400. With 0 each step reads its history anew. */
  readonly cachedWorkflows?: number;
}

/** A Temporal that is just being started, or started again, is waited for this long. */
const temporalWithinMs = 120_000;
const askAgainMs = 1000;

/** Waits for a Temporal that is just being started. */
export async function retryUntilReachable<T>(log: Logger, address: string, work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + temporalWithinMs; ; await new Promise((go) => setTimeout(go, askAgainMs))) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (Date.now() > deadline)
        throw new WindlassError('unavailable', `Temporal at ${address} cannot be reached: ${messageOf(error)}`, {
          hint: 'see that it runs there, and check TEMPORAL_ADDRESS',
          cause: error,
        });
      log.warn({ address, reason: messageOf(error) }, 'Temporal cannot be reached; waiting for it');
    }
  }
}

/** The connection of a worker. Waits for a Temporal that is away. */
export function connectWorker(
  options: TemporalConnectionOptions & { readonly address: string },
  log: Logger,
): Promise<NativeConnection> {
  return retryUntilReachable(log, options.address, () => NativeConnection.connect(options));
}

/** Starts the two workers of a process: one for workflows and records, one for tools. */
export async function startWorkers(parts: WorkerParts): Promise<RunningWorkers> {
  const { config, rooms, log } = parts;
  const identity: WorkerIdentity = { id: newId('wrk'), host: hostname(), bootId: bootId() };
  await registerWorker(rooms.db.sql, { ...identity, pid: process.pid, keyIds: rooms.secrets.keyIds });
  const beating = setInterval(() => {
    void heartbeatWorker(rooms.db.sql, identity.id, rooms.secrets.keyIds).catch(() => undefined);
  }, workerHeartbeatEveryMs);
  const deps: ActivityDeps = {
    ...rooms,
    operations: parts.operations,
    temporal: parts.temporal,
    worker: identity,
    log,
    sourcePatienceMs: config.run.sourcePatienceSeconds * 1000,
    workDirectory: workDirectory(config),
    isolation: parts.isolation,
    stateUrl: `${config.stateUrl}/state`,
  };
  const common: Pick<
    WorkerOptions,
    'connection' | 'dataConverter' | 'namespace' | 'identity' | 'maxHeartbeatThrottleInterval' | 'shutdownGraceTime'
  > = {
    connection: parts.connection,
    ...(parts.dataConverter ? { dataConverter: parts.dataConverter } : {}),
    namespace: config.temporal.namespace,
    identity: `${identity.id}@${identity.host}`,
    maxHeartbeatThrottleInterval: heartbeatThrottle,
    shutdownGraceTime: config.shutdownGraceSeconds * 1000,
  };
  const workflows = existsSync(bundlePath)
    ? { workflowBundle: bundleFor(parts.dataConverter) }
    : { workflowsPath: sourcePath };
  const create = (options: WorkerOptions): Promise<Worker> =>
    retryUntilReachable(log, parts.address, () => Worker.create({ ...common, ...options }));
  const orchestration = await create({
    ...workflows,
    taskQueue: taskQueues.orchestration,
    activities: { ...createOrchestrationActivities(deps), ...createToolActivities(deps) },
    maxCachedWorkflows: parts.cachedWorkflows ?? 400,
    maxConcurrentWorkflowTaskExecutions: 40,
    maxConcurrentActivityTaskExecutions: 50,
  });
  const run = await create({
    taskQueue: taskQueues.run,
    activities: { ...createToolActivities(deps) },
    maxConcurrentActivityTaskExecutions: config.run.slots,
  });
  const workers = [orchestration, run];
  const stopPruning = scheduleDiskPruning(deps);
  const done = Promise.all(workers.map((worker) => worker.run())).then(async () => {
    clearInterval(beating);
    stopPruning();
    await stopWorker(rooms.db.sql, identity.id).catch(() => undefined);
  });
  return {
    done,
    stop: async () => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await done;
    },
  };
}

/** See workflows/failure-converter.ts. On the bundle's first line, so that its source map still fits. */
function bundleFor(dataConverter: DataConverter | undefined): { code: string } | { codePath: string } {
  if (dataConverter === undefined) return { codePath: bundlePath };
  return { code: `globalThis.windlassSealsFailures=true;${readFileSync(bundlePath, 'utf8')}` };
}

function scheduleDiskPruning(deps: ActivityDeps): () => void {
  const prune = (): void => {
    pruneDisk(deps).then(
      (tidied) => deps.log.info(tidied, 'tidied the disk'),
      (error: unknown) => deps.log.warn({ error: messageOf(error) }, 'the disk could not be tidied; again tomorrow'),
    );
    timer = setTimeout(prune, pruneEveryMs).unref();
  };
  let timer = setTimeout(prune, firstPruneAfterMs).unref();
  return () => clearTimeout(timer);
}

/** Tells this start of the machine from an earlier one: process ids mean nothing across a reboot. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
