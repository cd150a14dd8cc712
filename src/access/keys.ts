import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { newId, WindlassError } from '../model/index.ts';
import { isUniqueViolation } from '../store/index.ts';
import type { Schema } from '../store/index.ts';
import { checkGrant } from './permissions.ts';
import type { Principal } from './permissions.ts';

type Db = Kysely<Schema>;

const tokenPattern = /^wlk_([0-9a-z]{20})_([A-Za-z0-9_-]{43})$/;
/** A key's last use is written down at most this often. */
const lastUsedEveryMs = 60_000;
const newKeyHint = 'ask an administrator for a new one (windlass key create NAME), then: windlass login';

export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly permissions: readonly string[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Makes a key. The token is told once and kept only as a hash. Throws `conflict` when a live key has the name. */
export async function createKey(
  db: Db,
  input: {
    readonly name: string;
    readonly permissions: readonly string[];
    readonly expiresAt?: string | null | undefined;
  },
): Promise<{ token: string; key: KeyRecord }> {
  const id = newId('key');
  const token = `wlk_${id.slice('key_'.length)}_${randomBytes(32).toString('base64url')}`;
  const permissions = JSON.stringify(input.permissions.map(checkGrant));
  await giveUpName(db, input.name);
  try {
    const row = await db
      .insertInto('api_keys')
      .values({
        id,
        name: input.name,
        prefix: token.slice(0, 12),
        hash: hashOf(token),
        permissions,
        expires_at: input.expiresAt ?? null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return { token, key: toRecord(row) };
  } catch (error) {
    if (!isUniqueViolation(error, 'api_keys_name')) throw error;
    throw new WindlassError('conflict', `there is already a key "${input.name}"`, {
      hint: 'choose another name, or revoke that key first: windlass key delete NAME',
    });
  }
}

/** An expired key can never be used again, so that it needs no name for itself. */
async function giveUpName(db: Db, name: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ revoked_at: sql<Date>`expires_at` })
    .where('name', '=', name)
    .where('revoked_at', 'is', null)
    .where('expires_at', '<=', sql<Date>`now()`)
    .execute();
}

/** Who a token stands for. Throws `unauthenticated` with the reason. */
export async function authenticate(db: Db, token: string, from: string | null): Promise<Principal> {
  const id = tokenPattern.exec(token)?.[1];
  if (id === undefined)
    throw new WindlassError('unauthenticated', 'this is not a Windlass key: they look like wlk_…', {
      hint: 'windlass login, or WINDLASS_TOKEN with a valid key',
    });
  const row = await db.selectFrom('api_keys').selectAll().where('id', '=', `key_${id}`).executeTakeFirst();
  const given = Buffer.from(hashOf(token));
  const known = Buffer.from(row?.hash ?? hashOf(''));
  if (row === undefined || !timingSafeEqual(given, known))
    throw new WindlassError('unauthenticated', 'this key is not known here', {
      hint: 'windlass login, or WINDLASS_TOKEN with a valid key',
    });
  const now = Date.now();
  if (row.revoked_at !== null)
    throw new WindlassError('unauthenticated', `the key "${row.name}" was revoked`, { hint: newKeyHint });
  if (row.expires_at !== null && row.expires_at.getTime() <= now)
    throw new WindlassError('unauthenticated', `the key "${row.name}" expired at ${row.expires_at.toISOString()}`, {
      hint: newKeyHint,
    });
  if (row.last_used_at === null || now - row.last_used_at.getTime() > lastUsedEveryMs) {
    await db
      .updateTable('api_keys')
      .set({ last_used_at: new Date(now) })
      .where('id', '=', row.id)
      .execute();
  }
  return { kind: 'key', id: row.id, name: row.name, from, permissions: row.permissions };
}

export async function listKeys(db: Db): Promise<KeyRecord[]> {
  const rows = await db
    .selectFrom('api_keys')
    .selectAll()
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .execute();
  return rows.map(toRecord);
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

function toRecord(row: {
  id: string;
  name: string;
  prefix: string;
  permissions: string[];
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
}): KeyRecord {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    permissions: row.permissions,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
  };
}
