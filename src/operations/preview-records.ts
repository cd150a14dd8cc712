/** What the records know of a run before it begins. */
import { sql } from 'kysely';
import { z } from 'zod';
import type { NodeVersion, PreviewDestroy } from '../model/index.ts';
import { resourceActions } from '../model/index.ts';
import type { Db } from '../store/index.ts';

/** By the node's environment id. */
export type Versions = ReadonlyMap<string, NodeVersion>;

/** Whether a run that changes something is not over yet. */
export async function changesFirst(db: Db, environmentId: string): Promise<boolean> {
  const other = await db
    .selectFrom('deployments')
    .select('id')
    .where('environment_id', '=', environmentId)
    .where('type', 'not in', ['plan', 'drift'])
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  return other !== undefined;
}

const versionRowSchema = z.object({
  environment_id: z.string(),
  action: z.string(),
  number: z.number(),
  commit: z.string().nullable(),
});

/** What each node was at after a deployment; now when that is null. What was destroyed by then is left out. */
export async function versionsOf(db: Db, environmentId: string, upTo: number | null): Promise<Versions> {
  const { rows } = await sql`
    SELECT DISTINCT ON (nr.environment_id) nr.environment_id, nr.action, d.number, nr.snapshot->>'commit' AS commit
    FROM node_runs nr JOIN deployments d ON d.id = nr.deployment_id
    WHERE d.environment_id = ${environmentId} AND ${upTo === null ? sql`true` : sql`d.number <= ${upTo}`}
      AND nr.status = 'succeeded' AND nr.action IN ('deploy', 'destroy')
    ORDER BY nr.environment_id, d.number DESC, nr.finished_at DESC`.execute(db);
  return new Map(
    z
      .array(versionRowSchema)
      .parse(rows)
      .flatMap(({ environment_id, action, number, commit }) =>
        action === 'deploy' ? [[environment_id, { deployment: number, commit }] as const] : [],
      ),
  );
}

/** Resources in the newest state that Windlass keeps of each environment. */
export async function resourceCounts(db: Db, environmentIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (environmentIds.length === 0) return new Map();
  const { rows } = await sql<{ environment_id: string; resources: number }>`
    SELECT DISTINCT ON (environment_id) environment_id, resources FROM state_versions
    WHERE environment_id IN (SELECT jsonb_array_elements_text(${JSON.stringify(environmentIds)}::jsonb))
    ORDER BY environment_id, id DESC`.execute(db);
  return new Map(rows.map(({ environment_id, resources }) => [environment_id, resources]));
}

const plannedRowSchema = z.object({
  alias: z.string(),
  name: z.string(),
  number: z.number(),
  resources: z.array(z.object({ address: z.string(), action: z.enum(resourceActions) })).nullable(),
});

/** Resources that the last plan of this code would take away, if nothing was changed since it was made. */
export async function plannedDestroys(db: Db, environmentId: string, commit: string): Promise<PreviewDestroy[]> {
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

const undoneRowSchema = z.object({
  environmentId: z.string(),
  alias: z.string(),
  name: z.string(),
  action: z.enum(['deploy', 'destroy']),
  commit: z.string().nullable(),
});

/** What a rollback of a running deployment takes back now: the same rule as `planCompensation`, newest nodes first. */
export async function undoneBy(db: Db, deploymentId: string): Promise<z.infer<typeof undoneRowSchema>[]> {
  const { rows } = await sql`
    SELECT environment_id AS "environmentId", alias, name, snapshot->>'commit' AS commit,
      CASE WHEN previous_snapshot IS NOT NULL THEN 'deploy' ELSE 'destroy' END AS action
    FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation AND began_change
      AND (action = 'deploy' OR (action = 'destroy' AND previous_snapshot IS NOT NULL))
    ORDER BY index DESC`.execute(db);
  return z.array(undoneRowSchema).parse(rows);
}
