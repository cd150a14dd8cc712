/** All records, out of one database and into another. */
import { sql } from 'kysely';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';

/** Rows copied so far, of so many. */
export type CopyProgress = (done: number, total: number) => void;

/** What one place alone knows: who works there, whom to call more slowly, which migrations ran. */
const left = new Set(['windlass_migrations', 'workers', 'pacing', 'installation']);

const lineSchema = z.union([
  z.object({ table: z.string(), columns: z.array(z.string()).min(1) }),
  z.object({ end: z.record(z.string(), z.number()) }),
]);

/** Every column as PostgreSQL writes it, so that nothing goes through types of ours. */
const rowSchema = z.array(z.string().nullable());

/** Names of the tables of a database, in their order. */
async function allTablesOf(db: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name`.execute(db);
  return rows.map(({ name }) => name);
}

/** Those whose rows are copied. */
async function tablesOf(db: Db): Promise<string[]> {
  return (await allTablesOf(db)).filter((name) => !left.has(name));
}

async function columnsOf(db: Db, table: string): Promise<{ name: string; type: string }[]> {
  const { rows } = await sql<{ name: string; type: string }>`
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a
    WHERE a.attrelid = ${`"${table}"`}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`.execute(
    db,
  );
  return rows;
}

const mostRowsAtOnce = 500;
const wantedBytes = 2_000_000;

/** All records as lines of JSON, read through cursors of one transaction: what it sees is of one moment. */
export async function* readRecords(tx: Db, onProgress: CopyProgress = () => undefined): AsyncGenerator<string> {
  await sql`SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true), set_config('bytea_output', 'hex', true)`.execute(
    tx,
  );
  const tables = await tablesOf(tx);
  let total = 0;
  for (const table of tables) {
    const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM ${sql.table(table)}`.execute(tx);
    total += Number(rows[0]?.count ?? 0);
  }
  const counts: Record<string, number> = {};
  let done = 0;
  for (const table of tables) {
    const columns = (await columnsOf(tx, table)).map(({ name }) => name);
    yield JSON.stringify({ table, columns });
    const texts = sql.join(columns.map((name) => sql`${sql.ref(name)}::text`));
    await sql`DECLARE windlass_copy NO SCROLL CURSOR FOR SELECT jsonb_build_array(${texts})::text AS line FROM ${sql.table(table)}`.execute(
      tx,
    );
    let count = 0;
    for (let atOnce = 1; ;) {
      const { rows } = await sql<{ line: string }>`FETCH ${sql.raw(String(atOnce))} FROM windlass_copy`.execute(tx);
      for (const { line } of rows) yield line;
      count += rows.length;
      onProgress((done += rows.length), total);
      if (rows.length < atOnce) break;
      const bytes = rows.reduce((sum, { line }) => sum + line.length, 0);
      atOnce = Math.max(
        1,
        Math.min(mostRowsAtOnce, atOnce * 4, Math.floor((atOnce * wantedBytes) / Math.max(bytes, 1))),
      );
    }
    await sql`CLOSE windlass_copy`.execute(tx);
    counts[table] = count;
  }
  yield JSON.stringify({ end: counts });
}

interface Target {
  readonly table: string;
  readonly insert: (rows: string[]) => Promise<unknown>;
}

async function targetOf(tx: Db, table: string, columns: readonly string[]): Promise<Target> {
  const types = new Map((await columnsOf(tx, table)).map(({ name, type }) => [name, type]));
  const values = columns.map((name, index) => {
    const type = types.get(name);
    if (type === undefined) throw damaged(`there is no column "${name}" in the table "${table}"`);
    return sql`(r ->> ${sql.raw(String(index))})::${sql.raw(type)}`;
  });
  const names = sql.join(columns.map((name) => sql.ref(name)));
  return {
    table,
    insert: (rows) =>
      sql`INSERT INTO ${sql.table(table)} (${names}) SELECT ${sql.join(values)} FROM jsonb_array_elements(${`[${rows.join(',')}]`}::jsonb) AS r`.execute(
        tx,
      ),
  };
}

/** Puts records into tables that exist and are empty. Throws `invalidInput` when they are not whole. */
export async function writeRecords(
  tx: Db,
  lines: AsyncIterable<string>,
  onProgress: CopyProgress = () => undefined,
): Promise<void> {
  const known = new Set(await tablesOf(tx));
  await deferForeignKeys(tx, true);
  for (const table of known) await sql`DELETE FROM ${sql.table(table)}`.execute(tx);
  const counts: Record<string, number> = {};
  let target: Target | null = null;
  let waiting: string[] = [];
  let bytes = 0;
  let done = 0;
  let end: Record<string, number> | null = null;
  const flush = async (): Promise<void> => {
    if (target === null || waiting.length === 0) return;
    await target.insert(waiting);
    counts[target.table] = (counts[target.table] ?? 0) + waiting.length;
    onProgress((done += waiting.length), 0);
    waiting = [];
    bytes = 0;
  };
  for await (const line of lines) {
    if (line.startsWith('[')) {
      // Short ones are looked at whole; of a long one the database sees whether it is what it should be.
      if (line.length < 10_000) rowSchema.parse(JSON.parse(line));
      waiting.push(line);
      bytes += line.length;
      if (waiting.length >= mostRowsAtOnce || bytes >= wantedBytes) await flush();
      continue;
    }
    await flush();
    const parsed = lineSchema.parse(JSON.parse(line));
    if ('end' in parsed) {
      end = parsed.end;
      break;
    }
    if (!known.has(parsed.table)) throw damaged(`there is no table "${parsed.table}"`);
    target = await targetOf(tx, parsed.table, parsed.columns);
  }
  for (const [table, count] of Object.entries(end ?? {}))
    if ((counts[table] ?? 0) !== count) throw damaged(`"${table}" has ${counts[table] ?? 0} of ${count} rows`);
  if (end === null) throw damaged('the end is missing');
  await deferForeignKeys(tx, false);
  await setSequences(tx, [...known]);
}

