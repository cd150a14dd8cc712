import { Context } from '@temporalio/activity';
import type { OrchestrationActivities, RunActivities } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { forHistory } from './history.ts';
import { finishDeployment, planCompensation, recordNodes, setDeploymentStatus } from './records.ts';
import { keepHouse } from './housekeeping.ts';
import { reconcile } from './reconcile.ts';
import { requestExpiry, requestScheduled, recordCancelled, warnExpiry } from './lifecycle.ts';
import { resolveDeployment } from './resolve-deployment.ts';
import { runNode } from './run-node.ts';
import { watchNodes } from './watch-nodes.ts';

export type { ActivityDeps, WorkerIdentity } from './deps.ts';
export { createRunResolver } from './outlook.ts';
export { tidyDisk } from './tidy-disk.ts';

/** How often Temporal hears that this worker lives; it gives up after 15 s. */
const heartbeatEveryMs = 4000;

/** Says that this worker lives for as long as the call takes, so that another one soon makes it again when it dies. */
function alive<I, O>({ log }: ActivityDeps, work: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
    try {
      return await work(input);
    } catch (error) {
      throw forHistory(error, context.info.activityType, log);
    } finally {
      clearInterval(beating);
    }
  };
}

/** Activities of the orchestration queue: short calls on records. */
export function createOrchestrationActivities(deps: ActivityDeps): OrchestrationActivities {
  return {
    resolveDeployment: alive(deps, ({ deploymentId }) => resolveDeployment(deps, deploymentId)),
    recordNodes: alive(deps, (input) => recordNodes(deps, input)),
    setDeploymentStatus: alive(deps, (input) => setDeploymentStatus(deps, input)),
    planCompensation: alive(deps, ({ deploymentId }) => planCompensation(deps, deploymentId)),
    finishDeployment: alive(deps, (input) => finishDeployment(deps, input)),
    watchNodes: alive(deps, (input) => watchNodes(deps, input)),
    requestExpiry: alive(deps, (input) => requestExpiry(deps, input)),
    warnExpiry: alive(deps, (input) => warnExpiry(deps, input)),
    recordCancelled: alive(deps, (input) => recordCancelled(deps, input)),
    requestScheduled: alive(deps, (input) => requestScheduled(deps, input)),
    reconcile: alive(deps, (input) => reconcile(deps, input)),
    keepHouse: alive<void, { removed: number }>(deps, () => keepHouse(deps)),
  };
}

/** Activities of the run queue: they run tools. */
export function createRunActivities(deps: ActivityDeps): RunActivities {
  return { runNode: (input) => runNode(deps, input) };
}
