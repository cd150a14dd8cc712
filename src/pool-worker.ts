import { hostname } from 'node:os';
import { Worker } from '@temporalio/worker';
import type { WorkerOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import { readVersion } from './api/index.ts';
import type { Config } from './config.ts';
import { createToolLocator } from './embedded/index.ts';
import type { RunningApp } from './embedded/index.ts';
import { createLogger, installTemporalRuntime, temporalMetrics } from './log.ts';
import { serveMetrics } from './metrics/index.ts';
import { messageOf, newId, poolQueue, WindlassError } from './model/index.ts';
import { createRunActivities } from './node/index.ts';
import type { WorkerIdentity } from './node/index.ts';
import { dataConverterOf } from './payload-codec.ts';
import { createHttpHost } from './pools/index.ts';
import type { HttpHost } from './pools/index.ts';
import { isolationSettings, openToolRooms, workDirectory } from './rooms.ts';
import { chooseIsolation } from './process/index.ts';
import { temporalConnectionOptions } from './temporal-connection.ts';
import { startTracing } from './tracing/index.ts';
import { undoneOnFailure } from './undo-stack.ts';
import { bootId, connectWorker, heartbeatThrottle, workerHeartbeatEveryMs, retryUntilReachable } from './worker.ts';

/** `windlass worker --pool`: runs the tools of a runner pool's nodes, with neither a database nor an encryption key. */
export async function runPoolWorker(config: Config): Promise<RunningApp> {
  const { pool, temporal } = config;
  if (pool === null || temporal.address === null)
    throw new WindlassError('internal', 'a worker of a runner pool was started without its configuration');
  const log = createLogger(config);
  const isolation = await chooseIsolation(isolationSettings(config));
  if (isolation.note !== null) log.warn(isolation.note);
  await installTemporalRuntime(log, config.metrics);
  const identity: WorkerIdentity = { id: newId('wrk'), host: hostname(), bootId: bootId() };
  const host = createHttpHost({ url: pool.serverUrl, token: pool.token });
  const address = temporal.address;
  return undoneOnFailure(log, async (undo) => {
    undo.push(await startTracing(process.env, { name: 'windlass-pool-worker', version: readVersion() }));
    const { port } = config.metrics;
    if (port !== null) {
      const metrics = await serveMetrics({ ...config.metrics, port, sources: { others: temporalMetrics() } });
      undo.push(() => metrics.stop());
    }
    const connection = await connectWorker({ address, ...temporalConnectionOptions(temporal) }, log);
    undo.push(() => connection.close());
    // Before the worker is made: one that never ran would hold its connection open.
    const stopBeating = await keepBeating(host, identity, log);
    undo.push(() => host.leave(identity.id).catch(() => undefined));
    undo.push(stopBeating);
    const deps = { ...openToolRooms(config, createToolLocator(config)), worker: identity, log, isolation };
    const worker = await retryUntilReachable(log, address, () =>
      Worker.create({
        ...workerOptions(config, identity, pool.name),
        connection,
        activities: { ...createRunActivities({ ...deps, workDirectory: workDirectory(config) }, host) },
      }),
    );
    log.info({ pool: pool.name, server: pool.serverUrl }, 'works for a runner pool');
    const done = worker.run();
    done.catch((error: unknown) => log.fatal(`the worker failed: ${messageOf(error)}`));
    undo.push(async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await done.catch(() => undefined);
    });
    return { url: pool.serverUrl, stop: () => undo.undo() };
  });
}

function workerOptions(config: Config, { id, host }: WorkerIdentity, pool: string): WorkerOptions {
  const dataConverter = dataConverterOf(config.temporal.payloadKeys);
  return {
    ...(dataConverter ? { dataConverter } : {}),
    namespace: config.temporal.namespace,
    identity: `${id}@${host}`,
    taskQueue: poolQueue(pool),
    maxConcurrentActivityTaskExecutions: config.run.slots,
    maxHeartbeatThrottleInterval: heartbeatThrottle,
    shutdownGraceTime: config.shutdownGraceSeconds * 1000,
  };
}

/** Registers the worker, and says again and again that it lives: a server that has lost it hears of it anew. */
async function keepBeating(host: HttpHost, identity: WorkerIdentity, log: Logger): Promise<() => void> {
  const register = (): Promise<void> => host.register({ ...identity, pid: process.pid });
  await register();
  const beat = async (): Promise<void> => {
    if (!(await host.beat(identity.id))) await register();
  };
  const timer = setInterval(() => {
    beat().catch((error: unknown) => log.warn(`the server hears nothing of this worker: ${messageOf(error)}`));
  }, workerHeartbeatEveryMs);
  return () => clearInterval(timer);
}
