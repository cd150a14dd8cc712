import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { OutputDto, VariableType, VariableValue } from '../model/index.ts';
import { variableTypeSchema, variableValueSchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson } from './json.ts';
import type { OutputsTable } from './schema.ts';
import { withNodesOf } from './nested.ts';
import { secretContexts } from './secrets.ts';
import type { Secrets } from './secrets.ts';
import { inTransaction } from './transactions.ts';

/** An output, decrypted. Lives in memory only. */
export interface StoredOutput {
  readonly name: string;
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
}

type OutputRow = Selectable<OutputsTable>;

function openOutput(secrets: Secrets, row: OutputRow): StoredOutput {
  const place = `output "${row.name}" of ${row.environment_id}`;
  const value = row.sensitive
    ? JSON.parse(
        secrets.open(fromJson(z.string(), row.value, place), secretContexts.output(row.environment_id, row.name)),
      )
    : row.value;
  return {
    name: row.name,
    type: fromJson(variableTypeSchema, row.type, place),
    value: fromJson(variableValueSchema, value, place),
    sensitive: row.sensitive,
  };
}

/** What an environment and the nodes of its graph put out, by node and name; sensitive values are left out. */
export async function listOutputs(db: Db, environmentId: string): Promise<OutputDto[]> {
  const { rows } = await sql<OutputRow & { node_alias: string | null }>`
    SELECT o.*, CASE WHEN e.id = ${environmentId} THEN NULL ELSE e.alias END AS node_alias
    FROM environments e JOIN outputs o ON o.environment_id = e.id
    WHERE e.id IN ${withNodesOf(environmentId)}
    ORDER BY node_alias NULLS FIRST, o.name`.execute(db);
  return rows.map((row) => {
    const place = `output "${row.name}" of ${row.environment_id}`;
    return {
      alias: row.node_alias,
      name: row.name,
      type: fromJson(variableTypeSchema, row.type, place),
      value: row.sensitive ? null : fromJson(variableValueSchema, row.value, place),
      sensitive: row.sensitive,
      updatedAt: iso(row.updated_at),
    };
  });
}

/** Outputs of several environments by their ids, decrypted; those without any are left out. */
export async function readOutputs(
  db: Db,
  secrets: Secrets,
  environmentIds: readonly string[],
): Promise<Map<string, StoredOutput[]>> {
  const found = new Map<string, StoredOutput[]>();
  if (environmentIds.length === 0) return found;
  const { rows } = await sql<OutputRow>`
    SELECT * FROM outputs WHERE environment_id = ANY(${[...environmentIds]}::text[]) ORDER BY environment_id, name`.execute(
    db,
  );
  for (const row of rows) {
    const list = found.get(row.environment_id);
    if (list) list.push(openOutput(secrets, row));
    else found.set(row.environment_id, [openOutput(secrets, row)]);
  }
  return found;
}

/** Outputs of an environment's nodes, decrypted, by alias and then by name. */
export async function outputsOfSiblings(
  db: Db,
  secrets: Secrets,
  parentId: string,
  aliases: readonly string[],
): Promise<Map<string, Map<string, StoredOutput>>> {
  const found = new Map<string, Map<string, StoredOutput>>();
  if (aliases.length === 0) return found;
  const { rows } = await sql<OutputRow & { node_alias: string }>`
    SELECT o.*, e.alias AS node_alias FROM environments e JOIN outputs o ON o.environment_id = e.id
    WHERE e.parent_id = ${parentId} AND NOT e.detached AND e.alias = ANY(${[...aliases]}::text[])`.execute(db);
  for (const row of rows) {
    const outputs = found.get(row.node_alias) ?? new Map<string, StoredOutput>();
    found.set(row.node_alias, outputs.set(row.name, openOutput(secrets, row)));
  }
  return found;
}

/** JSON with the keys of objects in order, so that equal values have equal text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part,
  );
}

/**
 * Makes `outputs` the outputs of an environment. Answers whether any was added, removed or changed; what is equal is
 * not written again.
 */
export async function replaceOutputs(
  db: Db,
  secrets: Secrets,
  environmentId: string,
  outputs: readonly StoredOutput[],
): Promise<boolean> {
  const wanted = new Map(outputs.map((output) => [output.name, output]));
  const known = (await readOutputs(db, secrets, [environmentId])).get(environmentId) ?? [];
  const before = new Map(known.map((output) => [output.name, canonical(output)]));
  const changed = [...wanted.values()].filter(
    ({ name, type, value, sensitive }) => before.get(name) !== canonical({ name, type, value, sensitive }),
  );
  const gone = [...before.keys()].filter((name) => !wanted.has(name));
  if (changed.length === 0 && gone.length === 0) return false;
  await inTransaction(db, async (tx) => {
    if (gone.length > 0)
      await sql`DELETE FROM outputs WHERE environment_id = ${environmentId} AND name = ANY(${gone}::text[])`.execute(
        tx,
      );
    if (changed.length === 0) return;
    const rows = changed.map(({ name, type, value, sensitive }) => ({
      name,
      type,
      sensitive,
      value: sensitive ? secrets.seal(JSON.stringify(value), secretContexts.output(environmentId, name)) : value,
    }));
    await sql`
      INSERT INTO outputs (environment_id, name, type, value, sensitive)
      SELECT ${environmentId}, o.name, o.type, COALESCE(o.value, 'null'), o.sensitive
      FROM jsonb_to_recordset(${toJson(rows)}::jsonb) AS o(name text, type text, value jsonb, sensitive boolean)
      ON CONFLICT (environment_id, name) DO UPDATE SET
        type = excluded.type, value = excluded.value, sensitive = excluded.sensitive, updated_at = now()`.execute(tx);
  });
  return true;
}
