import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { sql } from 'kysely';
import { workflowIds } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { recordCancelled } from './lifecycle.ts';

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
    await stopOrphans(deps, id);
    repaired++;
  }
  return { repaired };
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

/** Children outlive their deployment so that it can continue as new; when it was terminated they have to be stopped. */
async function stopOrphans(deps: ActivityDeps, deploymentId: string): Promise<void> {
  const { rows } = await sql<{ alias: string; compensation: boolean }>`
    SELECT alias, compensation FROM node_runs WHERE deployment_id = ${deploymentId} AND started_at IS NOT NULL`.execute(deps.db.sql);
  for (const { alias, compensation } of rows) {
    const id = workflowIds.node(deploymentId, alias, compensation);
    await deps.temporal.workflow.getHandle(id).cancel().catch(() => undefined);
  }
}
