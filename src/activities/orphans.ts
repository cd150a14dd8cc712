import { sql } from 'kysely';
import { workflowIds } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';

/** Enough for a tool to be interrupted and to write its state; shorter than the activity that waits may take. */
const longestWaitMs = 90_000;

/**
 * Children outlive their deployment so that it can continue as new; when it was terminated they have to be stopped, and
 * the next run must not begin while their tools still work.
 */
export async function stopOrphans(deps: ActivityDeps, deploymentId: string): Promise<void> {
  const { rows } = await sql<{ alias: string; compensation: boolean }>`
    SELECT alias, compensation FROM node_runs WHERE deployment_id = ${deploymentId} AND started_at IS NOT NULL
      AND status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled', 'aborted')`.execute(deps.db.sql);
  if (rows.length === 0) return;
  const ended = rows.map(async ({ alias, compensation }) => {
    const child = deps.temporal.workflow.getHandle(workflowIds.node(deploymentId, alias, compensation));
    await child.cancel();
    await child.result();
  });
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, longestWaitMs);
  });
  await Promise.race([Promise.allSettled(ended), enough]);
  clearTimeout(timer);
}
