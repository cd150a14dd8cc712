import { sql } from 'kysely';
import { z } from 'zod';
import type { Db } from './database.ts';
import { fromJson } from './json.ts';

export const keyStatuses = ['current', 'previous', 'retired'] as const;
export type KeyStatus = (typeof keyStatuses)[number];

/** An encryption key that this database knows of; never the key itself. */
export interface EncryptionKeyRecord {
  readonly id: string;
  /** A fixed text sealed under it. */
  readonly checkValue: string;
  readonly status: KeyStatus;
  readonly origin: string;
  readonly createdAt: Date;
  readonly retiredAt: Date | null;
}

/** The one that seals first, then those from before it. */
export async function listEncryptionKeys(db: Db): Promise<EncryptionKeyRecord[]> {
  const rows = await db
    .selectFrom('encryption_keys')
    .selectAll()
    .orderBy(sql`CASE status WHEN 'current' THEN 0 WHEN 'previous' THEN 1 ELSE 2 END`)
    .orderBy('created_at', 'desc')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    checkValue: row.check_value,
    status: fromJson(z.enum(keyStatuses), row.status, `encryption key ${row.id}`),
    origin: row.origin,
    createdAt: row.created_at,
    retiredAt: row.retired_at,
  }));
}

export interface NewEncryptionKey {
  readonly id: string;
  readonly checkValue: string;
  readonly origin: string;
}

/** Writes the first current key down; of several processes at once one wins, and the others read what it wrote. */
export async function recordFirstKey(db: Db, key: NewEncryptionKey): Promise<void> {
  await db
    .insertInto('encryption_keys')
    .values({ id: key.id, check_value: key.checkValue, status: 'current', origin: key.origin })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** A key that opens something, found in a database from before keys were recorded. */
export async function recordPreviousKey(db: Db, key: NewEncryptionKey): Promise<void> {
  await db
    .insertInto('encryption_keys')
    .values({ id: key.id, check_value: key.checkValue, status: 'previous', origin: key.origin })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** Makes another key the one that seals. The one until now opens on. */
export async function makeKeyCurrent(tx: Db, key: NewEncryptionKey): Promise<void> {
  await tx.updateTable('encryption_keys').set({ status: 'previous' }).where('status', '=', 'current').execute();
  await tx
    .insertInto('encryption_keys')
    .values({ id: key.id, check_value: key.checkValue, status: 'current', origin: key.origin })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ status: 'current', retired_at: null }))
    .execute();
}

/** Says that nothing is sealed with the earlier keys any more; answers which. */
export async function retireEarlierKeys(tx: Db): Promise<string[]> {
  const rows = await tx
    .updateTable('encryption_keys')
    .set({ status: 'retired', retired_at: sql<Date>`now()` })
    .where('status', '=', 'previous')
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** The id of the key that seals; null in a database that has recorded none. */
export async function currentKeyId(db: Db): Promise<string | null> {
  const row = await db.selectFrom('encryption_keys').select('id').where('status', '=', 'current').executeTakeFirst();
  return row?.id ?? null;
}

/** Processes that live and do not hold a key, as `host (process 1234)`. */
export async function workersWithoutKey(db: Db, keyId: string, seenWithinSeconds: number): Promise<string[]> {
  const { rows } = await sql<{ host: string; pid: number }>`
    SELECT host, pid FROM workers WHERE stopped_at IS NULL AND seen_at > now() - make_interval(secs => ${seenWithinSeconds})
      AND NOT key_ids @> ${JSON.stringify([keyId])}::jsonb ORDER BY host, pid`.execute(db);
  return rows.map(({ host, pid }) => `${host} (process ${pid})`);
}
