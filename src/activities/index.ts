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

/** Activities of the orchestration queue: short calls on records. */
export function createOrchestrationActivities(deps: ActivityDeps): OrchestrationActivities {
  return {
    resolveDeployment: ({ deploymentId }) => resolveDeployment(deps, deploymentId),
    recordNodes: (input) => recordNodes(deps, input),
    setDeploymentStatus: (input) => setDeploymentStatus(deps, input),
    planCompensation: ({ deploymentId }) => planCompensation(deps, deploymentId),
    finishDeployment: (input) => finishDeployment(deps, input),
    watchNodes: (input) => watchNodes(deps, input),
    requestExpiry: (input) => requestExpiry(deps, input),
    warnExpiry: (input) => warnExpiry(deps, input),
    recordCancelled: (input) => recordCancelled(deps, input),
    requestScheduled: (input) => requestScheduled(deps, input),
    reconcile: (input) => reconcile(deps, input),
    keepHouse: () => keepHouse(deps),
  };
}

/** Activities of the run queue: they run tools. */
export function createRunActivities(deps: ActivityDeps): RunActivities {
  return { runNode: (input) => runNode(deps, input) };
}
