import { workflowIds, workflowTypes } from '../model/index.ts';
import { archivedAmong } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

const batch = 500;

/**
 * Tells the workflows of archived environments to look at their records, upon which they end: those that were archived
 * while Temporal was away, or by a version that let them wait for ever.
 */
export async function endArchived(deps: Pick<ActivityDeps, 'db' | 'operations' | 'temporal'>): Promise<void> {
  const prefix = workflowIds.environment('');
  const query = `WorkflowType = '${workflowTypes.environment}' AND ExecutionStatus = 'Running'`;
  let ids: string[] = [];
  const tell = async (): Promise<void> => {
    for (const environmentId of await archivedAmong(deps.db.sql, ids))
      await deps.operations.notifyArchived({ environmentId });
    ids = [];
  };
  for await (const { workflowId } of deps.temporal.workflow.list({ query })) {
    if (workflowId.startsWith(prefix)) ids.push(workflowId.slice(prefix.length));
    if (ids.length >= batch) await tell();
  }
  await tell();
}
