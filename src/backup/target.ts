import { sql } from 'kysely';
import { WindlassError } from '../model/index.ts';
import { openBareDatabase } from '../store/index.ts';
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
    const { rows: tables } = await sql<{ name: string }>`
      SELECT table_name AS name FROM information_schema.tables
      WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`.execute(db.sql);
    if (
      tables.length === 0 ||
      (await isUnfilled(
        db,
        tables.map(({ name }) => name),
      ))
    )
      return { db, keptIn: null };
    if (!aside)
      throw new WindlassError(
        'conflict',
        `the database is not empty: it has ${tables.length} tables, such as "${tables[0]?.name ?? ''}"`,
        { hint: 'name an empty one; or --force, which keeps what is there in another schema of it' },
      );
    return {
      db,
      keptIn: await moveAside(
        db,
        tables.map(({ name }) => name),
      ),
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Tables of ours without a record: a copy that was cut off has left them. Every server that starts makes records. */
async function isUnfilled(db: Database, tables: readonly string[]): Promise<boolean> {
  if (!tables.includes('windlass_migrations')) return false;
  if (!tables.includes('organizations')) return true;
  const { rows } = await sql`SELECT 1 FROM organizations LIMIT 1`.execute(db.sql);
  return rows.length === 0;
}

async function moveAside(db: Database, tables: readonly string[]): Promise<string> {
  const schema = `windlass_before_${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`;
  await db.transaction(async (tx) => {
    await sql`CREATE SCHEMA ${sql.ref(schema)}`.execute(tx);
    for (const table of tables) await sql`ALTER TABLE ${sql.table(table)} SET SCHEMA ${sql.ref(schema)}`.execute(tx);
    const { rows: functions } = await sql<{ signature: string }>`
      SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
      WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'windlass%'`.execute(tx);
    for (const { signature } of functions)
      await sql`ALTER FUNCTION ${sql.raw(signature)} SET SCHEMA ${sql.ref(schema)}`.execute(tx);
  });
  return schema;
}
