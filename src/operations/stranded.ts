import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';

/** An open workflow whose history the code of this version cannot follow: it takes no step and answers nobody. */
export interface Stranded {
  readonly runId: string;
  /** What the worker said about the history. */
  readonly reason: string;
  /** Workflows that it started and that are still open. */
  readonly openChildren: number;
}

/** WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR; the numbers are fixed by Temporal's API. */
const nonDeterministic = 24;
/** A task that failed once may have met an older worker, in the middle of an upgrade. */
const leastAttempts = 2;
/** What else may have happened since the task failed, such as signals and ends of children. */
const newestEvents = 50;

/** How a workflow is stranded; null when it is not, or is not open. Throws what the Temporal client throws. */
export async function findStranded(client: Client, workflowId: string): Promise<Stranded | null> {
  const handle = client.workflow.getHandle(workflowId);
  const described = await handle.describe().catch((thrown: unknown) => {
    if (thrown instanceof WorkflowNotFoundError) return null;
    throw thrown;
  });
  if (described === null || described.status.name !== 'RUNNING') return null;
  const { pendingWorkflowTask, pendingChildren } = described.raw;
  if ((pendingWorkflowTask?.attempt ?? 0) < leastAttempts) return null;
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId: described.runId },
    maximumPageSize: newestEvents,
  });
  for (const event of history?.events ?? []) {
    if (event.workflowTaskCompletedEventAttributes) return null;
    const failed = event.workflowTaskFailedEventAttributes;
    if (!failed) continue;
    if (failed.cause !== nonDeterministic) return null;
    return {
      runId: described.runId,
      reason: failed.failure?.message ?? 'its history does not fit',
      openChildren: pendingChildren?.length ?? 0,
    };
  }
  return null;
}
