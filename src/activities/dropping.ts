/** How a run ends without its workflow: dropped before its turn, or after its workflow was ended from outside. */
import { WorkflowNotFoundError, isGrpcServiceError } from '@temporalio/client';
import type { DropCause, EnvironmentActivities } from '../model/index.ts';
import { workflowIds } from '../model/index.ts';
import {
  closeNodes,
  isReplacedBy,
  loadRun,
  loadRunState,
  lockControlRequest,
  readEnvironmentLife,
  readNodeExpiry,
  setEnvironmentStatus,
  setRunStatus,
  settleControlRequest,
} from '../store/index.ts';
import type { Db, RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { expiringNode, postponeAfter } from './lifecycle.ts';
import { stopOrphans } from './orphans.ts';
import { auditRefusal, requireCaller } from './refusals.ts';
import type { Caller } from '../node/index.ts';

type Dropped = Awaited<ReturnType<EnvironmentActivities['recordCancelled']>>;

/** See EnvironmentActivities.recordCancelled. */
export async function recordCancelled(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['recordCancelled']>[0],
  caller: Caller,
): Promise<Dropped> {
  const { deploymentId, cause, message } = input;
  const run = await loadRun(deps.db.sql, deploymentId);
  if (run === null) return {};
  const refusal = { what: 'dropping a run', targetType: 'deployment', targetId: deploymentId, said: input } as const;
  await requireCaller(deps, caller, workflowIds.environment(run.environment_id), refusal);
  if (run.over) return endRun(deps, run, message);
  const causes: readonly DropCause[] = cause === undefined ? [{ kind: 'lost' }, { kind: 'putOff' }] : [cause];
  for (const one of causes) {
    if (one.kind === 'lost' ? await isLost(deps, run) : await dropQueued(deps, run, one, caller))
      return endRun(deps, run, message);
  }
  await auditRefusal(deps, caller, { ...refusal, because: 'the records know no reason for it' });
  return { cancelled: false };
}

/** A run whose workflow is gone: its tools are stopped, and its records are closed. */
export async function endRun(deps: ActivityDeps, run: RunRow, message: string): Promise<Dropped> {
  if (run.status !== 'queued') await stopOrphans(deps, run.id);
  return deps.db.transaction(async (tx) => {
    const status = run.status === 'queued' ? 'cancelled' : 'aborted';
    const ended = await setRunStatus(tx, run.id, { status, error: { class: 'cancelled', message } });
    if (ended && run.status !== 'queued') {
      await closeNodes(tx, run.id, { status: 'aborted', message });
      if (run.environment_status.endsWith('InProgress'))
        await setEnvironmentStatus(tx, run.environment_id, 'failed', run.id);
    }
    // What should have ended the environment, or a node of it, has not: it is tried again.
    return {
      cancelled: true,
      ...(run.trigger === 'ttl' ? await postponeAfter(tx, run) : {}),
    };
  });
}

/** Whether a queued run may be dropped for this cause. What was asked for is marked as done with it. */
function dropQueued(
  deps: ActivityDeps,
  run: RunRow,
  cause: Exclude<DropCause, { kind: 'lost' }>,
  caller: Caller,
): Promise<boolean> {
  return deps.db.transaction(async (tx) => {
    const state = await loadRunState(tx, run.id, { lock: true });
    if (state?.status !== 'queued') return false;
    switch (cause.kind) {
      case 'requested':
        return cause.requestId !== null && takeRequest(tx, run.id, cause.requestId, caller.callId);
      case 'putOff':
        return run.trigger === 'ttl' && isExpiryPostponed(tx, run, caller.nowMs);
      case 'replaced':
        return isReplacedBy(tx, { id: run.id, number: run.number, environmentId: run.environment_id }, cause.by);
    }
  });
}

async function takeRequest(tx: Db, deploymentId: string, requestId: string, callId: string): Promise<boolean> {
  const recorded = await lockControlRequest(tx, { deploymentId, requestId });
  if (recorded === null || !['cancel', 'abort', 'rollback'].includes(recorded.request.kind)) return false;
  if (recorded.status === 'taken') return recorded.takenBy === callId;
  return settleControlRequest(tx, requestId, { status: 'taken', by: callId });
}

/** Whether what the run is to end does not end now. */
async function isExpiryPostponed(tx: Db, run: RunRow, nowMs: number): Promise<boolean> {
  const alias = expiringNode(run);
  const expiresAtMs =
    alias === null
      ? (await readEnvironmentLife(tx, run.environment_id))?.expiresAtMs
      : await readNodeExpiry(tx, run.environment_id, alias);
  return expiresAtMs !== undefined && (expiresAtMs === null || expiresAtMs > nowMs);
}

/** Its workflow was there and has ended, though the record is open. */
async function isLost(deps: ActivityDeps, run: RunRow): Promise<boolean> {
  return (await workflowState(deps, workflowIds.deployment(run.id))) === 'closed';
}

/** Whether a workflow is open, as far as anybody can tell. */
export async function workflowState(
  deps: Pick<ActivityDeps, 'temporal'>,
  workflowId: string,
): Promise<'open' | 'closed' | 'none'> {
  try {
    const { status } = await deps.temporal.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' || status.name === 'CONTINUED_AS_NEW' ? 'open' : 'closed';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'none';
    if (isGrpcServiceError(error)) return 'open';
    throw error;
  }
}
