/** How the workflow of an environment begins runs, and what it learns of their endings. */
import {
  ActivityFailure,
  ChildWorkflowFailure,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  rootCause,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { EnvironmentWorkflowInput, QueuedRun } from '../../model/environment-messages.ts';
import type { DeploymentOutcome } from '../../model/orchestration.ts';
import { deploymentMessages, taskQueues, workflowIds } from '../../model/orchestration.ts';
import type { deployment } from '../graph/deployment.ts';
import { records } from '../proxies.ts';
import { attributesOfChild } from '../search-attributes.ts';
import { isRefused } from '../stopping.ts';

/** `unknown`: the records know no such run, and it may be sent again. */
type Ending = Pick<DeploymentOutcome, 'expiresAtMs' | 'nodeExpiry'> & { readonly unknown?: true };

/** Begins a run as a child and follows it to its end, also one that its workflow does not bring about. */
export async function executeRun(
  { environmentId, projectId }: EnvironmentWorkflowInput,
  run: QueuedRun,
): Promise<Ending> {
  const { deploymentId, title, type } = run;
  try {
    const child = await startChild<typeof deployment>('deployment', {
      workflowId: workflowIds.deployment(deploymentId),
      args: [{ deploymentId, environmentId, projectId, title, type }],
      taskQueue: taskQueues.orchestration,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      // A closed one of this id may be a stranger's, who was refused; whether the run may begin is looked up by itself.
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      typedSearchAttributes: attributesOfChild('deployment'),
      staticSummary: title,
    });
    return await child.result();
  } catch (error) {
    // One that has already begun under an earlier life of this workflow is left to the reconciliation.
    if (!(error instanceof ChildWorkflowFailure)) return {};
    // What there is of that id is not touched.
    if (error.cause instanceof ActivityFailure && isRefused(error.cause)) return { unknown: true };
    // It was ended from outside: the record must not stay open.
    return records.recordCancelled({
      deploymentId,
      message: rootCause(error) ?? 'its workflow ended from outside',
      cause: { kind: 'lost' },
    });
  }
}

/** Tells a run that only reads to make way. */
export function preemptRun(run: QueuedRun, by: QueuedRun): void {
  // For people who read the history: the run looks up whether it is so.
  const hint = { kind: 'cancel', by: 'windlass', reason: `makes way for ${by.title}` };
  void getExternalWorkflowHandle(workflowIds.deployment(run.deploymentId))
    .signal(deploymentMessages.makeWay, hint)
    .catch(() => undefined);
}
