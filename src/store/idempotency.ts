import { sql } from 'kysely';
import { WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';
import { toJson } from './json.ts';
import { hasEnded } from './presence.ts';

export interface IdempotencyKey {
  /** Who sent it: the same key of another is another key. */
  readonly actor: string;
  readonly key: string;
}

export interface IdempotencyClaim extends IdempotencyKey {
  /** Hash of method, path and body. */
  readonly requestHash: string;
  /** The process that will do it, and that lives (`Database.presence`). */
  readonly owner?: number | null | undefined;
  /** A claim this old without an answer is taken over although its process may live; 30 s when absent. */
  readonly staleAfterMs?: number | undefined;
}

export type ClaimAnswer =
  | { readonly state: 'new' }
  /** Somebody else is at it. */
  | { readonly state: 'pending' }
  | { readonly state: 'answered'; readonly status: number; readonly body: unknown };

/** Longer than any call takes: each waits for Temporal at most ten seconds at a time. */
const defaultStaleAfterMs = 30_000;

/**
 * Takes a key for a request. `new`: do it, then `completeIdempotencyKey`. `answered`: it was done, answer the same.
 * What a process has left that has ended is taken over. Throws `idempotencyMismatch` when the key came with another
 * request.
 */
export async function claimIdempotencyKey(db: Db, claim: IdempotencyClaim): Promise<ClaimAnswer> {
  const staleAfterMs = claim.staleAfterMs ?? defaultStaleAfterMs;
  const owner = claim.owner ?? null;
  const { rows } = await sql`
    INSERT INTO idempotency_keys AS k (actor, key, request_hash, owner)
    VALUES (${claim.actor}, ${claim.key}, ${claim.requestHash}, ${owner})
    ON CONFLICT (actor, key) DO UPDATE SET created_at = clock_timestamp(), owner = excluded.owner
      WHERE k.request_hash = excluded.request_hash AND k.response_status IS NULL
        AND (k.created_at <= clock_timestamp() - ${staleAfterMs} * interval '1 millisecond'
          OR ${hasEnded(sql`k.owner`, owner)})
    RETURNING key`.execute(db);
  if (rows.length > 0) return { state: 'new' };
  const row = await db
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('actor', '=', claim.actor)
    .where('key', '=', claim.key)
    .executeTakeFirst();
  // Released between the two statements: the next try gets it.
  if (!row) return { state: 'pending' };
  if (row.request_hash !== claim.requestHash) {
    throw new WindlassError('idempotencyMismatch', `the idempotency key "${claim.key}" was used for another request`, {
      hint: 'use a new key for every new request, and the same only to repeat one',
    });
  }
  if (row.response_status === null) return { state: 'pending' };
  return { state: 'answered', status: row.response_status, body: row.response_body };
}

/** For who will not wait for the answer to a `pending` request. */
export function requestInProgressError(key: string): WindlassError {
  return new WindlassError('conflict', `the request with the idempotency key "${key}" is still being worked on`, {
    hint: 'repeat it in a few seconds to get its answer',
  });
}

/** The body that was answered to the request with a key; undefined when there is none. */
export async function readIdempotentAnswer(db: Db, { actor, key }: IdempotencyKey): Promise<unknown> {
  const row = await db
    .selectFrom('idempotency_keys')
    .select('response_body')
    .where('actor', '=', actor)
    .where('key', '=', key)
    .executeTakeFirst();
  return row?.response_body;
}

/** Keeps the first answer for repeats. It is stored as it is: bodies with secrets do not belong here. */
export async function completeIdempotencyKey(
  db: Db,
  key: IdempotencyKey,
  answer: { readonly status: number; readonly body: unknown },
): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ response_status: answer.status, response_body: toJson(answer.body) })
    .where('actor', '=', key.actor)
    .where('key', '=', key.key)
    .where('response_status', 'is', null)
    .execute();
}

/**
 * Gives a key back whose request failed without an effect, so that a repeat tries again. One that another process has
 * taken over in the meantime stays with it.
 */
export async function releaseIdempotencyKey(db: Db, key: IdempotencyKey & { owner?: number | null }): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('actor', '=', key.actor)
    .where('key', '=', key.key)
    .where('response_status', 'is', null)
    .where('owner', 'is not distinct from', key.owner ?? null)
    .execute();
}

/** Forgets keys older than a date; answers how many. */
export async function pruneIdempotencyKeys(db: Db, before: Date, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM idempotency_keys WHERE (actor, key) IN (
      SELECT actor, key FROM idempotency_keys WHERE created_at < ${before} LIMIT ${limit})`.execute(db);
  return Number(numAffectedRows ?? 0);
}
