import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { systemActor, WindlassError } from '../model/index.ts';
import type { Actor } from '../model/index.ts';
import { freeEndedLocks, recordEvent } from '../store/index.ts';
import type { Db, Schema } from '../store/index.ts';
import { audit } from './audit.ts';
import { fenced, readOnly } from './grants.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, LockInfo, StateContext, StateLock } from './types.ts';

function toInfo(info: unknown, lockId: string): LockInfo {
  const parsed = lockInfoSchema.safeParse(info);
  return parsed.success ? parsed.data : lockInfoSchema.parse({ ID: lockId });
}

function toLock(row: Selectable<Schema['state_locks']>): StateLock {
  return {
    lockId: row.lock_id,
    info: toInfo(row.info, row.lock_id),
    deploymentId: row.deployment_id,
    index: row.index,
    grantId: row.grant_id,
    acquiredAt: row.acquired_at.toISOString(),
  };
}

export async function lockOf(db: Db, environmentId: string): Promise<StateLock | null> {
  const row = await db
    .selectFrom('state_locks')
    .selectAll()
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  return row ? toLock(row) : null;
}

export function heldMessage(environmentId: string, lock: StateLock): WindlassError {
  const { Who, Operation, Created } = lock.info;
  const run = lock.deploymentId ? ` for deployment ${lock.deploymentId}` : '';
  const detail = [Operation, Who && `by ${Who}`, Created && `since ${Created}`].filter((part) => part !== '').join(' ');
  return new WindlassError(
    'locked',
    `the state of ${environmentId} is locked${run} with lock ${lock.lockId}${detail ? ` (${detail})` : ''}`,
    {
      hint: 'Wait for it to end, or unlock the state by hand when you know that its holder is gone.',
      class: 'lock',
    },
  );
}

/**
 * Takes the lock in one statement. FOR SHARE makes it wait for a fence that is being set, and the fence for it.
 * Answers null when taken, also when this grant has this very lock already.
 */
export async function takeLock(context: StateContext, grant: Grant, info: LockInfo): Promise<StateLock | null> {
  const { db } = context;
  if (grant.readOnly) throw readOnly(grant.environmentId);
  const { rows } = await sql<{
    fenced: boolean;
    taken: string | null;
    lock_id: string | null;
    grant_id: string | null;
  }>`
    WITH g AS (
      SELECT id, environment_id, deployment_id, index, fenced_at FROM state_grants
      WHERE id = ${grant.id} AND environment_id = ${grant.environmentId} FOR SHARE
    ), taken AS (
      INSERT INTO state_locks (environment_id, lock_id, info, deployment_id, index, grant_id)
      SELECT environment_id, ${info.ID}::text, ${JSON.stringify(info)}::jsonb, deployment_id, index, id FROM g WHERE fenced_at IS NULL
      ON CONFLICT (environment_id) DO NOTHING
      RETURNING lock_id
    )
    SELECT g.fenced_at IS NOT NULL AS fenced, taken.lock_id AS taken, l.lock_id, l.grant_id
    FROM g LEFT JOIN taken ON true LEFT JOIN state_locks l ON l.environment_id = g.environment_id`.execute(db);
  const [row] = rows;
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (row.taken !== null) return null;
  if (row.lock_id === info.ID && row.grant_id === grant.id) return null;
  const holder = await lockOf(db, grant.environmentId);
  // taken in the moment in which its grant ended
  if (holder !== null && (await freeEndedLocks(db, grant.environmentId)) > 0) return takeLock(context, grant, info);
  // freed since: the holder is gone, so try once more from the start
  if (!holder) return takeLock(context, grant, info);
  return holder.lockId === info.ID && holder.grantId === grant.id ? null : holder;
}

/** Frees the lock in one statement. Nothing to free is fine; another's lock is not. */
export async function dropLock({ db }: StateContext, grant: Grant, lockId: string | null): Promise<void> {
  if (grant.readOnly) throw readOnly(grant.environmentId);
  const { rows } = await sql<{
    fenced: boolean;
    dropped: string | null;
    lock_id: string | null;
    grant_id: string | null;
  }>`
    WITH g AS (
      SELECT id, environment_id, fenced_at FROM state_grants
      WHERE id = ${grant.id} AND environment_id = ${grant.environmentId} FOR SHARE
    ), dropped AS (
      DELETE FROM state_locks l USING g
      WHERE l.environment_id = g.environment_id AND l.grant_id = g.id AND g.fenced_at IS NULL AND l.lock_id = ${lockId}::text
      RETURNING l.lock_id
    )
    SELECT g.fenced_at IS NOT NULL AS fenced, dropped.lock_id AS dropped, l.lock_id, l.grant_id
    FROM g LEFT JOIN dropped ON true LEFT JOIN state_locks l ON l.environment_id = g.environment_id`.execute(db);
  const [row] = rows;
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (row.dropped !== null || row.lock_id === null) return;
  // ours, and yet not dropped: somebody has freed it at the same time
  if (row.lock_id === lockId && row.grant_id === grant.id) return;
  throw new WindlassError(
    'conflict',
    `the state of ${grant.environmentId} is locked with lock ${row.lock_id}, not ${lockId ?? 'an unnamed one'}, by another holder`,
    {
      hint: 'Unlock the state by hand when you know that its holder is gone.',
      class: 'lock',
    },
  );
}

/** Frees exactly this lock, and says so where the environment's events are read and in the audit log. */
export async function releaseLock(
  { db }: StateContext,
  request: { environmentId: string; lockId: string; because: string },
): Promise<boolean> {
  const { environmentId, lockId, because } = request;
  return db.transaction().execute(async (trx) => {
    const row = await trx
      .deleteFrom('state_locks')
      .where('environment_id', '=', environmentId)
      .where('lock_id', '=', lockId)
      .returning(['deployment_id', 'info'])
      .executeTakeFirst();
    if (!row) return false;
    await audit(trx, {
      actor: systemActor,
      action: 'state.unlock',
      environmentId,
      before: { ...toInfo(row.info, lockId), lockId, deploymentId: row.deployment_id },
      after: { reason: because },
    });
    await recordEvent(trx, {
      type: 'environment.warning',
      environmentId,
      deploymentId: row.deployment_id,
      alias: null,
      data: { kind: 'stateUnlocked', lockId, message: `the lock of the state was freed: ${because}` },
    });
    return true;
  });
}

/** Fences first, as every writer takes its grant before its lock. */
export async function forceUnlock(
  { db }: StateContext,
  request: { environmentId: string; actor: Actor; reason: string },
): Promise<StateLock | null> {
  const { environmentId, actor, reason } = request;
  return db.transaction().execute(async (trx) => {
    const lock = await lockOf(trx, environmentId);
    if (!lock) return null;
    if (lock.grantId !== null) {
      await trx
        .updateTable('state_grants')
        .set({ fenced_at: sql`coalesce(fenced_at, now())` })
        .where('id', '=', lock.grantId)
        .execute();
    }
    const { numDeletedRows } = await trx
      .deleteFrom('state_locks')
      .where('environment_id', '=', environmentId)
      .where('lock_id', '=', lock.lockId)
      .executeTakeFirst();
    if (numDeletedRows === 0n) return null;
    await audit(trx, {
      actor,
      action: 'state.unlock',
      environmentId,
      before: { lockId: lock.lockId, deploymentId: lock.deploymentId, ...lock.info },
      after: { reason },
    });
    return lock;
  });
}
