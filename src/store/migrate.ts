import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { messageOf, WindlassError } from '../model/index.ts';
import { migrations } from './migrations/index.ts';
import type { Migration } from './migrations/index.ts';
import type { Schema } from './schema.ts';
import { isDatabaseUnavailable } from './unavailable.ts';

/** Any number will do; every process of Windlass takes the same one. */
const migrationLock = 7_203_301_553;

/** Tells one text of a migration from another. */
export function checksumOf(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex');
}

/**
 * Brings the tables up to date, each migration in a transaction of its own. Processes that start at once wait for each
 * other. Throws `conflict` when a newer Windlass has made the tables, or a known migration was another one then.
 */
export async function migrate(db: Kysely<Schema>, known: readonly Migration[] = migrations): Promise<void> {
  await db.connection().execute(async (connection) => {
    // Waiting for another process, and changing a large table, may take longer than any request may.
    await sql`SELECT set_config('statement_timeout', '0', false)`.execute(connection);
    await sql`SELECT pg_advisory_lock(${migrationLock}::bigint)`.execute(connection);
    try {
      await applyMissing(connection, known);
    } finally {
      await sql`SELECT pg_advisory_unlock(${migrationLock}::bigint)`.execute(connection).catch(() => undefined);
      await sql`RESET statement_timeout`.execute(connection).catch(() => undefined);
    }
  });
}

/** The migrations that have made the tables what they are, by name. */
export async function listMigrations(
  db: Kysely<Schema>,
): Promise<{ readonly name: string; readonly checksum: string }[]> {
  const { rows } = await sql<{ name: string; checksum: string }>`
    SELECT name, checksum FROM windlass_migrations ORDER BY name`.execute(db);
  return rows;
}

async function applyMissing(db: Kysely<Schema>, known: readonly Migration[]): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS windlass_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`.execute(db);
  const applied = new Map((await listMigrations(db)).map((row) => [row.name, row.checksum]));
  const names = new Set(known.map((migration) => migration.name));
  const newer = [...applied.keys()].filter((name) => !names.has(name)).sort();
  if (newer.length > 0) {
    throw new WindlassError(
      'conflict',
      `the database was made by a newer Windlass: this one does not know ${newer.join(', ')}`,
      {
        hint: 'start the newer version, or restore a backup from before it was first started',
      },
    );
  }
  for (const migration of known) {
    const checksum = applied.get(migration.name);
    if (checksum === undefined) await apply(db, migration);
    else if (checksum !== checksumOf(migration)) {
      throw new WindlassError(
        'conflict',
        `the migration ${migration.name} of the database differs from the one in this Windlass`,
        {
          hint: 'use the version that made the database; one made by an unreleased version has to be made anew',
        },
      );
    }
  }
}

async function apply(db: Kysely<Schema>, migration: Migration): Promise<void> {
  try {
    await db.transaction().execute(async (tx) => {
      await sql.raw(migration.sql).execute(tx);
      await sql`INSERT INTO windlass_migrations (name, checksum) VALUES (${migration.name}, ${checksumOf(migration)})`.execute(
        tx,
      );
    });
  } catch (error) {
    if (isDatabaseUnavailable(error)) throw error;
    throw new WindlassError('internal', `the migration ${migration.name} failed and was undone: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
