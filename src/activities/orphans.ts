import { workflowIds } from '../model/index.ts';
import { findStranded } from '../operations/index.ts';
import { loadUnendedNodes } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

/** Enough for a tool to be interrupted and to write its state; shorter than the activity that waits may take. */
const longestWaitMs = 90_000;

/**
 * Children outlive their deployment so that it can continue as new; when it was terminated they have to be stopped, and
 * the next run must not begin while their tools still work.
 */
export async function stopOrphans(deps: ActivityDeps, deploymentId: string): Promise<void> {
  const rows = await loadUnendedNodes(deps.db.sql, deploymentId);
  if (rows.length === 0) return;
  const ended = rows.map(async ({ alias, compensation }) => {
    const workflowId = workflowIds.node(deploymentId, alias, compensation);
    const child = deps.temporal.workflow.getHandle(workflowId);
    // One of another version cannot hear; its tool is stopped when its worker hears that nobody waits for it.
    const stranded = await findStranded(deps.temporal, workflowId);
    if (stranded === null) await child.cancel();
    else await child.terminate(`its run was ended outside Windlass: ${stranded.reason}`);
    await child.result();
  });
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, longestWaitMs);
  });
  await Promise.race([Promise.allSettled(ended), enough]);
  clearTimeout(timer);
}
