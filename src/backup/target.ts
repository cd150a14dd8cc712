import { WindlassError } from '../model/index.ts';
import { moveTablesAside, openBareDatabase, tablesInTheWay } from '../store/index.ts';
import type { Database, DatabaseOptions } from '../store/index.ts';

/**
 * Opens a database to copy into, which has to be empty. With `aside` tables that are there go into another schema of the
 * same database, never away; answers its name.
 */
export async function openTarget(
  options: DatabaseOptions,
  { aside }: { readonly aside: boolean },
): Promise<{ readonly db: Database; readonly keptIn: string | null }> {
  const db = await openBareDatabase(options);
  try {
    const tables = await tablesInTheWay(db.sql);
    if (tables.length === 0) return { db, keptIn: null };
    if (!aside)
      throw new WindlassError(
        'conflict',
        `the database is not empty: it has ${tables.length} tables, such as "${tables[0] ?? ''}"`,
        { hint: 'name an empty one; or --force, which keeps what is there in another schema of it' },
      );
    const schema = `windlass_before_${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`;
    await db.transaction((tx) => moveTablesAside(tx, tables, schema));
    return { db, keptIn: schema };
  } catch (error) {
    await db.close();
    throw error;
  }
}
