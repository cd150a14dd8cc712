import { workflowIds } from '../model/index.ts';
import { findStranded } from '../operations/index.ts';
import {
  closeNodes,
  endLeftGrants,
  findStrandedWarning,
  listEndedRunsWithOpenNodes,
  listIdleInProgress,
  listRunsInProgress,
  loadRun,
  loadUnendedNodes,
  recordEvent,
  setEnvironmentStatus,
} from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { endRun, workflowState } from './dropping.ts';

/** A run younger than this may simply not have reached Temporal yet. */
const graceSeconds = 60;
/** Grants that are ended at once at most; what is left over is for the next round. */
const leftGrants = 1000;

interface ScanLimits {
  readonly graceSeconds: number;
  readonly limit: number;
}

/**
 * Compares what the records say is in progress with what Temporal knows, and repairs what was ended from outside.
 * Safe to repeat and to run twice at once.
 */
export async function reconcile(deps: ActivityDeps, input: { limit: number }): Promise<{ repaired: number }> {
  let repaired = await deps.operations.resendPending(input.limit);
  const limits = { graceSeconds, limit: input.limit };
  for (const { id, status } of await listRunsInProgress(deps.db.sql, limits)) {
    if ((await workflowState(deps, workflowIds.deployment(id))) === 'open') {
      await warnIfStranded(deps, id);
      if (status === 'stopping') repaired += await endStrandedNodes(deps, id);
      continue;
    }
    const run = await loadRun(deps.db.sql, id);
    if (run !== null) await endRun(deps, run, 'its workflow was ended outside Windlass');
    repaired++;
  }
  repaired += await closeEndedNodes(deps, limits);
  repaired += await settleEnvironments(deps, limits);
  await endLeftGrants(deps.db.sql, leftGrants);
  return { repaired };
}

/** Nodes that are still open though their run has ended. */
async function closeEndedNodes({ db }: ActivityDeps, limits: ScanLimits): Promise<number> {
  let closed = 0;
  for (const id of await listEndedRunsWithOpenNodes(db.sql, limits)) {
    closed += await db.transaction((tx) =>
      closeNodes(tx, id, { status: 'aborted', message: 'its run had ended without it' }),
    );
  }
  return closed;
}

/** Environments that are shown in progress though nothing is: they failed, as far as anybody knows. */
async function settleEnvironments({ db }: ActivityDeps, limits: ScanLimits): Promise<number> {
  const ids = await listIdleInProgress(db.sql, limits);
  for (const id of ids) await db.transaction((tx) => setEnvironmentStatus(tx, id, 'failed', null));
  return ids.length;
}

/** Says once of a run that it does not go on, and what can be done. */
async function warnIfStranded(deps: ActivityDeps, deploymentId: string): Promise<void> {
  const stranded = await findStranded(deps.temporal, workflowIds.deployment(deploymentId)).catch(() => null);
  if (stranded === null) return;
  const known = await findStrandedWarning(deps.db.sql, deploymentId);
  if (known === null || known.told) return;
  deps.log.warn({ deploymentId, reason: stranded.reason }, 'a run of another version cannot go on');
  const message =
    `run #${known.number} was begun by another version of Windlass and cannot go on with this one: ` +
    'go back to that version until it has ended, or abort it and resume';
  await recordEvent(deps.db.sql, {
    type: 'environment.warning',
    environmentId: known.environmentId,
    deploymentId,
    alias: null,
    data: { kind: 'stranded', message },
  });
}

/** A node of another version does not hear that its run is being stopped, which would wait for it for ever. */
async function endStrandedNodes(deps: ActivityDeps, deploymentId: string): Promise<number> {
  let ended = 0;
  for (const { alias, compensation } of await loadUnendedNodes(deps.db.sql, deploymentId)) {
    const workflowId = workflowIds.node(deploymentId, alias, compensation);
    const stranded = await findStranded(deps.temporal, workflowId).catch(() => null);
    if (stranded === null) continue;
    await deps.temporal.workflow
      .getHandle(workflowId, stranded.runId)
      .terminate(`its run is being stopped, which it cannot hear: ${stranded.reason}`);
    ended++;
  }
  return ended;
}
