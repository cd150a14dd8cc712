import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type {
  Actor,
  Deployment,
  DeploymentRequest,
  DeploymentStatus,
  DeploymentType,
  Page,
  Scope,
  Trigger,
} from '../model/index.ts';
import { deploymentRequestSchema, newId, variableValueSchema } from '../model/index.ts';
import { currentTraceparent } from '../tracing/index.ts';
import type { Db } from './database.ts';
import { selectDeployments, toDeployment } from './deployment-dto.ts';
import { findEnvironment } from './environments.ts';
import { fromJson, toJson } from './json.ts';
import { ambiguous, escapeLike, looksLikeId, missing } from './lookup.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import { inScope } from './scope.ts';
import { secretContexts } from './secrets.ts';
import type { Secrets } from './secrets.ts';

export interface NewDeployment {
  /** Made when absent. Giving the same one twice makes one deployment. */
  readonly id?: string | undefined;
  /** The environment whose slot it takes: the workflow environment, also for a run of one of its nodes. */
  readonly environmentId: string;
  readonly type: DeploymentType;
  readonly trigger: Trigger;
  readonly requestedBy: Actor;
  readonly request: DeploymentRequest;
  readonly basedOn?: string | null | undefined;
  /** Whether who asks may approve it, too; see `waiverRefusal`. */
  readonly mayWaiveApproval?: boolean | undefined;
}

export interface CreatedDeployment {
  readonly id: string;
  readonly environmentId: string;
  /** Counts the environment's deployments from 1. */
  readonly number: number;
}

/** Records a queued run under the next number of its environment. Sensitive values of the request are encrypted. */
export async function createDeployment(db: Db, secrets: Secrets, input: NewDeployment): Promise<CreatedDeployment> {
  const id = input.id ?? newId('dep');
  // The update locks the environment's row, so that no number is given twice; it comes after the check for the same id.
  const { rows } = await sql<CreatedDeployment>`
    WITH counted AS (
      UPDATE environments SET deployment_counter = deployment_counter + 1
      WHERE id = ${input.environmentId} AND NOT archived AND NOT EXISTS (SELECT 1 FROM deployments WHERE id = ${id})
      RETURNING id, deployment_counter
    )
    INSERT INTO deployments (id, environment_id, number, type, trigger, requested_by, request, based_on, may_waive_approval, traceparent)
    SELECT ${id}, counted.id, counted.deployment_counter, ${input.type}, ${input.trigger}, ${toJson(input.requestedBy)}::jsonb,
      ${toJson(sealRequest(secrets, id, input.request))}::jsonb, ${input.basedOn ?? null},
      ${input.mayWaiveApproval ?? false}, ${currentTraceparent()} FROM counted
    ON CONFLICT (id) DO NOTHING
    RETURNING id, environment_id AS "environmentId", number`.execute(db);
  if (rows[0]) return rows[0];
  const existing = await db
    .selectFrom('deployments')
    .where('id', '=', id)
    .select(['id', 'environment_id as environmentId', 'number'])
    .executeTakeFirst();
  if (existing) return existing;
  throw missing('environment', input.environmentId, []);
}

/** The request as it is stored: values of sensitive variables are sealed for this deployment alone. */
export function sealRequest(secrets: Secrets, deploymentId: string, request: DeploymentRequest): DeploymentRequest {
  const context = secretContexts.deployment(deploymentId);
  return {
    ...request,
    variables: request.variables.map((variable) =>
      variable.sensitive && variable.value !== undefined
        ? { ...variable, value: secrets.seal(JSON.stringify(variable.value), context) }
        : variable,
    ),
  };
}

/** The request of a deployment with its sensitive values, for asking for the same again. */
export async function readDeploymentRequest(db: Db, secrets: Secrets, id: string): Promise<DeploymentRequest> {
  const row = await db.selectFrom('deployments').select('request').where('id', '=', id).executeTakeFirst();
  if (!row) throw missing('deployment', id, []);
  const place = `the request of deployment ${id}`;
  const request = fromJson(deploymentRequestSchema, row.request, place);
  const context = secretContexts.deployment(id);
  return {
    ...request,
    variables: request.variables.map((variable) =>
      variable.sensitive && variable.value !== undefined
        ? {
            ...variable,
            value: fromJson(
              variableValueSchema,
              JSON.parse(secrets.open(fromJson(z.string(), variable.value, place), context)),
              place,
            ),
          }
        : variable,
    ),
  };
}

