/** Versions of the states that Windlass keeps. Their bodies are ciphertext here. */
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { StateVersion } from '../model/index.ts';
import type { Db } from './database.ts';
import type { Schema } from './schema.ts';

const columns = [
  'id',
  'serial',
  'lineage',
  'size',
  'resources',
  'deployment_id',
  'restored_from',
  'created_by',
  'created_at',
] as const satisfies readonly (keyof Schema['state_versions'])[];

function toVersion(row: Pick<Selectable<Schema['state_versions']>, (typeof columns)[number]>): StateVersion {
  return {
    id: row.id,
    serial: row.serial,
    lineage: row.lineage,
    size: row.size,
    resources: row.resources,
    deploymentId: row.deployment_id,
    restoredFrom: row.restored_from,
    createdBy: row.created_by,
    createdAt: row.created_at.toISOString(),
  };
}

/** The newest state of an environment; null when there is none. A version of size 0 says that the state was removed. */
export async function latestStateVersion(
  db: Db,
  environmentId: string,
): Promise<{ serial: number; lineage: string; versionId: number } | null> {
  const row = await db
    .selectFrom('state_versions')
    .select(['id', 'serial', 'lineage', 'size'])
    .where('environment_id', '=', environmentId)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && row.size > 0 ? { serial: row.serial, lineage: row.lineage, versionId: row.id } : null;
}

/** What the newest state of an environment is, as one of its grants may read it; null when the grant is none of it. */
export async function readLatestState(
  db: Db,
  grant: { readonly id: string; readonly environmentId: string },
): Promise<{
  readonly fenced: boolean;
  readonly size: number | null;
  readonly md5: string | null;
  readonly body: Uint8Array | null;
} | null> {
  const { rows } = await sql<{ fenced: boolean; size: number | null; md5: string | null; body: Uint8Array | null }>`
    SELECT g.fenced_at IS NOT NULL AS fenced, v.size, v.md5, v.body
    FROM state_grants g
    LEFT JOIN LATERAL (
      SELECT size, md5, body FROM state_versions WHERE environment_id = g.environment_id ORDER BY id DESC LIMIT 1
    ) v ON true
    WHERE g.id = ${grant.id} AND g.environment_id = ${grant.environmentId}`.execute(db);
  return rows[0] ?? null;
}

export interface NewStateVersion {
  readonly serial: number;
  readonly lineage: string;
  readonly md5: string;
  readonly resources: number;
  readonly environmentId: string;
  readonly size: number;
  /** Ciphertext. */
  readonly body: Uint8Array;
  readonly deploymentId: string | null;
  readonly index: number | null;
  readonly restoredFrom: number | null;
  readonly createdBy: string | null;
  /** Any lineage and serial may follow any other. */
  readonly explicit: boolean;
}

/** What came before a version; `id` is that of the version, null when it was not added. */
export interface Predecessor {
  readonly id: number | null;
  readonly serial: number | null;
  readonly lineage: string | null;
  readonly md5: string | null;
}

/** Adds a version if it may follow the newest, and drops the oldest past the limit. Call with the state's lock held. */
export async function insertStateVersion(db: Db, keepVersions: number, version: NewStateVersion): Promise<Predecessor> {
  const { rows } = await sql<Predecessor>`
    WITH latest AS (
      SELECT serial, lineage, md5, size FROM state_versions
      WHERE environment_id = ${version.environmentId} ORDER BY id DESC LIMIT 1
    ), added AS (
      INSERT INTO state_versions
        (environment_id, serial, lineage, md5, size, body, resources, deployment_id, index, restored_from, created_by)
      SELECT ${version.environmentId}::text, ${version.serial}::bigint, ${version.lineage}::text, ${version.md5}::text,
        ${version.size}::integer, ${version.body}::bytea, ${version.resources}::integer, ${version.deploymentId}::text,
        ${version.index}::integer, ${version.restoredFrom}::bigint, ${version.createdBy}::text
      WHERE ${version.explicit}::boolean OR NOT EXISTS (
        SELECT 1 FROM latest
        WHERE size > 0 AND (lineage <> ${version.lineage}::text OR serial >= ${version.serial}::bigint)
      )
      RETURNING id
    ), dropped AS (
      DELETE FROM state_versions
      WHERE environment_id = ${version.environmentId} AND EXISTS (SELECT 1 FROM added) AND id <= (
        SELECT id FROM state_versions WHERE environment_id = ${version.environmentId}
        ORDER BY id DESC OFFSET ${keepVersions - 1}::integer LIMIT 1
      )
    )
    SELECT added.id, latest.serial, latest.lineage, latest.md5
    FROM (SELECT 1) one LEFT JOIN added ON true LEFT JOIN latest ON true`.execute(db);
  return rows[0] ?? { id: null, serial: null, lineage: null, md5: null };
}

/** Newest first, one more than asked for when there are more; those before a version when it is given. */
export async function listStateVersions(
  db: Db,
  environmentId: string,
  { before, limit }: { readonly before: number | null; readonly limit: number },
): Promise<StateVersion[]> {
  const rows = await db
    .selectFrom('state_versions')
    .select(columns)
    .where('environment_id', '=', environmentId)
    .$if(before !== null, (query) => query.where('id', '<', before ?? 0))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(toVersion);
}

/** One version with its body; null when there is none. */
export async function findStateVersion(
  db: Db,
  environmentId: string,
  versionId: number,
): Promise<(StateVersion & { readonly body: Uint8Array }) | null> {
  if (!Number.isSafeInteger(versionId)) return null;
  const row = await db
    .selectFrom('state_versions')
    .select([...columns, 'body'])
    .where('environment_id', '=', environmentId)
    .where('id', '=', versionId)
    .executeTakeFirst();
  return row === undefined ? null : { ...toVersion(row), body: row.body };
}

/** Resources in the newest state that Windlass keeps of each environment. */
export async function countResources(db: Db, environmentIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (environmentIds.length === 0) return new Map();
  const { rows } = await sql<{ environment_id: string; resources: number }>`
    SELECT DISTINCT ON (environment_id) environment_id, resources FROM state_versions
    WHERE environment_id = ANY(${[...environmentIds]}::text[]) ORDER BY environment_id, id DESC`.execute(db);
  return new Map(rows.map(({ environment_id, resources }) => [environment_id, resources]));
}
