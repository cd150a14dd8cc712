import { Context } from '@temporalio/activity';
import type { OrchestrationActivities, RunActivities } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { finishDeployment, planCompensation, recordNodes, setDeploymentStatus } from './records.ts';
import { keepHouse } from './housekeeping.ts';
import { reconcile } from './reconcile.ts';
import { requestExpiry, requestScheduled, recordCancelled, warnExpiry } from './lifecycle.ts';
import { resolveDeployment } from './resolve-deployment.ts';
import { runNode } from './run-node.ts';
import { watchNodes } from './watch-nodes.ts';

export type { ActivityDeps, WorkerIdentity } from './deps.ts';
export { tidyDisk } from './tidy-disk.ts';

/** How often Temporal hears that this worker lives; it gives up after 15 s. */
const heartbeatEveryMs = 4000;

/** Says that this worker lives for as long as the call takes, so that another one soon makes it again when it dies. */
function alive<I, O>(work: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
    try {
      return await work(input);
    } finally {
      clearInterval(beating);
    }
  };
}

/** Activities of the orchestration queue: short calls on records. */
export function createOrchestrationActivities(deps: ActivityDeps): OrchestrationActivities {
  return {
    resolveDeployment: alive(({ deploymentId }) => resolveDeployment(deps, deploymentId)),
    recordNodes: alive((input) => recordNodes(deps, input)),
    setDeploymentStatus: alive((input) => setDeploymentStatus(deps, input)),
    planCompensation: alive(({ deploymentId }) => planCompensation(deps, deploymentId)),
    finishDeployment: alive((input) => finishDeployment(deps, input)),
    watchNodes: alive((input) => watchNodes(deps, input)),
    requestExpiry: alive((input) => requestExpiry(deps, input)),
    warnExpiry: alive((input) => warnExpiry(deps, input)),
    recordCancelled: alive((input) => recordCancelled(deps, input)),
    requestScheduled: alive((input) => requestScheduled(deps, input)),
    reconcile: alive((input) => reconcile(deps, input)),
    keepHouse: alive<void, { removed: number }>(() => keepHouse(deps)),
  };
}

/** Activities of the run queue: they run tools. */
export function createRunActivities(deps: ActivityDeps): RunActivities {
  return { runNode: (input) => runNode(deps, input) };
}
