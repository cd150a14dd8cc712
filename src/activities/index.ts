import { Context } from '@temporalio/activity';
import { toAnswer } from '../definition/index.ts';
import type { OrchestrationActivities, RunActivities } from '../model/index.ts';
import { workflowIds } from '../model/index.ts';
import { endArchived } from './archived.ts';
import type { ActivityDeps } from './deps.ts';
import { finishDeployment, planCompensation, recordNodes, setDeploymentStatus } from './records.ts';
import { pruneRecords } from './housekeeping.ts';
import { reconcile } from './reconcile.ts';
import { makeWay, recordedStop, takeControl } from './control.ts';
import { recordCancelled } from './dropping.ts';
import { processNodeExpiry } from './node-expiry.ts';
import { readLife, requestExpiry, requestScheduled, warnExpiry } from './lifecycle.ts';
import { requireCaller } from './refusals.ts';
import { callerOf, createRunActivities, forHistory } from '../node/index.ts';
import type { Caller } from '../node/index.ts';
import { isDatabaseUnavailable } from '../store/index.ts';
import { resolveDeployment } from './resolve-deployment.ts';
import { createDirectHost } from './node-host/index.ts';
import { watchNodes } from './watch-nodes.ts';

export type { ActivityDeps } from './deps.ts';
export { createPoolAccess } from './node-host/index.ts';
export { createRunResolver } from './dry-run.ts';
export { pruneDisk } from './prune-disk.ts';

/** How often Temporal hears that this worker lives; it gives up after 15 s. */
const heartbeatEveryMs = 4000;

/** Says that this worker lives for as long as the call takes, so that another one soon makes it again when it dies. */
function alive<I, O>({ log }: ActivityDeps, work: (input: I, caller: Caller) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
    try {
      return await work(input, callerOf(context));
    } catch (error) {
      throw forHistory(error, { activity: context.info.activityType, log, isAway: isDatabaseUnavailable });
    } finally {
      clearInterval(beating);
    }
  };
}

/** Activities of the orchestration queue: short calls on records. */
export function createOrchestrationActivities(deps: ActivityDeps): OrchestrationActivities {
  /** Only the one workflow of a run may call. */
  const ofRun = <I extends { readonly deploymentId: string }, O>(
    what: string,
    work: (input: I, caller: Caller) => Promise<O>,
  ): ((input: I) => Promise<O>) =>
    alive(deps, async (input, caller) => {
      const { deploymentId: targetId } = input;
      const refusal = { what, targetType: 'deployment', targetId, said: input } as const;
      await requireCaller(deps, caller, workflowIds.deployment(targetId), refusal);
      return work(input, caller);
    });
  /** Only the one workflow of an environment may call. */
  const ofEnvironment = <I extends { readonly environmentId: string }, O>(
    what: string,
    work: (input: I, caller: Caller) => Promise<O>,
  ): ((input: I) => Promise<O>) =>
    alive(deps, async (input, caller) => {
      const { environmentId: targetId } = input;
      const refusal = { what, targetType: 'environment', targetId, said: input } as const;
      await requireCaller(deps, caller, workflowIds.environment(targetId), refusal);
      return work(input, caller);
    });
  return {
    resolveDeployment: ofRun('starting a run', async (input, caller) =>
      toAnswer(await resolveDeployment(deps, input, caller)),
    ),
    takeControl: ofRun('control', (input, caller) => takeControl(deps, input, caller)),
    makeWay: ofRun('making way', (input, caller) => makeWay(deps, input, caller)),
    recordedStop: alive(deps, (input, caller) => recordedStop(deps, input, caller)),
    recordNodes: ofRun('recording nodes', (input, caller) => recordNodes(deps, input, caller)),
    setDeploymentStatus: ofRun('changing a run', (input, caller) => setDeploymentStatus(deps, input, caller)),
    planCompensation: ofRun('a rollback', (input, caller) => planCompensation(deps, input.deploymentId, caller)),
    finishDeployment: ofRun('ending a run', (input, caller) => finishDeployment(deps, input, caller)),
    watchNodes: ofRun('watching nodes', (input) => watchNodes(deps, input)),
    readLife: ofEnvironment('reading the end and the lock', (input, caller) => readLife(deps, input, caller)),
    requestExpiry: ofEnvironment('the end of an environment', (input, caller) => requestExpiry(deps, input, caller)),
    attendNodeExpiry: ofEnvironment('the ends of nodes', (input, caller) => processNodeExpiry(deps, input, caller)),
    warnExpiry: ofEnvironment('a warning', (input, caller) => warnExpiry(deps, input, caller)),
    recordCancelled: alive(deps, (input, caller) => recordCancelled(deps, input, caller)),
    requestScheduled: alive(deps, async (input, caller) => {
      const { environmentId: targetId } = input;
      const refusal = { what: 'a firing of a schedule', targetType: 'environment', targetId, said: input } as const;
      await requireCaller(deps, caller, input.firedAt, refusal);
      return requestScheduled(deps, input, caller);
    }),
    reconcile: alive(deps, (input) => reconcile(deps, input)),
    keepHouse: alive<void, { removed: number }>(deps, async () => {
      const done = await pruneRecords(deps);
      await endArchived(deps);
      return done;
    }),
  };
}

/** Activities of the run queue: they run tools. */
export function createToolActivities(deps: ActivityDeps): RunActivities {
  return createRunActivities(deps, createDirectHost(deps));
}
