import type { EnvironmentActivities, QueuedRun, ScheduledActivities } from '../model/index.ts';
import { systemActor, WindlassError } from '../model/index.ts';
import { recordEvent } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { stopOrphans } from './orphans.ts';
import { closeNodes, loadRun, setEnvironmentStatus, setRunStatus } from './run-store.ts';

/** See EnvironmentActivities.requestExpiry. */
export async function requestExpiry(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['requestExpiry']>[0],
): Promise<QueuedRun | null> {
  try {
    const prepared = await deps.operations.prepareDeployment({
      actor: systemActor,
      environment: input.environmentId,
      request: { type: 'destroy', comment: `time to live ended at ${new Date(input.expiresAtMs).toISOString()}` },
      trigger: 'ttl',
      idempotencyKey: `ttl:${input.environmentId}:${input.expiresAtMs}`,
    });
    return prepared.queued;
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    await recordEvent(deps.db.sql, {
      type: 'environment.warning',
      environmentId: input.environmentId,
      deploymentId: null,
      alias: null,
      data: { message: `its time to live is over, but it was not destroyed: ${error.message}` },
    });
    return null;
  }
}

export async function warnExpiry(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['warnExpiry']>[0],
): Promise<void> {
  await recordEvent(deps.db.sql, {
    type: 'ttl.warning',
    environmentId: input.environmentId,
    deploymentId: null,
    alias: null,
    data: {
      expiresAt: new Date(input.expiresAtMs).toISOString(),
      remainingSeconds: Math.round(input.remainingMs / 1000),
    },
  });
}

/** A run that was dropped before its turn, or whose workflow was ended from outside. */
export async function recordCancelled(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['recordCancelled']>[0],
): Promise<void> {
  const run = await loadRun(deps.db.sql, input.deploymentId);
  if (run === null) return;
  if (run.status !== 'queued') await stopOrphans(deps, run.id);
  await deps.db.transaction(async (tx) => {
    const status = run.status === 'queued' ? 'cancelled' : 'aborted';
    const ended = await setRunStatus(tx, run.id, { status, error: { class: 'cancelled', message: input.message } });
    if (!ended || run.status === 'queued') return;
    await closeNodes(tx, run.id, { status: 'aborted', message: input.message });
    if (run.environment_status.endsWith('InProgress'))
      await setEnvironmentStatus(tx, run.environment_id, 'failed', run.id);
  });
}

/** See ScheduledActivities.requestScheduled. */
export async function requestScheduled(
  deps: ActivityDeps,
  input: Parameters<ScheduledActivities['requestScheduled']>[0],
): Promise<{ skipped?: string }> {
  try {
    await deps.operations.requestDeployment({
      actor: systemActor,
      environment: input.environmentId,
      request: { type: input.kind, comment: 'by schedule' },
      trigger: input.kind === 'drift' ? 'drift' : 'schedule',
      idempotencyKey: input.firedAt,
    });
    return {};
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    await recordEvent(deps.db.sql, {
      type: 'schedule.skipped',
      environmentId: input.environmentId,
      deploymentId: null,
      alias: null,
      data: { kind: input.kind, firedAt: input.firedAt, message: error.message },
    });
    return { skipped: error.message };
  }
}
