import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { newId, WindlassError } from '../model/index.ts';
import { findKey, insertKey, listUnrevokedKeys, touchKey } from '../store/index.ts';
import type { Db, StoredKey } from '../store/index.ts';
import { checkGrant } from './grants.ts';
import type { Principal } from './permissions.ts';

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

/** What a token is kept as. It is random and long enough to need no slower hash. */
export const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex');

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
  const key = await insertKey(db, {
    id,
    name: input.name,
    prefix: token.slice(0, 12),
    hash: tokenHash(token),
    permissions: input.permissions.map(checkGrant),
    expiresAt: input.expiresAt ?? null,
  });
  return { token, key: toRecord(key) };
}

/** Who a token stands for. Throws `unauthenticated` with the reason. */
export async function authenticate(db: Db, token: string, from: string | null): Promise<Principal> {
  const id = tokenPattern.exec(token)?.[1];
  if (id === undefined)
    throw new WindlassError('unauthenticated', 'this is not a Windlass key: they look like wlk_…', {
      hint: 'windlass login, or WINDLASS_TOKEN with a valid key',
    });
  const key = await findKey(db, `key_${id}`);
  const given = Buffer.from(tokenHash(token));
  const known = Buffer.from(key?.hash ?? tokenHash(''));
  if (key === null || !timingSafeEqual(given, known))
    throw new WindlassError('unauthenticated', 'this key is not known here', {
      hint: 'windlass login, or WINDLASS_TOKEN with a valid key',
    });
  const now = Date.now();
  if (key.revokedAt !== null)
    throw new WindlassError('unauthenticated', `the key "${key.name}" was revoked`, { hint: newKeyHint });
  if (key.expiresAt !== null && key.expiresAt.getTime() <= now)
    throw new WindlassError('unauthenticated', `the key "${key.name}" expired at ${key.expiresAt.toISOString()}`, {
      hint: newKeyHint,
    });
  if (key.lastUsedAt === null || now - key.lastUsedAt.getTime() > lastUsedEveryMs)
    await touchKey(db, key.id, new Date(now));
  return { kind: 'key', id: key.id, name: key.name, from, permissions: key.permissions };
}

/** Keys that were not revoked, oldest first. */
export async function listKeys(db: Db): Promise<KeyRecord[]> {
  return (await listUnrevokedKeys(db)).map(toRecord);
}

function toRecord({ id, name, prefix, permissions, createdAt, expiresAt, lastUsedAt }: StoredKey): KeyRecord {
  return {
    id,
    name,
    prefix,
    permissions,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}
