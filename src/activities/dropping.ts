/** How a run ends without its workflow: dropped before its turn, or after its workflow was ended from outside. */
import { WorkflowNotFoundError, isGrpcServiceError } from '@temporalio/client';
import { sql } from 'kysely';
import type { DropCause, EnvironmentActivities } from '../model/index.ts';
import { workflowIds } from '../model/index.ts';
import { lockControlRequest, settleControlRequest } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { postponeExpiry } from './lifecycle.ts';
import { stopOrphans } from './orphans.ts';
import { auditRefusal, requireCaller } from './refusals.ts';
import type { Caller } from '../node/index.ts';
import { closeNodes, loadRun, setEnvironmentStatus, setRunStatus } from './run-store.ts';
import type { RunRow } from './run-store.ts';

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
    // What should have ended the environment has not: it is tried again.
    return {
      cancelled: true,
      ...(run.trigger === 'ttl' ? { expiresAtMs: await postponeExpiry(tx, run.environment_id) } : {}),
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
    const row = await tx
      .selectFrom('deployments')
      .select('status')
      .where('id', '=', run.id)
      .forUpdate()
      .executeTakeFirst();
    if (row?.status !== 'queued') return false;
    switch (cause.kind) {
      case 'requested':
        return cause.requestId !== null && takeRequest(tx, run.id, cause.requestId, caller.callId);
      case 'putOff':
        return run.trigger === 'ttl' && isPutOff(tx, run.environment_id, caller.nowMs);
      case 'replaced':
        return isReplaced(tx, run, cause.by);
    }
  });
}

async function takeRequest(tx: Db, deploymentId: string, requestId: string, callId: string): Promise<boolean> {
  const recorded = await lockControlRequest(tx, { deploymentId, requestId });
  if (recorded === null || !['cancel', 'abort', 'rollback'].includes(recorded.request.kind)) return false;
  if (recorded.status === 'taken') return recorded.takenBy === callId;
  return settleControlRequest(tx, requestId, { status: 'taken', by: callId });
}

async function isPutOff(tx: Db, environmentId: string, nowMs: number): Promise<boolean> {
  const row = await tx
    .selectFrom('environments')
    .select('expires_at')
    .where('id', '=', environmentId)
    .executeTakeFirst();
  return row !== undefined && (row.expires_at === null || row.expires_at.getTime() > nowMs);
}

/** A newer deploy of the whole takes the place of an older one, when the environment is set so and nothing lies between. */
async function isReplaced(tx: Db, run: RunRow, by: string): Promise<boolean> {
  const whole = sql`request -> 'partial' IS NULL AND request -> 'resume' IS NULL AND type = 'deploy'`;
  const { rows } = await sql`
    SELECT 1 FROM deployments newer JOIN environments e ON e.id = newer.environment_id
    WHERE newer.id = ${by} AND newer.environment_id = ${run.environment_id} AND newer.number > ${run.number}
      AND newer.finished_at IS NULL AND (e.settings ->> 'coalesceDeploys')::boolean
      AND newer.id IN (SELECT id FROM deployments WHERE id = ${by} AND ${whole})
      AND EXISTS (SELECT 1 FROM deployments WHERE id = ${run.id} AND ${whole})
      AND NOT EXISTS (SELECT 1 FROM deployments between_them WHERE between_them.environment_id = ${run.environment_id}
        AND between_them.number > ${run.number} AND between_them.number < newer.number
        AND between_them.status = 'queued' AND between_them.type IN ('destroy', 'rollback'))`.execute(tx);
  return rows.length > 0;
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
