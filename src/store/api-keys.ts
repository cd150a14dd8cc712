import { sql } from 'kysely';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, toJson } from './json.ts';
import type { ApiKeyRow } from './schema.ts';
import { isUniqueViolation } from './unavailable.ts';

/** A key as it is kept; of its token only the hash. */
export interface StoredKey {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly hash: string;
  readonly permissions: readonly string[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

function toKey(row: ApiKeyRow): StoredKey {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    hash: row.hash,
    permissions: fromJson(z.array(z.string()), row.permissions, `key ${row.id}`),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  };
}

/**
 * Keeps a new key. An expired one of the same name gives the name up: it can never be used again. Throws `conflict` when a
 * live key has the name.
 */
export async function insertKey(
  db: Db,
  key: Pick<StoredKey, 'id' | 'name' | 'prefix' | 'hash' | 'permissions'> & { readonly expiresAt: string | null },
): Promise<StoredKey> {
  const { id, name, prefix, hash } = key;
  await db
    .updateTable('api_keys')
    .set({ revoked_at: sql<Date>`expires_at` })
    .where('name', '=', name)
    .where('revoked_at', 'is', null)
    .where('expires_at', '<=', sql<Date>`now()`)
    .execute();
  try {
    const row = await db
      .insertInto('api_keys')
      .values({ id, name, prefix, hash, permissions: toJson(key.permissions), expires_at: key.expiresAt })
      .returningAll()
      .executeTakeFirstOrThrow();
    return toKey(row);
  } catch (error) {
    if (!isUniqueViolation(error, 'api_keys_name')) throw error;
    throw new WindlassError('conflict', `there is already a key "${name}"`, {
      hint: 'choose another name, or revoke that key first: windlass key delete NAME',
    });
  }
}

/** By its id, also when it was revoked; null when there is none. */
export async function findKey(db: Db, id: string): Promise<StoredKey | null> {
  const row = await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : toKey(row);
}

/** Those that were not revoked, oldest first. */
export async function listUnrevokedKeys(db: Db): Promise<StoredKey[]> {
  const rows = await db
    .selectFrom('api_keys')
    .selectAll()
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .execute();
  return rows.map(toKey);
}

/** Writes down when a key was last used. */
export async function touchKey(db: Db, id: string, at: Date): Promise<void> {
  await db.updateTable('api_keys').set({ last_used_at: at }).where('id', '=', id).execute();
}

/** A revoked key stays in the records, for the audit log. Revoking twice changes nothing. */
export async function revokeKey(db: Db, id: string): Promise<boolean> {
  const result = await db
    .updateTable('api_keys')
    .set({ revoked_at: new Date() })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

const administratorLock = 7_301_129;

/** Lets servers that start at the same moment on an empty database make one key, not one each; to the end of the transaction. */
export async function lockAdministratorKey(tx: Db): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${sql.lit(administratorLock)})`.execute(tx);
}
