/** What earlier and other runs of an environment say about it. */
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import {
  activeDeploymentStatuses,
  deploymentRequestSchema,
  deploymentStatuses,
  deploymentTypes,
  nodeSnapshotSchema,
  readOnlyTypes,
  resourceActions,
} from '../model/index.ts';
import type { DeploymentType, NodeSnapshot, NodeVersion, PreviewDestroy } from '../model/index.ts';
import type { Db } from './database.ts';
import { noneOf, oneOf } from './lists.ts';
import { runDefinitionSchema } from './runs.ts';

const openRunSchema = z.object({
  id: z.string(),
  number: z.number(),
  type: z.enum(deploymentTypes),
  status: z.enum(deploymentStatuses),
});
export type OpenRunOf = z.infer<typeof openRunSchema>;

/** Runs of one environment that are not over, oldest first. */
export async function openRunsOf(
  db: Db,
  environmentId: string,
  only: {
    /** Those of these types; `changing` leaves out those that only read. */
    readonly types?: readonly DeploymentType[] | 'changing' | undefined;
    /** Those that have left the queue. */
    readonly begun?: boolean | undefined;
    /** Without this one. */
    readonly besides?: string | undefined;
  } = {},
): Promise<OpenRunOf[]> {
  const conditions: RawBuilder<boolean>[] = [sql`environment_id = ${environmentId}`, sql`finished_at IS NULL`];
  if (only.types === 'changing') conditions.push(noneOf(sql`type`, readOnlyTypes));
  else if (only.types !== undefined) conditions.push(oneOf(sql`type`, only.types));
  if (only.begun === true) conditions.push(oneOf(sql`status`, activeDeploymentStatuses));
  if (only.besides !== undefined) conditions.push(sql`id <> ${only.besides}`);
  const { rows } = await sql`
    SELECT id, number, type, status FROM deployments WHERE ${sql.join(conditions, sql` AND `)} ORDER BY number`.execute(
    db,
  );
  return z.array(openRunSchema).parse(rows);
}

/** The last change of each environment of a graph up to a run, with one more column of its record. */
async function lastChanges<T>(
  db: Db,
  { environmentId, upTo }: { readonly environmentId: string; readonly upTo: number | null },
  column: RawBuilder<T>,
): Promise<{ environment_id: string; number: number; value: T }[]> {
  const { rows } = await sql<{ environment_id: string; action: string; number: number; value: T }>`
    SELECT DISTINCT ON (nr.environment_id) nr.environment_id, nr.action, d.number, ${column} AS value
    FROM node_runs nr JOIN deployments d ON d.id = nr.deployment_id
    WHERE d.environment_id = ${environmentId} AND ${upTo === null ? sql`true` : sql`d.number <= ${upTo}`}
      AND nr.status = 'succeeded' AND nr.action IN ('deploy', 'destroy')
    ORDER BY nr.environment_id, d.number DESC, nr.finished_at DESC`.execute(db);
  // What was destroyed by then was not there.
  return rows.filter(({ action }) => action === 'deploy');
}

/** Snapshots that were in force right after a deployment ended: for each environment, its last success up to then. */
export async function loadSnapshotsAsOf(
  db: Db,
  environmentId: string,
  number: number,
): Promise<Map<string, NodeSnapshot>> {
  const changes = await lastChanges(db, { environmentId, upTo: number }, sql<unknown>`nr.snapshot`);
  return new Map(
    changes.flatMap(({ environment_id, value }) =>
      value === null ? [] : [[environment_id, nodeSnapshotSchema.parse(value)] as const],
    ),
  );
}

/** By the node's environment id. */
export type Versions = ReadonlyMap<string, NodeVersion>;

/** What each node was at after a deployment; now when that is null. What was destroyed by then is left out. */
export async function loadVersions(db: Db, environmentId: string, upTo: number | null): Promise<Versions> {
  const changes = await lastChanges(db, { environmentId, upTo }, sql<string | null>`nr.snapshot->>'commit'`);
  return new Map(
    changes.map(({ environment_id, number, value }) => [environment_id, { deployment: number, commit: value }]),
  );
}

/** Environments that a later run than this one has changed, or begun to change. */
export async function changedSince(db: Db, environmentId: string, number: number): Promise<Set<string>> {
  const { rows } = await sql<{ environment_id: string }>`
    SELECT DISTINCT nr.environment_id FROM node_runs nr JOIN deployments d ON d.id = nr.deployment_id
    WHERE d.environment_id = ${environmentId} AND d.number > ${number} AND nr.action IN ('deploy', 'destroy')
      AND (nr.status = 'succeeded' OR nr.began_change)`.execute(db);
  return new Set(rows.map((row) => row.environment_id));
}

/** The last run before a number that deployed or rolled back, and ended well. */
async function lastSuccess(
  db: Db,
  environmentId: string,
  before: RawBuilder<unknown>,
): Promise<{ id: string; number: number } | null> {
  const { rows } = await sql<{ id: string; number: number }>`
    SELECT id, number FROM deployments WHERE environment_id = ${environmentId} AND status = 'succeeded' AND type IN ('deploy', 'rollback')
      AND number < ${before} ORDER BY number DESC LIMIT 1`.execute(db);
  return rows[0] ?? null;
}

/** The last run before this number to which an environment can go back. */
export async function lastSuccessBeforeNumber(
  db: Db,
  environmentId: string,
  number: number,
): Promise<{ id: string; number: number } | null> {
  return lastSuccess(db, environmentId, sql`${number}::integer`);
}

