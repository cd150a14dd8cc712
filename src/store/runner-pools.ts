import { sql } from 'kysely';
import { poolQueue, WindlassError, workerDeadAfterMs } from '../model/index.ts';
import type { NodeKey } from '../model/index.ts';
import type { Db } from './database.ts';
import { isUniqueViolation } from './unavailable.ts';

export interface RunnerPoolRecord {
  readonly name: string;
  readonly description: string | null;
  readonly createdAt: Date;
  readonly tokenChangedAt: Date;
  /** Workers that live. */
  readonly workers: number;
  readonly lastSeenAt: Date | null;
  /** Nodes whose tools run on it. */
  readonly running: number;
}

/** Throws `conflict` when there is one of that name. */
export async function createRunnerPool(
  db: Db,
  pool: { readonly name: string; readonly description: string | null; readonly tokenHash: string },
): Promise<void> {
  try {
    await db
      .insertInto('runner_pools')
      .values({ name: pool.name, description: pool.description, token_hash: pool.tokenHash })
      .execute();
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new WindlassError('conflict', `there is already a runner pool "${pool.name}"`, {
      hint: 'choose another name, or give it a new token: windlass pool rotate NAME',
    });
  }
}

/** False when there is none of that name. */
export async function changePoolToken(db: Db, name: string, tokenHash: string): Promise<boolean> {
  const row = await db
    .updateTable('runner_pools')
    .set({ token_hash: tokenHash, token_changed_at: sql<Date>`now()` })
    .where('name', '=', name)
    .returning('name')
    .executeTakeFirst();
  return row !== undefined;
}

/** False when there is none of that name. */
export async function deleteRunnerPool(db: Db, name: string): Promise<boolean> {
  const row = await db.deleteFrom('runner_pools').where('name', '=', name).returning('name').executeTakeFirst();
  return row !== undefined;
}

/** By name. */
export async function listRunnerPools(db: Db): Promise<RunnerPoolRecord[]> {
  const { rows } = await sql<RunnerPoolRecord & { name: string }>`
    SELECT p.name, p.description, p.created_at AS "createdAt", p.token_changed_at AS "tokenChangedAt",
      (SELECT count(*)::int FROM workers w WHERE w.pool = p.name AND w.stopped_at IS NULL
        AND w.seen_at > now() - make_interval(secs => ${workerDeadAfterMs / 1000})) AS workers,
      (SELECT max(w.seen_at) FROM workers w WHERE w.pool = p.name) AS "lastSeenAt",
      (SELECT count(*)::int FROM node_runs n JOIN deployments d ON d.id = n.deployment_id
        WHERE d.finished_at IS NULL AND n.status = 'running' AND n.engine ->> 'taskQueue' = ${poolQueue('')} || p.name) AS running
    FROM runner_pools p ORDER BY p.name`.execute(db);
  return rows;
}

export async function listPoolNames(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('runner_pools').select('name').orderBy('name').execute();
  return rows.map(({ name }) => name);
}

/** The pool that a token belongs to, by its hash. */
export async function findPoolByToken(db: Db, tokenHash: string): Promise<string | null> {
  const row = await db.selectFrom('runner_pools').select('name').where('token_hash', '=', tokenHash).executeTakeFirst();
  return row?.name ?? null;
}

/** Whether a node is to be run by a pool, in a run that is open: nobody else's records are opened to it. */
export async function isNodeOfPool(db: Db, pool: string, key: NodeKey): Promise<boolean> {
  const { rows } = await sql`
    SELECT 1 FROM node_runs n JOIN deployments d ON d.id = n.deployment_id
    WHERE n.deployment_id = ${key.deploymentId} AND n.index = ${key.index} AND n.compensation = ${key.compensation}
      AND d.finished_at IS NULL AND n.engine ->> 'taskQueue' = ${poolQueue(pool)}`.execute(db);
  return rows.length > 0;
}

/** The pools that an environment and its nodes are set to, by the id of each that is. */
export async function poolSettings(db: Db, environmentId: string): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; pool: string }>`
    SELECT id, settings ->> 'pool' AS pool FROM environments
    WHERE (id = ${environmentId} OR parent_id = ${environmentId}) AND settings ->> 'pool' IS NOT NULL`.execute(db);
  return new Map(rows.map(({ id, pool }) => [id, pool]));
}

/** Whether a grant was given for the state of this environment. */
export async function isGrantOf(db: Db, grantId: string, environmentId: string): Promise<boolean> {
  const row = await db
    .selectFrom('state_grants')
    .select('id')
    .where('id', '=', grantId)
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  return row !== undefined;
}
