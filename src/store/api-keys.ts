import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { z } from 'zod';
import { apiKeySchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, isoOrNull, toJson } from './json.ts';
import { missing } from './lookup.ts';
import type { ApiKeysTable } from './schema.ts';

export type ApiKey = z.infer<typeof apiKeySchema>;

/** A key as it is checked: with what its token must hash to. */
export interface ApiKeyRecord {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly permissions: readonly string[];
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

export interface NewApiKey {
  readonly id: string;
  readonly name: string;
  /** First characters of the token. */
  readonly prefix: string;
  readonly hash: string;
  readonly permissions: readonly string[];
  readonly expiresAt: Date | null;
}

const permissionsSchema = z.array(z.string());

function toApiKey(row: Selectable<ApiKeysTable>): ApiKey {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    permissions: fromJson(permissionsSchema, row.permissions, `key ${row.id}`),
    createdAt: iso(row.created_at),
    expiresAt: isoOrNull(row.expires_at),
    lastUsedAt: isoOrNull(row.last_used_at),
  };
}

export async function insertApiKey(db: Db, key: NewApiKey): Promise<ApiKey> {
  const row = await db
    .insertInto('api_keys')
    .values({
      id: key.id,
      name: key.name,
      prefix: key.prefix,
      hash: key.hash,
      permissions: toJson(key.permissions),
      expires_at: key.expiresAt,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  return toApiKey(row);
}

export async function findApiKey(db: Db, id: string): Promise<ApiKeyRecord | null> {
  const row = await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) return null;
  return {
    id: row.id,
    name: row.name,
    hash: row.hash,
    permissions: fromJson(permissionsSchema, row.permissions, `key ${row.id}`),
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  };
}

/** Notes that a key was used. */
export async function touchApiKey(db: Db, id: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ last_used_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
}

/** Keys that are not revoked, newest first; expired ones included. */
export async function listApiKeys(db: Db): Promise<ApiKey[]> {
  const rows = await db
    .selectFrom('api_keys')
    .selectAll()
    .where('revoked_at', 'is', null)
    .orderBy('id', 'desc')
    .execute();
  return rows.map(toApiKey);
}

/** Ends a key for ever. Revoking one twice changes nothing. */
export async function revokeApiKey(db: Db, id: string): Promise<ApiKey> {
  const row = await db
    .updateTable('api_keys')
    .set({ revoked_at: sql<Date>`COALESCE(revoked_at, now())` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw missing('key', id, []);
  return toApiKey(row);
}
