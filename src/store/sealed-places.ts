import { sql } from 'kysely';
import { z } from 'zod';
import type { Db } from './database.ts';
import { secretContexts } from './secrets.ts';

const text = z.string();

/** A column that holds ciphertexts: JSON with sealed texts somewhere in it, or sealed bytes. */
export interface SealedPlace {
  readonly table: string;
  readonly column: string;
  readonly kind: 'json' | 'bytes';
  /** Rows are visited in the order of this column, many units of it at a time. */
  readonly unit: string;
  readonly unitsAtOnce: number;
  /** The whole key of a row. */
  readonly key: readonly string[];
  /** What else the contexts are made from, as SQL. */
  readonly also: Readonly<Record<string, string>>;
  /** The contexts under which something in a row may be sealed. */
  readonly contexts: (row: Readonly<Record<string, unknown>>) => readonly string[];
}

const projectOf = (environment: string): string =>
  `(SELECT e.project_id FROM environments e WHERE e.id = ${environment})`;

function snapshotContexts(row: Readonly<Record<string, unknown>>): readonly string[] {
  return [
    secretContexts.snapshot(text.parse(row['project_id'])),
    secretContexts.resolved(text.parse(row['environment_id'])),
  ];
}

/** Every column with ciphertexts. A rotation looks at all others too and does not retire a key that is still found there. */
export const sealedPlaces: readonly SealedPlace[] = [
  {
    table: 'variables',
    column: 'value',
    kind: 'json',
    unit: 'id',
    unitsAtOnce: 500,
    key: ['id'],
    also: { scope: 'scope', scope_id: 'scope_id', alias: 'alias', kind: 'kind', name: 'name' },
    contexts: (row) => [
      secretContexts.variable({
        scope: text.parse(row['scope']),
        scopeId: text.parse(row['scope_id']),
        alias: text.parse(row['alias']),
        kind: text.parse(row['kind']),
        name: text.parse(row['name']),
      }),
    ],
  },
  {
    table: 'outputs',
    column: 'value',
    kind: 'json',
    unit: 'environment_id',
    unitsAtOnce: 100,
    key: ['environment_id', 'name'],
    also: {},
    contexts: (row) => [secretContexts.output(text.parse(row['environment_id']), text.parse(row['name']))],
  },
  {
    table: 'environments',
    column: 'deployed_snapshot',
    kind: 'json',
    unit: 'id',
    unitsAtOnce: 200,
    key: ['id'],
    also: { project_id: 'project_id', environment_id: 'id' },
    contexts: snapshotContexts,
  },
  ...(['request', 'definition'] as const).map((column): SealedPlace => ({
    table: 'deployments',
    column,
    kind: 'json',
    unit: 'id',
    unitsAtOnce: 200,
    key: ['id'],
    also: {},
    contexts: (row) => [secretContexts.deployment(text.parse(row['id']))],
  })),
  ...(['snapshot', 'previous_snapshot'] as const).map((column): SealedPlace => ({
    table: 'node_runs',
    column,
    kind: 'json',
    unit: 'deployment_id',
    unitsAtOnce: 10,
    key: ['deployment_id', 'compensation', 'index'],
    also: { environment_id: 'environment_id', project_id: projectOf('environment_id') },
    contexts: snapshotContexts,
  })),
  {
    table: 'artifacts',
    column: 'body',
    kind: 'bytes',
    unit: 'id',
    unitsAtOnce: 5,
    key: ['id'],
    also: {},
    contexts: (row) => [text.parse(row['id'])],
  },
  {
    table: 'state_versions',
    column: 'body',
    kind: 'bytes',
    unit: 'id',
    unitsAtOnce: 10,
    key: ['id'],
    also: { environment_id: 'environment_id' },
    contexts: (row) => [text.parse(row['environment_id'])],
  },
];

/** Where in the database something is sealed, by key: `table.column`. Reads everything once. */
export async function findSealedWith(db: Db): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  const note = (keyId: string, place: string): void => {
    found.set(keyId, (found.get(keyId) ?? new Set()).add(place));
  };
  const { rows: columns } = await sql<{ table: string; column: string; type: string }>`
    SELECT c.table_name AS "table", c.column_name AS "column", c.data_type AS type FROM information_schema.columns c
    JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
    WHERE c.table_schema = current_schema() AND c.data_type IN ('jsonb', 'bytea') ORDER BY 1, 2`.execute(db);
  for (const { table, column, type } of columns) {
    const place = `${table}.${column}`;
    const isBytes = type === 'bytea';
    if (isBytes && !sealedPlaces.some((known) => known.table === table && known.column === column)) continue;
    const name = sql.ref(column);
    const ids = isBytes
      ? sql<{
          id: string;
        }>`SELECT DISTINCT encode(substring(${name} from 1 for 4), 'hex') AS id FROM ${sql.table(table)}
          WHERE ${name} IS NOT NULL`
      : sql<{ id: string }>`SELECT DISTINCT m[1] AS id FROM ${sql.table(table)},
          regexp_matches(${name}::text, '"wl1:([0-9a-f]{8}):[A-Za-z0-9+/]{38,}={0,2}"', 'g') AS m WHERE ${name}::text LIKE '%"wl1:%'`;
    for (const { id } of (await ids.execute(db)).rows) note(id, place);
  }
  return found;
}

