import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { NativeConnection, WorkerOptions } from '@temporalio/worker';
import { Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { ActivityDeps, WorkerIdentity } from './activities/index.ts';
import { createOrchestrationActivities, createRunActivities } from './activities/index.ts';
import type { Config } from './config.ts';
import { newId, taskQueues } from './model/index.ts';
import type { Operations } from './operations/index.ts';
import type { Rooms } from './rooms.ts';
import { heartbeatWorker, registerWorker, stopWorker } from './store/index.ts';

/** Made by the build from src/workflows; the same directory level in dist/ and in the source tree. */
const bundlePath = join(__dirname, '..', 'workflow-bundle.js');
const sourcePath = join(__dirname, 'workflows', 'index.ts');

/** Sooner than Temporal's default, so that a cancel reaches a tool within about a second. */
const heartbeatThrottle = '1 second';
const signOfLifeEveryMs = 5000;

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
  readonly log: Logger;
}

/** Starts the two workers of a process: one for workflows and records, one for tools. */
export async function startWorkers(parts: WorkerParts): Promise<RunningWorkers> {
  const { config, rooms, log } = parts;
  const identity: WorkerIdentity = { id: newId('wrk'), host: hostname(), bootId: bootId() };
  await registerWorker(rooms.db.sql, { ...identity, pid: process.pid });
  const beating = setInterval(() => {
    void heartbeatWorker(rooms.db.sql, identity.id).catch(() => undefined);
  }, signOfLifeEveryMs);
  const deps: ActivityDeps = {
    ...rooms,
    operations: parts.operations,
    temporal: parts.temporal,
    worker: identity,
    log,
    workDirectory: join(config.dataDirectory, 'work'),
    stateUrl: `${config.stateUrl}/state`,
  };
  const common: Pick<
    WorkerOptions,
    'connection' | 'namespace' | 'identity' | 'maxHeartbeatThrottleInterval' | 'shutdownGraceTime'
  > = {
    connection: parts.connection,
    namespace: config.temporal.namespace,
    identity: `${identity.id}@${identity.host}`,
    maxHeartbeatThrottleInterval: heartbeatThrottle,
    shutdownGraceTime: config.shutdownGraceSeconds * 1000,
  };
  const workflows = existsSync(bundlePath)
    ? { workflowBundle: { codePath: bundlePath } }
    : { workflowsPath: sourcePath };
  const orchestration = await Worker.create({
    ...common,
    ...workflows,
    taskQueue: taskQueues.orchestration,
    activities: { ...createOrchestrationActivities(deps) },
    maxCachedWorkflows: 400,
    maxConcurrentWorkflowTaskExecutions: 40,
    maxConcurrentActivityTaskExecutions: 50,
  });
  const run = await Worker.create({
    ...common,
    taskQueue: taskQueues.run,
    activities: { ...createRunActivities(deps) },
    maxConcurrentActivityTaskExecutions: config.run.slots,
  });
  const workers = [orchestration, run];
  const done = Promise.all(workers.map((worker) => worker.run())).then(async () => {
    clearInterval(beating);
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

/** Tells this start of the machine from an earlier one: process ids mean nothing across a reboot. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
