/**
 * The workflows on a Temporal server of their own, mostly the time-skipping one, with activities that keep their records in memory: an edge of a
 * workflow is tried in a moment, however many days it waits.
 */
import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import { Client } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import type { WorkflowBundle } from '@temporalio/worker';
import { newId, searchAttributes, taskQueues } from '../model/index.ts';
import { toolPath } from '../../test/support/tools.ts';
import { setTimeLimit } from '../../test/support/until.ts';
import { createFakeActivities } from './fake-records.test-support.ts';
import type { FakeRun } from './fake-records.test-support.ts';

const workflowsPath = join(__dirname, 'index.ts');
/** Of the server's operator service. */
const keyword = 2;
const attributeNames = Object.values(searchAttributes);

export interface TestWorkflows {
  /** Lets no time pass while it waits. */
  client(): Client;
  /** Makes a run known to the activities. */
  add(run: FakeRun): void;
  /** Waits for the result of a workflow, and skips the time in which nothing happens meanwhile. */
  resultOf<T>(handle: WorkflowHandle): Promise<T>;
  /** Epoch milliseconds of the server's clock. */
  nowMs(): Promise<number>;
  /** Stops the worker of workflows, does something, and starts it anew: all of that reaches a workflow in one step. */
  withoutWorkflows(work: () => Promise<void>): Promise<void>;
}

export interface TestWorkflowsOptions {
  /** Workflows kept in memory between their steps. With none, which is the default, each step replays what was before. */
  readonly cached?: number;
  /** For what the time-skipping server does not do: it tells no parent that a child was terminated. */
  readonly server?: 'timeSkipping' | 'development';
}

async function startServer(kind: TestWorkflowsOptions['server']): Promise<TestWorkflowEnvironment> {
  if (kind === 'development') {
    const executable = { type: 'existing-path', path: toolPath('temporal') } as const;
    const attributes = attributeNames.map((name) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD));
    return TestWorkflowEnvironment.createLocal({
      server: { executable, searchAttributes: attributes, extraArgs: ['--log-level', 'error'] },
    });
  }
  const executable = { type: 'existing-path', path: toolPath('temporal-test-server') } as const;
  const time = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
  await time.connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: Object.fromEntries(attributeNames.map((name) => [name, keyword])),
  });
  return time;
}

interface RunningWorker {
  stop(): Promise<void>;
}

async function startWorker(options: Parameters<typeof Worker.create>[0]): Promise<RunningWorker> {
  const worker = await Worker.create(options);
  const done = worker.run();
  return {
    stop: async () => {
      worker.shutdown();
      await done;
    },
  };
}

/** One server for the tests of a file. */
export function useWorkflows({ cached = 0, server = 'timeSkipping' }: TestWorkflowsOptions = {}): TestWorkflows {
  // What hangs here would hang for ever.
  setTimeLimit(60_000);
  const runs = new Map<string, FakeRun>();
  let time: TestWorkflowEnvironment;
  let client: Client;
  let bundle: WorkflowBundle;
  let orchestration: RunningWorker;
  let tools: RunningWorker;

  const startOrchestration = (): Promise<RunningWorker> =>
    startWorker({
      connection: time.nativeConnection,
      taskQueue: taskQueues.orchestration,
      workflowBundle: bundle,
      activities: createFakeActivities(runs, client).records,
      maxCachedWorkflows: cached,
    });

  beforeAll(async () => {
    const logger = new DefaultLogger('ERROR');
    Runtime.install({
      logger,
      telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
    });
    bundle = await bundleWorkflowCode({ workflowsPath, logger });
    time = await startServer(server);
    // Not the environment's own client, whose waits for results let the time pass.
    client = new Client({ connection: time.connection });
    orchestration = await startOrchestration();
    tools = await startWorker({
      connection: time.nativeConnection,
      taskQueue: taskQueues.run,
      activities: createFakeActivities(runs, client).tools,
      maxHeartbeatThrottleInterval: 50,
      defaultHeartbeatThrottleInterval: 50,
    });
  });
  afterAll(async () => {
    await orchestration?.stop();
    await tools?.stop();
    await time?.teardown();
  });

  return {
    client: () => client,
    add: (run) => void runs.set(run.id, run),
    resultOf: (handle) => time.client.workflow.getHandle(handle.workflowId).result(),
    nowMs: async () => Number(await time.currentTimeMs()),
    async withoutWorkflows(work) {
      await orchestration.stop();
      await work();
      orchestration = await startOrchestration();
    },
  };
}

export const newRunId = (): string => newId('dep');

/** Somewhere that an activity waits until the test lets it go on. */
export interface Gate {
  /** An activity has come here. */
  readonly reached: Promise<void>;
  pass(): Promise<void>;
  open(): void;
}

export function makeGate(): Gate {
  let reach = (): void => undefined;
  let open = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    reached,
    pass: () => {
      reach();
      return opened;
    },
    open: () => open(),
  };
}

/** Ends when whoever called has cancelled the activity that this is called in. */
export const cancelled = (): Promise<never> => Context.current().cancelled;