/** The last deployment before the newest one that changed something, which ended well. */
export async function lastSuccessBefore(
  db: Db,
  environmentId: string,
  deploymentId: string,
): Promise<{ id: string; number: number } | null> {
  return lastSuccess(
    db,
    environmentId,
    sql`(SELECT number FROM deployments WHERE environment_id = ${environmentId} AND id <> ${deploymentId}
      AND type IN ('deploy', 'rollback') AND started_at IS NOT NULL ORDER BY number DESC LIMIT 1)`,
  );
}

const foundRunSchema = z.object({
  id: z.string(),
  number: z.number(),
  request: deploymentRequestSchema,
  definition: runDefinitionSchema.nullable(),
});
export type FoundRun = z.infer<typeof foundRunSchema>;

/** A run of an environment by its id or number; null when there is none. */
export async function findRun(db: Db, environmentId: string, reference: string): Promise<FoundRun | null> {
  const { rows } = await sql`
    SELECT id, number, request, definition FROM deployments
    WHERE environment_id = ${environmentId} AND (id = ${reference} OR number::text = ${reference}) LIMIT 1`.execute(db);
  return rows[0] === undefined ? null : foundRunSchema.parse(rows[0]);
}

const plannedRowSchema = z.object({
  alias: z.string(),
  name: z.string(),
  number: z.number(),
  resources: z.array(z.object({ address: z.string(), action: z.enum(resourceActions) })).nullable(),
});

/** Resources that the last plan of this code would take away, if nothing was changed since it was made. */
export async function listPlannedDestroys(db: Db, environmentId: string, commit: string): Promise<PreviewDestroy[]> {
  const { rows } = await sql`
    WITH newest AS (
      SELECT id, number, type, status, source_commit FROM deployments d
      WHERE environment_id = ${environmentId} AND type <> 'drift'
        AND (type <> 'plan' OR (status = 'succeeded' AND request->>'rollbackTo' IS NULL))
      ORDER BY number DESC LIMIT 1
    )
    SELECT nr.alias, nr.name, d.number, nr.plan->'resources' AS resources
    FROM newest d JOIN node_runs nr ON nr.deployment_id = d.id
    WHERE d.type = 'plan' AND d.source_commit = ${commit} AND nr.action = 'plan' AND nr.engine->>'removal' IS NULL
      AND (nr.plan->'counts'->>'destroy')::int > 0
    ORDER BY nr.index`.execute(db);
  return z
    .array(plannedRowSchema)
    .parse(rows)
    .map(({ alias, name, number, resources }) => {
      const addresses = (resources ?? []).flatMap(({ address, action }) =>
        action === 'delete' || action === 'replace' ? [address] : [],
      );
      return { alias, name, whole: false, resources: addresses.length, addresses, plannedIn: number };
    });
}

const deployRunSchema = z.object({
  type: z.enum(deploymentTypes),
  trigger: z.string(),
  request: deploymentRequestSchema.pick({ partial: true, restoreNodes: true }),
  succeeded: z.boolean(),
  finished_at: z.date(),
});

/** Runs since the last destroy that left something there, or may have; oldest first. */
export async function listDeploysSinceDestroy(
  db: Db,
  environmentId: string,
): Promise<z.infer<typeof deployRunSchema>[]> {
  const { rows } = await sql`
    SELECT d.type, d.trigger, d.status = 'succeeded' AS succeeded, d.finished_at,
      jsonb_strip_nulls(jsonb_build_object('partial', d.request -> 'partial', 'restoreNodes', d.request -> 'restoreNodes')) AS request
    FROM deployments d WHERE d.environment_id = ${environmentId} AND d.type IN ('deploy', 'rollback')
      AND d.finished_at IS NOT NULL AND (d.started_at IS NOT NULL OR d.status = 'succeeded')
      AND d.number > COALESCE((SELECT max(number) FROM deployments gone
        WHERE gone.environment_id = d.environment_id AND gone.type = 'destroy' AND gone.status = 'succeeded'), 0)
    ORDER BY d.number`.execute(db);
  return z.array(deployRunSchema).parse(rows);
}

/** Whether a newer deploy of the whole takes the place of an older one, as the environment is set, and nothing lies between. */
export async function isReplacedBy(
  db: Db,
  run: { readonly id: string; readonly number: number; readonly environmentId: string },
  by: string,
): Promise<boolean> {
  const whole = sql`request -> 'partial' IS NULL AND request -> 'resume' IS NULL AND type = 'deploy'`;
  const { rows } = await sql`
    SELECT 1 FROM deployments newer JOIN environments e ON e.id = newer.environment_id
    WHERE newer.id = ${by} AND newer.environment_id = ${run.environmentId} AND newer.number > ${run.number}
      AND newer.finished_at IS NULL AND (e.settings ->> 'coalesceDeploys')::boolean
      AND newer.id IN (SELECT id FROM deployments WHERE id = ${by} AND ${whole})
      AND EXISTS (SELECT 1 FROM deployments WHERE id = ${run.id} AND ${whole})
      AND NOT EXISTS (SELECT 1 FROM deployments between_them WHERE between_them.environment_id = ${run.environmentId}
        AND between_them.number > ${run.number} AND between_them.number < newer.number
        AND between_them.status = 'queued' AND between_them.type IN ('destroy', 'rollback'))`.execute(db);
  return rows.length > 0;
}