/** By its exact id. */
export async function getDeployment(db: Db, id: string): Promise<Deployment> {
  const [row] = await selectDeployments(db, { where: sql<boolean>`d.id = ${id}` });
  if (!row) throw missing('deployment', id, []);
  return toDeployment(row);
}

/** By id, unique beginning of one, or `environment#number`. Throws `notFound` or `ambiguous`. */
export async function findDeployment(db: Db, reference: string, scope: Scope): Promise<Deployment> {
  const numbered = /^(.+)#(\d{1,9})$/s.exec(reference);
  if (numbered?.[1] !== undefined) {
    const environment = await findEnvironment(db, numbered[1], scope);
    const owner = environment.parentId ?? environment.id;
    const [row] = await selectDeployments(db, {
      where: sql<boolean>`d.environment_id = ${owner} AND d.number = ${Number(numbered[2])}`,
    });
    if (row) return toDeployment(row);
    const last = await recentOf(db, sql<boolean>`d.environment_id = ${owner}`);
    throw missing('deployment', reference, last);
  }
  const visible = inScope(scope, sql`e.project_id`);
  const matches = looksLikeId(reference, 'dep')
    ? sql<boolean>`d.id LIKE ${`${escapeLike(reference)}%`}`
    : sql<boolean>`d.id = ${reference.replaceAll('\0', '')}`;
  const rows = await selectDeployments(db, {
    where: sql<boolean>`${visible} AND ${matches}`,
    orderBy: sql`d.id`,
    limit: 20,
  });
  const exact = rows.find((row) => row.id === reference) ?? (rows.length === 1 ? rows[0] : undefined);
  if (exact) return toDeployment(exact);
  if (rows.length > 1)
    throw ambiguous(
      'deployment',
      reference,
      rows.map((row) => ({ id: row.id, label: `${row.environment_name}#${row.number}` })),
    );
  throw missing('deployment', reference, await recentOf(db, visible));
}

async function recentOf(db: Db, where: RawBuilder<boolean>): Promise<{ id: string; label: string }[]> {
  const { rows } = await sql<{ id: string; label: string }>`
    SELECT d.id, e.name || '#' || d.number AS label FROM deployments d JOIN environments e ON e.id = d.environment_id
    WHERE ${where} ORDER BY d.id DESC LIMIT 10`.execute(db);
  return rows;
}

export interface DeploymentFilter extends PageRequest {
  /** Of a sub-environment: its parent's runs that have it as a node. */
  readonly environmentId?: string | undefined;
  readonly status?: DeploymentStatus | readonly DeploymentStatus[] | undefined;
  readonly type?: DeploymentType | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Name or id of the key or user. */
  readonly requestedBy?: string | undefined;
}

/** Newest first. */
export async function listDeployments(db: Db, scope: Scope, filter: DeploymentFilter = {}): Promise<Page<Deployment>> {
  const limit = limitOf(filter);
  // Numbers are given in order; the times in ids come from the clocks of several processes, which may differ.
  const byNumber = filter.environmentId !== undefined;
  const column = byNumber ? ({ sql: 'd.number', type: 'integer' } as const) : ({ sql: 'd.id', type: 'text' } as const);
  const paging: Paging = { request: filter, columns: [column], direction: 'descending' };
  const conditions: RawBuilder<boolean>[] = [afterCursor(paging), inScope(scope, sql`e.project_id`)];
  if (filter.environmentId !== undefined) {
    const id = filter.environmentId;
    conditions.push(
      sql`(d.environment_id = ${id} OR d.id IN (SELECT n.deployment_id FROM node_runs n WHERE n.environment_id = ${id}))`,
    );
  }
  if (filter.status !== undefined) conditions.push(sql`d.status = ANY(${[filter.status].flat()}::text[])`);
  if (filter.type !== undefined) conditions.push(sql`d.type = ${filter.type}`);
  if (filter.since !== undefined) conditions.push(sql`d.queued_at >= ${filter.since}`);
  if (filter.until !== undefined) conditions.push(sql`d.queued_at < ${filter.until}`);
  if (filter.requestedBy !== undefined) {
    conditions.push(
      sql`(d.requested_by->>'name' = ${filter.requestedBy} OR d.requested_by->>'id' = ${filter.requestedBy})`,
    );
  }
  const rows = await selectDeployments(db, {
    where: sql<boolean>`${sql.join(conditions, sql` AND `)}`,
    orderBy: orderBy(paging),
    limit: limit + 1,
  });
  return toPage(rows, { limit, key: (row) => [byNumber ? Number(row.number) : row.id], map: toDeployment });
}
