/** How environments live: their status, their end, their lock. */
import { sql } from 'kysely';
import { emptyEnvironmentStatuses, environmentLockSchema, environmentSettingsSchema } from '../model/index.ts';
import type { Environment, EnvironmentLife, EnvironmentSettings, EnvironmentStatus } from '../model/index.ts';
import type { Db } from './database.ts';
import { setEnvironmentExpiry } from './environments.ts';
import { recordEvent } from './events.ts';
import { fromJson, isoOrNull } from './json.ts';
import { oneOf } from './lists.ts';

/** Says what an environment has become, and tells those who watch. */
export async function setEnvironmentStatus(
  db: Db,
  environmentId: string,
  status: EnvironmentStatus,
  deploymentId: string | null,
): Promise<void> {
  await sql`UPDATE environments SET status = ${status}, updated_at = now() WHERE id = ${environmentId}`.execute(db);
  await recordEvent(db, { type: 'environment.status', environmentId, deploymentId, alias: null, data: { status } });
}

/** Remembers the run that has made an environment what it is. */
export async function setDeployedBy(db: Db, environmentId: string, deploymentId: string): Promise<void> {
  await db.updateTable('environments').set({ deployed_by: deploymentId }).where('id', '=', environmentId).execute();
}

/** Keeps the row of an environment to the end of the transaction; answers its project, null without such an environment. */
export async function lockEnvironmentRow(tx: Db, id: string): Promise<{ readonly projectId: string } | null> {
  const row = await tx
    .selectFrom('environments')
    .select('project_id')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? null : { projectId: row.project_id };
}

/** The project of an environment; null when there is no such environment. */
export async function projectOfEnvironment(db: Db, id: string): Promise<string | null> {
  const row = await db.selectFrom('environments').select('project_id').where('id', '=', id).executeTakeFirst();
  return row?.project_id ?? null;
}

/** The end, epoch milliseconds, and the lock as they are on record; null when there is no such environment. */
export async function readEnvironmentLife(db: Db, id: string): Promise<EnvironmentLife | null> {
  const row = await db
    .selectFrom('environments')
    .select(['expires_at', 'lock', 'archived'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    expiresAtMs: row.expires_at?.getTime() ?? null,
    lock: fromJson(environmentLockSchema.nullable(), row.lock, `the lock of environment ${id}`),
    ...(row.archived ? { archived: true as const } : {}),
  };
}

/** Saved settings of an environment that is not archived; null when there is none. */
export async function readEnvironmentSettings(db: Db, id: string): Promise<EnvironmentSettings | null> {
  const row = await db
    .selectFrom('environments')
    .select('settings')
    .where('id', '=', id)
    .where('archived', '=', false)
    .executeTakeFirst();
  return row === undefined
    ? null
    : fromJson(environmentSettingsSchema, row.settings, `the settings of environment ${id}`);
}

/** Moves the end of an environment, and tells those who watch; null for never. */
export async function moveExpiry(
  db: Db,
  environmentId: string,
  expiresAt: Date | null,
  { deploymentId = null, by }: { readonly deploymentId?: string | null; readonly by?: string | undefined } = {},
): Promise<void> {
  await setEnvironmentExpiry(db, environmentId, expiresAt);
  await recordExpiryEvent(db, environmentId, expiresAt, { deploymentId, by });
}

async function recordExpiryEvent(
  db: Db,
  environmentId: string,
  expiresAt: Date | null,
  { deploymentId, by }: { readonly deploymentId: string | null; readonly by?: string | undefined },
): Promise<void> {
  const data = { expiresAt: isoOrNull(expiresAt), ...(by === undefined ? {} : { by }) };
  await recordEvent(db, { type: 'ttl.changed', environmentId, deploymentId, alias: null, data });
}

/**
 * Puts an end off that is due by a moment, and leaves one that somebody has moved since. Answers the end that counts,
 * epoch milliseconds.
 */
export async function postponeExpiry(
  db: Db,
  environmentId: string,
  { dueBy, until }: { readonly dueBy: Date; readonly until: Date },
): Promise<number | null> {
  const row = await db
    .updateTable('environments')
    .set({ expires_at: until })
    .where('id', '=', environmentId)
    .where('expires_at', '<=', dueBy)
    .returning('expires_at')
    .executeTakeFirst();
  if (row === undefined) return (await readEnvironmentLife(db, environmentId))?.expiresAtMs ?? null;
  await recordExpiryEvent(db, environmentId, row.expires_at, { deploymentId: null });
  return row.expires_at?.getTime() ?? null;
}

/** Environments, and nodes of graphs, that end before a moment. */
export async function listEndingBefore(db: Db, moment: Date): Promise<EndingEnvironment[]> {
  const { rows } = await sql<EndingEnvironment>`
    SELECT id, COALESCE(parent_id, id) AS "rootId", CASE WHEN parent_id IS NOT NULL THEN alias END AS alias, expires_at AS due FROM environments
    WHERE expires_at < ${moment} AND NOT archived`.execute(db);
  return rows;
}

export interface EndingEnvironment {
  readonly id: string;
  /** Of a node: the environment of its graph; else the same. */
  readonly rootId: string;
  readonly alias: string | null;
  readonly due: Date;
}

/** Ids of environments that stand alone and are not archived. */
export async function listLiveEnvironmentIds(db: Db): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM environments WHERE parent_id IS NULL AND NOT archived ORDER BY id`.execute(db);
  return rows.map(({ id }) => id);
}

/** Removes the record of an environment that never came to be. */
export async function deleteEnvironment(db: Db, id: string): Promise<void> {
  await db.deleteFrom('environments').where('id', '=', id).execute();
}

/** A person has looked: what the state says is what is there. */
export async function markVerified(db: Db, environment: Pick<Environment, 'id' | 'alias' | 'status'>): Promise<void> {
  const { id, alias, status } = environment;
  await db.updateTable('environments').set({ state_unverified: null }).where('id', '=', id).execute();
  await recordEvent(db, {
    type: 'environment.status',
    environmentId: id,
    deploymentId: null,
    alias,
    data: { status, stateUnverified: null },
  });
}

/**
 * Whether nothing of an environment exists, nothing was done with it since a moment, and nothing is about to be. Keeps its
 * root to the end of the transaction: a run gets its number by changing that row, so none begins in between.
 */
export async function lockUnusedEnvironment(tx: Db, environmentId: string, before: Date): Promise<boolean> {
  await sql`
    SELECT 1 FROM environments
    WHERE id = (SELECT COALESCE(parent_id, id) FROM environments WHERE id = ${environmentId}) FOR UPDATE`.execute(tx);
  // A statement of its own: what was committed while the lock was waited for counts.
  const { rows } = await sql`
    SELECT 1 FROM environments e
    WHERE e.id = ${environmentId} AND e.updated_at < ${before}
      AND (e.archived OR ${oneOf(sql`e.status`, emptyEnvironmentStatuses)})
      AND NOT EXISTS (
        SELECT 1 FROM deployments d WHERE d.environment_id = COALESCE(e.parent_id, e.id) AND d.finished_at IS NULL
      )`.execute(tx);
  return rows.length > 0;
}

/** Names of environments whose template is read from a directory of the server's machine. */
export async function listLocalSources(db: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    SELECT e.name FROM environments e JOIN templates t ON t.id = e.template_id
    WHERE NOT e.archived AND e.parent_id IS NULL AND t.source ->> 'kind' = 'local'`.execute(db);
  return rows.map(({ name }) => name);
}