/** One row of a sealed place. */
export interface SealedRow {
  readonly key: Readonly<Record<string, unknown>>;
  readonly contexts: readonly string[];
  /** The text of the JSON, or the bytes. */
  readonly value: string | Uint8Array;
}

export interface SealedPage {
  /** Locked until the transaction ends. */
  readonly rows: readonly SealedRow[];
  /** How many units were looked at. */
  readonly units: number;
  /** Where to go on; null at the end. */
  readonly next: string | null;
}

/** The next rows that are sealed with another key than this one. */
export async function nextSealedElsewhere(
  tx: Db,
  place: SealedPlace,
  { keyId, after }: { readonly keyId: string; readonly after: string | null },
): Promise<SealedPage> {
  const table = sql.table(place.table);
  const unit = sql.ref(place.unit);
  const column = sql.ref(place.column);
  const numeric = place.table === 'state_versions';
  const cursor = after === null ? null : numeric ? sql`${after}::bigint` : sql`${after}`;
  const { rows: units } = await sql<{ unit: unknown }>`
    SELECT DISTINCT ${unit} AS unit FROM ${table} ${cursor === null ? sql`` : sql`WHERE ${unit} > ${cursor}`}
    ORDER BY 1 LIMIT ${place.unitsAtOnce}`.execute(tx);
  const last = units.at(-1);
  if (last === undefined) return { rows: [], units: 0, next: null };
  const end = numeric ? sql`${String(last.unit)}::bigint` : sql`${String(last.unit)}`;
  const elsewhere =
    place.kind === 'bytes'
      ? sql`substring(${column} from 1 for 4) <> decode(${keyId}, 'hex')`
      : sql`${column}::text LIKE '%"wl1:%' AND ${column}::text ~ ${`"wl1:(?!${keyId}:)[0-9a-f]{8}:`}`;
  const value = place.kind === 'bytes' ? sql`${column}` : sql`${column}::text`;
  const also = Object.entries(place.also).map(
    ([name, expression]) => sql`, ${sql.raw(expression)} AS ${sql.ref(name)}`,
  );
  const { rows } = await sql<Record<string, unknown>>`
    SELECT ${sql.join(place.key.map((name) => sql.ref(name)))}, ${value} AS sealed_value ${sql.join(also, sql` `)}
    FROM ${table} WHERE ${cursor === null ? sql`` : sql`${unit} > ${cursor} AND`} ${unit} <= ${end} AND ${elsewhere} FOR UPDATE`.execute(
    tx,
  );
  return {
    rows: rows.map((row) => ({
      key: Object.fromEntries(place.key.map((name) => [name, row[name]])),
      contexts: place.contexts(row),
      value: row['sealed_value'] instanceof Uint8Array ? row['sealed_value'] : text.parse(row['sealed_value']),
    })),
    units: units.length,
    next: String(last.unit),
  };
}

/** Puts another ciphertext in the place of one. */
export async function writeSealed(tx: Db, place: SealedPlace, row: SealedRow): Promise<void> {
  const value = typeof row.value === 'string' ? sql`${row.value}::jsonb` : sql`${row.value}`;
  const where = Object.entries(row.key).map(([name, part]) => sql`${sql.ref(name)} = ${part}`);
  await sql`UPDATE ${sql.table(place.table)} SET ${sql.ref(place.column)} = ${value} WHERE ${sql.join(where, sql` AND `)}`.execute(
    tx,
  );
}

/** How many units a full pass looks at. */
export async function countSealedUnits(db: Db): Promise<number> {
  let total = 0;
  for (const place of sealedPlaces) {
    const { rows } = await sql<{ count: number }>`
      SELECT count(DISTINCT ${sql.ref(place.unit)}) AS count FROM ${sql.table(place.table)}`.execute(db);
    total += Number(rows[0]?.count ?? 0);
  }
  return total;
}
