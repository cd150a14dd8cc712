import type { EnvironmentActivities, ExpiryAnswer, ScheduledActivities } from '../model/index.ts';
import { isTerminalDeployment, systemActor, WindlassError } from '../model/index.ts';
import { recordEvent } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { stopOrphans } from './orphans.ts';
import { closeNodes, loadRun, setEnvironmentStatus, setRunStatus } from './run-store.ts';

/** A destroy at the end of a time to live that did not succeed is tried again after this long. */
export const expiryRetryMs = 3600_000;

/** See EnvironmentActivities.requestExpiry. */
export async function requestExpiry(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['requestExpiry']>[0],
): Promise<ExpiryAnswer> {
  const { environmentId, expiresAtMs } = input;
  try {
    const { deployment, queued } = await deps.operations.prepareDeployment({
      actor: systemActor,
      environment: environmentId,
      request: { type: 'destroy', comment: `time to live ended at ${new Date(expiresAtMs).toISOString()}` },
      trigger: 'ttl',
      idempotencyKey: `ttl:${environmentId}:${expiresAtMs}`,
    });
    if (!isTerminalDeployment(deployment.status)) return { kind: 'run', run: queued };
    // It was asked for before and has ended since, unheard of here.
    return {
      kind: 'moved',
      expiresAtMs: await postponeExpiry(deps.db.sql, environmentId, { notAfterMs: expiresAtMs }),
    };
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    if (error.code === 'notFound') return { kind: 'moved', expiresAtMs: null };
    if (!input.told) {
      await recordEvent(deps.db.sql, {
        type: 'environment.warning',
        environmentId,
        deploymentId: null,
        alias: null,
        data: { message: `its time to live is over, and it is destroyed as soon as that is allowed: ${error.message}` },
      });
    }
    return { kind: 'refused', message: error.message };
  }
}

/**
 * Puts an end that has passed off by an hour, and leaves one that somebody has moved since. Answers the end that counts,
 * epoch milliseconds.
 */
export async function postponeExpiry(
  db: Db,
  environmentId: string,
  { notAfterMs = 0 }: { readonly notAfterMs?: number } = {},
): Promise<number | null> {
  const due = new Date(Math.max(Date.now(), notAfterMs));
  const row = await db
    .updateTable('environments')
    .set({ expires_at: new Date(due.getTime() + expiryRetryMs) })
    .where('id', '=', environmentId)
    .where('expires_at', '<=', due)
    .returning('expires_at')
    .executeTakeFirst();
  if (row === undefined) {
    const known = await db
      .selectFrom('environments')
      .select('expires_at')
      .where('id', '=', environmentId)
      .executeTakeFirst();
    return known?.expires_at?.getTime() ?? null;
  }
  await recordEvent(db, {
    type: 'ttl.changed',
    environmentId,
    deploymentId: null,
    alias: null,
    data: { expiresAt: row.expires_at?.toISOString() ?? null },
  });
  return row.expires_at?.getTime() ?? null;
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
): Promise<{ expiresAtMs?: number | null }> {
  const run = await loadRun(deps.db.sql, input.deploymentId);
  if (run === null) return {};
  if (run.status !== 'queued') await stopOrphans(deps, run.id);
  return deps.db.transaction(async (tx) => {
    const status = run.status === 'queued' ? 'cancelled' : 'aborted';
    const ended = await setRunStatus(tx, run.id, { status, error: { class: 'cancelled', message: input.message } });
    if (ended && run.status !== 'queued') {
      await closeNodes(tx, run.id, { status: 'aborted', message: input.message });
      if (run.environment_status.endsWith('InProgress'))
        await setEnvironmentStatus(tx, run.environment_id, 'failed', run.id);
    }
    // What should have ended the environment has not: it is tried again.
    return run.trigger === 'ttl' ? { expiresAtMs: await postponeExpiry(tx, run.environment_id) } : {};
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
    await deps.operations.recordSkipped({ ...input, message: error.message });
    return { skipped: error.message };
  }
}
