import { z } from 'zod';
import { destroyRetryMs } from '../definition/index.ts';
import type { EnvironmentActivities, EnvironmentLife, ExpiryAnswer, ScheduledActivities } from '../model/index.ts';
import { environmentLockSchema, isTerminalDeployment, systemActor, WindlassError } from '../model/index.ts';
import { hasNodeExpiry, postponeExpiry, readEnvironmentLife, recordEvent } from '../store/index.ts';
import type { Db, RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { postponeNode } from './node-expiry.ts';
import { auditRefusal } from './refusals.ts';
import type { Caller } from '../node/index.ts';

/** Clocks of machines differ by a little. */
const clockSlackMs = 60_000;

/** See EnvironmentActivities.readLife. */
export async function readLife(
  deps: Pick<ActivityDeps, 'db' | 'log'>,
  input: Parameters<EnvironmentActivities['readLife']>[0],
  caller: Caller,
): Promise<EnvironmentLife> {
  const life = (await readEnvironmentLife(deps.db.sql, input.environmentId)) ?? { expiresAtMs: null, lock: null };
  if (input.said !== undefined && !matchesRecords(input.said, life))
    await auditRefusal(deps, caller, {
      what: 'a change of the end or the lock',
      because: 'the records say otherwise',
      targetType: 'environment',
      targetId: input.environmentId,
      said: input.said,
    });
  return (await hasNodeExpiry(deps.db.sql, input.environmentId)) ? { ...life, nodeExpiry: true } : life;
}

const saidSchema = z.object({ expiresAtMs: z.number().nullish(), lock: environmentLockSchema.nullish() });

/** What a message carries that was sent by an API which still sent the things themselves. */
function matchesRecords(said: unknown, life: EnvironmentLife): boolean {
  const parsed = saidSchema.safeParse(said);
  if (!parsed.success) return false;
  const { expiresAtMs, lock } = parsed.data;
  return (
    (expiresAtMs === undefined || expiresAtMs === life.expiresAtMs) &&
    (lock === undefined || JSON.stringify(lock) === JSON.stringify(life.lock))
  );
}

/** See EnvironmentActivities.requestExpiry. */
export async function requestExpiry(
  deps: ActivityDeps,
  input: Parameters<EnvironmentActivities['requestExpiry']>[0],
  caller: Caller,
): Promise<ExpiryAnswer> {
  const { environmentId } = input;
  const { expiresAtMs } = await readLife(deps, { environmentId }, caller);
  if (expiresAtMs === null || expiresAtMs > caller.nowMs + clockSlackMs) {
    await auditRefusal(deps, caller, {
      what: 'the end of an environment',
      because: expiresAtMs === null ? 'it has none' : `it ends at ${new Date(expiresAtMs).toISOString()}`,
      targetType: 'environment',
      targetId: environmentId,
      said: input,
    });
    return { kind: 'moved', expiresAtMs };
  }
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
      expiresAtMs: await postponeDueExpiry(deps.db.sql, environmentId, { notAfterMs: expiresAtMs }),
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
export async function postponeDueExpiry(
  db: Db,
  environmentId: string,
  { notAfterMs = 0 }: { readonly notAfterMs?: number } = {},
): Promise<number | null> {
  const dueBy = new Date(Math.max(Date.now(), notAfterMs));
  return postponeExpiry(db, environmentId, { dueBy, until: new Date(dueBy.getTime() + destroyRetryMs) });
}

/** The node whose end a run is to bring about; null when that of the whole environment. */
export function expiringNode({ request }: Pick<RunRow, 'request'>): string | null {
  const { partial } = request;
  return partial?.operation === 'single-node-destroy' ? partial.node : null;
}

/** The destroy of an end has come to nothing: it is tried again. Answers what the workflow has to hear of it. */
export async function postponeAfter(
  tx: Db,
  run: Pick<RunRow, 'request' | 'environment_id'>,
): Promise<{ expiresAtMs: number | null } | { nodeExpiry: true }> {
  const alias = expiringNode(run);
  if (alias === null) return { expiresAtMs: await postponeDueExpiry(tx, run.environment_id) };
  await postponeNode(tx, { rootId: run.environment_id, alias });
  return { nodeExpiry: true };
}

export async function warnExpiry(
  deps: ActivityDeps,
  { environmentId }: Parameters<EnvironmentActivities['warnExpiry']>[0],
  caller: Caller,
): Promise<void> {
  const { expiresAtMs } = await readLife(deps, { environmentId }, caller);
  if (expiresAtMs === null) return;
  await recordEvent(deps.db.sql, {
    type: 'ttl.warning',
    environmentId,
    deploymentId: null,
    alias: null,
    data: {
      expiresAt: new Date(expiresAtMs).toISOString(),
      remainingSeconds: Math.round((expiresAtMs - caller.nowMs) / 1000),
    },
  });
}

/** See ScheduledActivities.requestScheduled. */
export async function requestScheduled(
  deps: ActivityDeps,
  input: Parameters<ScheduledActivities['requestScheduled']>[0],
  caller: Caller,
): Promise<{ skipped?: string }> {
  const { environmentId, kind, firedAt } = input;
  const firing = await deps.operations.checkFiring({ environmentId, kind, firedAt, nowMs: caller.nowMs });
  switch (firing.kind) {
    case 'unknown':
      await auditRefusal(deps, caller, {
        what: `a firing of the ${kind} schedule`,
        because: firing.because,
        targetType: 'environment',
        targetId: environmentId,
        said: input,
      });
      return { skipped: firing.because };
    case 'late':
      await deps.operations.recordSkipped({ ...input, message: firing.because });
      return { skipped: firing.because };
    case 'due':
  }
  try {
    await deps.operations.requestDeployment({
      actor: systemActor,
      environment: environmentId,
      request: { type: kind, comment: 'by schedule' },
      trigger: kind === 'drift' ? 'drift' : 'schedule',
      idempotencyKey: firing.key,
    });
    return {};
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    await deps.operations.recordSkipped({ ...input, message: error.message });
    return { skipped: error.message };
  }
}
