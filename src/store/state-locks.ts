/** Locks of states, each held by the grant that took it. */
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import { toJson } from './json.ts';
import type { Schema } from './schema.ts';

export interface StoredLock {
  readonly lockId: string;
  /** What the tool said of it. */
  readonly info: unknown;
  readonly deploymentId: string | null;
  readonly index: number | null;
  readonly grantId: string | null;
  readonly acquiredAt: Date;
}

function toLock(row: Selectable<Schema['state_locks']>): StoredLock {
  return {
    lockId: row.lock_id,
    info: row.info,
    deploymentId: row.deployment_id,
    index: row.index,
    grantId: row.grant_id,
    acquiredAt: row.acquired_at,
  };
}

/** The lock of an environment's state; null when it is free. */
export async function findStateLock(db: Db, environmentId: string): Promise<StoredLock | null> {
  const row = await db
    .selectFrom('state_locks')
    .selectAll()
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  return row === undefined ? null : toLock(row);
}

/** A grant that asks, and the lock there is. */
export interface GrantAndLock {
  readonly fenced: boolean;
  readonly lock_id: string | null;
  /** The grant that holds the lock. */
  readonly grant_id: string | null;
}

type GrantKey = { readonly id: string; readonly environmentId: string };

/**
 * Takes the lock in one statement. FOR SHARE makes it wait for a fence that is being set, and the fence for it. `taken` is
 * null when it was not taken; the answer is null when the grant is none of the environment's.
 */
export async function insertStateLock(
  db: Db,
  grant: GrantKey,
  { lockId, info }: { readonly lockId: string; readonly info: unknown },
): Promise<(GrantAndLock & { readonly taken: string | null }) | null> {
  const { rows } = await sql<GrantAndLock & { taken: string | null }>`
    WITH g AS (
      SELECT id, environment_id, deployment_id, index, fenced_at FROM state_grants
      WHERE id = ${grant.id} AND environment_id = ${grant.environmentId} FOR SHARE
    ), taken AS (
      INSERT INTO state_locks (environment_id, lock_id, info, deployment_id, index, grant_id)
      SELECT environment_id, ${lockId}::text, ${toJson(info)}::jsonb, deployment_id, index, id FROM g WHERE fenced_at IS NULL
      ON CONFLICT (environment_id) DO NOTHING
      RETURNING lock_id
    )
    SELECT g.fenced_at IS NOT NULL AS fenced, taken.lock_id AS taken, l.lock_id, l.grant_id
    FROM g LEFT JOIN taken ON true LEFT JOIN state_locks l ON l.environment_id = g.environment_id`.execute(db);
  return rows[0] ?? null;
}

/** Frees the lock of a grant in one statement, if it is this one. */
export async function deleteLockOfGrant(
  db: Db,
  grant: GrantKey,
  lockId: string | null,
): Promise<(GrantAndLock & { readonly dropped: string | null }) | null> {
  const { rows } = await sql<GrantAndLock & { dropped: string | null }>`
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
  return rows[0] ?? null;
}

/** A grant and the lock of its environment, both kept to the end of the transaction. */
export async function lockGrantAndLock(
  tx: Db,
  grant: GrantKey,
): Promise<(GrantAndLock & { readonly deployment_id: string; readonly index: number }) | null> {
  const { rows } = await sql<GrantAndLock & { deployment_id: string; index: number }>`
    WITH g AS (
      SELECT id, deployment_id, index, fenced_at FROM state_grants
      WHERE id = ${grant.id} AND environment_id = ${grant.environmentId} FOR SHARE
    ), l AS (
      SELECT lock_id, grant_id FROM state_locks
      WHERE environment_id = ${grant.environmentId} AND EXISTS (SELECT 1 FROM g) FOR UPDATE
    )
    SELECT g.fenced_at IS NOT NULL AS fenced, g.deployment_id, g.index, l.lock_id, l.grant_id
    FROM g LEFT JOIN l ON true`.execute(tx);
  return rows[0] ?? null;
}

/** Takes the lock of a state for a person, without a grant; false when it is held. */
export async function insertOwnLock(
  tx: Db,
  environmentId: string,
  { lockId, info }: { readonly lockId: string; readonly info: unknown },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('state_locks')
    .values({ environment_id: environmentId, lock_id: lockId, info: toJson(info) })
    .onConflict((conflict) => conflict.column('environment_id').doNothing())
    .executeTakeFirst();
  return (numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Frees exactly this lock, whoever holds it; answers what it was, null when it was not there. */
export async function deleteStateLock(
  db: Db,
  environmentId: string,
  lockId: string,
): Promise<Pick<StoredLock, 'deploymentId' | 'info'> | null> {
  const row = await db
    .deleteFrom('state_locks')
    .where('environment_id', '=', environmentId)
    .where('lock_id', '=', lockId)
    .returning(['deployment_id', 'info'])
    .executeTakeFirst();
  return row === undefined ? null : { deploymentId: row.deployment_id, info: row.info };
}
