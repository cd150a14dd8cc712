import { sql } from 'kysely';
import type { Db } from './database.ts';

export interface WorkerRecord {
  readonly id: string;
  readonly host: string;
  readonly bootId: string;
  readonly pid: number;
  readonly startedAt: Date;
  readonly seenAt: Date;
  /** Set when it left in good order. */
  readonly stoppedAt: Date | null;
  /** The runner pool it belongs to; null for ours. */
  readonly pool: string | null;
}

export interface NewWorker {
  readonly id: string;
  readonly host: string;
  /** Changes with every start of the machine. */
  readonly bootId: string;
  readonly pid: number;
  /** Ids of the encryption keys that it holds. */
  readonly keyIds?: readonly string[] | undefined;
  /** The runner pool it belongs to; ours when absent. */
  readonly pool?: string | undefined;
}

/** Writes down a worker that starts. */
export async function registerWorker(db: Db, worker: NewWorker): Promise<void> {
  const values = {
    host: worker.host,
    boot_id: worker.bootId,
    pid: worker.pid,
    seen_at: sql<Date>`now()`,
    stopped_at: null,
    key_ids: JSON.stringify(worker.keyIds ?? []),
    pool: worker.pool ?? null,
  };
  await db
    .insertInto('workers')
    .values({ id: worker.id, ...values })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ ...values, started_at: sql<Date>`now()` }))
    .execute();
}

/**
 * Says that a worker lives, and which encryption keys it holds when given. Answers false when nobody knows it: it has to
 * register.
 */
export async function heartbeatWorker(db: Db, id: string, keyIds?: readonly string[]): Promise<boolean> {
  const row = await db
    .updateTable('workers')
    .set({ seen_at: sql<Date>`now()`, ...(keyIds === undefined ? {} : { key_ids: JSON.stringify(keyIds) }) })
    .where('id', '=', id)
    .where('stopped_at', 'is', null)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Says that a worker has left in good order. */
export async function stopWorker(db: Db, id: string): Promise<void> {
  await db
    .updateTable('workers')
    .set({ stopped_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('stopped_at', 'is', null)
    .execute();
}

const columns = [
  'id',
  'host',
  'boot_id as bootId',
  'pid',
  'started_at as startedAt',
  'seen_at as seenAt',
  'stopped_at as stoppedAt',
  'pool',
] as const;

/** `silentMs` is told by the database, which has written `seenAt`: the caller's clock may differ from its. */
export async function findWorker(db: Db, id: string): Promise<(WorkerRecord & { readonly silentMs: number }) | null> {
  const silentMs = sql<number>`(extract(epoch FROM clock_timestamp() - seen_at) * 1000)::float8`.as('silentMs');
  return (
    (await db
      .selectFrom('workers')
      .select([...columns, silentMs])
      .where('id', '=', id)
      .executeTakeFirst()) ?? null
  );
}

/** Newest first; only those that have not stopped and were seen this recently, when given. */
export async function listWorkers(db: Db, options: { readonly seenWithinMs?: number } = {}): Promise<WorkerRecord[]> {
  let query = db.selectFrom('workers').select(columns);
  if (options.seenWithinMs !== undefined) {
    query = query
      .where('stopped_at', 'is', null)
      .where(sql<boolean>`seen_at > now() - ${options.seenWithinMs} * interval '1 millisecond'`);
  }
  return query.orderBy('started_at', 'desc').orderBy('id').limit(1000).execute();
}