function damaged(what: string): WindlassError {
  return new WindlassError('invalidInput', `the records are not whole: ${what}`, {
    hint: 'nothing was changed; use another backup',
  });
}

/** Rows come in any order; that all they name is there is checked at the end. */
async function deferForeignKeys(tx: Db, deferred: boolean): Promise<void> {
  if (!deferred) await sql`SET CONSTRAINTS ALL IMMEDIATE`.execute(tx);
  const { rows } = await sql<{ table: string; name: string }>`
    SELECT c.relname AS "table", k.conname AS name FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace`.execute(tx);
  for (const { table, name } of rows)
    await sql`ALTER TABLE ${sql.table(table)} ALTER CONSTRAINT ${sql.ref(name)} ${sql.raw(deferred ? 'DEFERRABLE INITIALLY DEFERRED' : 'NOT DEFERRABLE')}`.execute(
      tx,
    );
}

async function setSequences(tx: Db, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    for (const { name } of await columnsOf(tx, table)) {
      const { rows } = await sql<{
        sequence: string | null;
      }>`SELECT pg_get_serial_sequence(${`"${table}"`}, ${name}) AS sequence`.execute(tx);
      const sequence = rows[0]?.sequence;
      if (sequence === null || sequence === undefined) continue;
      await sql`SELECT setval(${sequence}::regclass, coalesce(max(${sql.ref(name)}), 1), count(*) > 0) FROM ${sql.table(table)}`.execute(
        tx,
      );
    }
  }
}

/** Copies all records from one database into another, whose tables exist and are empty. */
export async function copyRecords(from: Db, to: Db, onProgress?: CopyProgress): Promise<void> {
  await writeRecords(to, readRecords(from, onProgress));
}

/**
 * Settles what cannot be true any more where the records have arrived: tools that held locks are elsewhere, and nobody
 * knows what a call that was changing something has made.
 */
export async function settleArrivedRecords(tx: Db, at: string): Promise<void> {
  await sql`UPDATE environments e SET state_unverified = jsonb_build_object('since', ${at}::text, 'deploymentId', n.deployment_id,
      'reason', 'the backup was made while its tool was changing something', 'lockId', null)
    FROM node_runs n JOIN deployments d ON d.id = n.deployment_id
    WHERE d.finished_at IS NULL AND n.environment_id = e.id AND n.began_change AND (n.journal ->> 'open')::boolean`.execute(
    tx,
  );
  await sql`DELETE FROM state_locks`.execute(tx);
  await sql`UPDATE state_grants SET fenced_at = now() WHERE fenced_at IS NULL`.execute(tx);
  await sql`DELETE FROM installation`.execute(tx);
}

/** Lets a function read all records as they are at one moment, while others go on. */
export function inSnapshot<T>(db: Db, read: (tx: Db) => Promise<T>): Promise<T> {
  return db.transaction().setIsolationLevel('repeatable read').execute(read);
}

/** The tables that are in the way of a copy; none when there are none, or when a copy that was cut off has left ours empty. */
export async function tablesInTheWay(db: Db): Promise<string[]> {
  const tables = await allTablesOf(db);
  return (await isUnfilled(db, tables)) ? [] : tables;
}

/** Tables of ours without a record: a copy that was cut off has left them. Every server that starts makes records. */
async function isUnfilled(db: Db, tables: readonly string[]): Promise<boolean> {
  if (!tables.includes('windlass_migrations')) return false;
  if (!tables.includes('organizations')) return true;
  const { rows } = await sql`SELECT 1 FROM organizations LIMIT 1`.execute(db);
  return rows.length === 0;
}

/** Puts tables, and functions of ours, into a schema of their own. */
export async function moveTablesAside(tx: Db, tables: readonly string[], schema: string): Promise<void> {
  await sql`CREATE SCHEMA ${sql.ref(schema)}`.execute(tx);
  for (const table of tables) await sql`ALTER TABLE ${sql.table(table)} SET SCHEMA ${sql.ref(schema)}`.execute(tx);
  const { rows: functions } = await sql<{ signature: string }>`
    SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'windlass%'`.execute(tx);
  for (const { signature } of functions)
    await sql`ALTER FUNCTION ${sql.raw(signature)} SET SCHEMA ${sql.ref(schema)}`.execute(tx);
}
