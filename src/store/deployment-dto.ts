import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { Deployment, DeploymentRequest } from '../model/index.ts';
import { activeNodeStatuses, actorSchema, deploymentRequestSchema, deploymentSchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, isoOrNull } from './json.ts';
import { oneOf } from './lists.ts';
import type { DeploymentRow } from './schema.ts';

/** A deployment with all that its DTO shows beside it. */
export interface FullDeploymentRow extends DeploymentRow {
  readonly environment_name: string;
  readonly queue_position: number | null;
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  readonly running: number;
  readonly pending: number;
  readonly waiting_for_approval: number;
}

/** Reads deployments as `d`, with their environments as `e`, in one statement. */
export async function selectDeployments(
  db: Db,
  rest: { readonly where: RawBuilder<boolean>; readonly orderBy?: RawBuilder<unknown>; readonly limit?: number },
): Promise<FullDeploymentRow[]> {
  const { rows } = await sql<FullDeploymentRow>`
    WITH chosen AS MATERIALIZED (
      SELECT d.*, e.name AS environment_name FROM deployments d JOIN environments e ON e.id = d.environment_id
      WHERE ${rest.where}
      ${rest.orderBy ? sql`ORDER BY ${rest.orderBy}` : sql``}
      ${rest.limit === undefined ? sql`` : sql`LIMIT ${rest.limit}`}
    )
    SELECT d.*, n.*,
      CASE WHEN d.status = 'queued' THEN 1 + (SELECT count(*) FROM deployments q
        WHERE q.environment_id = d.environment_id AND q.finished_at IS NULL AND q.status = 'queued' AND q.number < d.number) END AS queue_position
    FROM chosen d CROSS JOIN LATERAL (
      SELECT count(*) AS total,
        count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status IN ('cancelled', 'aborted')) AS cancelled,
        count(*) FILTER (WHERE status = 'skipped') AS skipped,
        count(*) FILTER (WHERE ${oneOf(sql`status`, activeNodeStatuses)}) AS running,
        count(*) FILTER (WHERE status = 'pending') AS pending,
        count(*) FILTER (WHERE status = 'waitingForApproval') AS waiting_for_approval
      FROM node_runs WHERE deployment_id = d.id AND NOT compensation
    ) n
    ${rest.orderBy ? sql`ORDER BY ${rest.orderBy}` : sql``}`.execute(db);
  return rows;
}

/** The request as callers may see it: values of sensitive variables are left out. */
function shownRequest(stored: unknown, place: string): DeploymentRequest {
  const request = fromJson(deploymentRequestSchema, stored, place);
  return {
    ...request,
    variables: request.variables.map(({ value, ...variable }) =>
      variable.sensitive || value === undefined ? variable : { ...variable, value },
    ),
  };
}

const { shape } = deploymentSchema;
const maxParallelSchema = z.object({ maxParallel: z.number().int() }).partial().nullable();

/** `temporalUrl` is null: only the API knows where the Temporal Web UI is. */
export function toDeployment(row: FullDeploymentRow): Deployment {
  const place = `deployment ${row.id}`;
  const { total, succeeded, failed, cancelled, skipped, running, pending } = row;
  return {
    id: row.id,
    environmentId: row.environment_id,
    environmentName: row.environment_name,
    number: row.number,
    type: fromJson(shape.type, row.type, place),
    status: fromJson(shape.status, row.status, place),
    paused: row.paused,
    maxParallel: fromJson(maxParallelSchema, row.definition, place)?.maxParallel ?? null,
    trigger: fromJson(shape.trigger, row.trigger, place),
    requestedBy: fromJson(actorSchema, row.requested_by, place).name,
    request: shownRequest(row.request, place),
    progress: row.finished_at === null ? row.progress : null,
    sourceCommit: row.source_commit,
    error: fromJson(shape.error, row.error, place),
    basedOn: row.based_on,
    queuePosition: row.queue_position,
    counts: { total, succeeded, failed, cancelled, skipped, running, pending },
    waitingForApproval: row.waiting_for_approval,
    temporalUrl: null,
    queuedAt: iso(row.queued_at),
    startedAt: isoOrNull(row.started_at),
    finishedAt: isoOrNull(row.finished_at),
  };
}
