import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { sql } from 'kysely';
import { workflowIds } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { recordCancelled } from './lifecycle.ts';
import { closeNodes, setEnvironmentStatus } from './run-store.ts';

/** A run younger than this may simply not have reached Temporal yet. */
const graceSeconds = 60;

/**
 * Compares what the records say is in progress with what Temporal knows, and repairs what was ended from outside.
 * Safe to repeat and to run twice at once.
 */
export async function reconcile(deps: ActivityDeps, input: { limit: number }): Promise<{ repaired: number }> {
  let repaired = await deps.operations.resendPending(input.limit);
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM deployments WHERE status IN ('running', 'stopping', 'rollingBack') AND started_at < now() - make_interval(secs => ${graceSeconds})
    ORDER BY started_at LIMIT ${input.limit}`.execute(deps.db.sql);
  for (const { id } of rows) {
    if (await isOpen(deps, workflowIds.deployment(id))) continue;
    await recordCancelled(deps, { deploymentId: id, message: 'its workflow was ended outside Windlass' });
    repaired++;
  }
  repaired += await closeEndedNodes(deps, input.limit);
  repaired += await settleEnvironments(deps, input.limit);
  return { repaired };
}

/** Nodes that are still open though their run has ended. */
async function closeEndedNodes(deps: ActivityDeps, limit: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT d.id FROM deployments d JOIN node_runs n ON n.deployment_id = d.id
    WHERE d.finished_at < now() - make_interval(secs => ${graceSeconds}) AND d.finished_at > now() - interval '1 day'
      AND n.status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled', 'aborted')
    LIMIT ${limit}`.execute(deps.db.sql);
  let closed = 0;
  for (const { id } of rows) {
    closed += await deps.db.transaction((tx) =>
      closeNodes(tx, id, { status: 'aborted', message: 'its run had ended without it' }),
    );
  }
  return closed;
}

/** Environments that are shown in progress though nothing is: they failed, as far as anybody knows. */
async function settleEnvironments(deps: ActivityDeps, limit: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    SELECT e.id FROM environments e WHERE e.status IN ('deployInProgress', 'destroyInProgress')
      AND e.updated_at < now() - make_interval(secs => ${graceSeconds})
      AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.environment_id = COALESCE(e.parent_id, e.id) AND d.finished_at IS NULL
        AND d.status <> 'queued' AND d.type NOT IN ('plan', 'drift'))
    LIMIT ${limit}`.execute(deps.db.sql);
  for (const { id } of rows) await deps.db.transaction((tx) => setEnvironmentStatus(tx, id, 'failed', null));
  return rows.length;
}

async function isOpen(deps: ActivityDeps, workflowId: string): Promise<boolean> {
  try {
    const { status } = await deps.temporal.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' || status.name === 'CONTINUED_AS_NEW';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    if (isGrpcServiceError(error)) return true;
    throw error;
  }
}
