import { proxyActivities } from '@temporalio/workflow';
import type { ActivityInterfaceFor } from '@temporalio/workflow';
import type { EnvironmentActivities } from '../model/environment-messages.ts';
import type { DeploymentActivities, OrchestrationActivities } from '../model/orchestration.ts';
import { taskQueues } from '../model/orchestration.ts';

/**
 * Records change only through short calls that may be repeated; they are tried until the database is back. A worker that
 * dies in one is missed after its heartbeats, not after the time that the longest of them may take.
 */
const recordOptions = {
  taskQueue: taskQueues.orchestration,
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumInterval: '15 seconds' },
} as const;

export const records = proxyActivities<ActivityInterfaceFor<OrchestrationActivities>>(recordOptions);

/** Reads and checks files from git: may take minutes for a large repository. */
export const { resolveDeployment } = proxyActivities<Pick<DeploymentActivities, 'resolveDeployment'>>({
  ...recordOptions,
  startToCloseTimeout: '30 minutes',
});

/** Waits as long as the children it watches run; another worker goes on when this one dies. */
export const { watchNodes } = proxyActivities<Pick<DeploymentActivities, 'watchNodes'>>({
  ...recordOptions,
  startToCloseTimeout: '30 days',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
});

export type { EnvironmentActivities };
