import { sql } from 'kysely';
import type { Db } from './database.ts';
import { SingleConnectionAdapter } from './pglite-dialect.ts';

/** Tables that readers follow by id, and the tag of the advisory locks that their writers take (migration 0002). */
const lockTags = { events: 22_352, log_chunks: 22_353 } as const;

/**
 * The id up to which a table is complete: no transaction that is still open will add a row at or below it.
 * Ask first, then read; what is above comes with a later look, which its transaction announces with NOTIFY.
 */
export async function completeUpTo(db: Db, table: keyof typeof lockTags): Promise<number> {
  // With one connection, transactions take their ids and commit one after the other.
  if (db.getExecutor().adapter instanceof SingleConnectionAdapter) return Number.MAX_SAFE_INTEGER;
  // The last id is read before the locks: whoever took an id up to it has its lock by then, or has ended.
  const { rows } = await sql<{ newest: number; held: number | null }>`
    WITH newest AS MATERIALIZED (
      SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS id FROM ${sql.ref(`${table}_id_seq`)}
    )
    SELECT newest.id AS newest, (
      SELECT min(((l.classid::bigint & 65535) << 32) | l.objid::bigint) FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint >> 16 = ${lockTags[table]}::bigint
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND newest.id IS NOT NULL
    ) AS held
    FROM newest`.execute(db);
  const [upTo = 0] = rows.map((row) => Math.min(row.newest, row.held ?? row.newest));
  return upTo;
}
