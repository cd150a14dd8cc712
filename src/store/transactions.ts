import { withCommitWork } from './after-commit.ts';
import type { Db } from './database.ts';

/** Runs in the transaction that `db` is, or in one of its own. */
export function inTransaction<T>(db: Db, fn: (tx: Db) => Promise<T>): Promise<T> {
  return db.isTransaction ? fn(db) : withCommitWork(() => db.transaction().execute(fn));
}
