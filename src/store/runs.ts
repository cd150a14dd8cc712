/** A run as a whole, as the engine sees it. */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Actor, DeploymentRequest, DeploymentStatus, DeploymentType, RunError, StopMode } from '../model/index.ts';
import {
  actorSchema,
  deploymentRequestSchema,
  deploymentStatuses,
  deploymentTypes,
  environmentDriftSchema,
  environmentSettingsSchema,
  isTerminalDeployment,
  WindlassError,
} from '../model/index.ts';
import { afterCommit } from './after-commit.ts';
import type { Db } from './database.ts';
import { recordEvent } from './events.ts';
import { toJson, toNullableJson } from './json.ts';
import { observeRunEnd } from './run-ending.ts';

export const runDefinitionSchema = z.object({
  title: z.string(),
  onFailure: z.enum(['continue', 'stop', 'rollback']),
  maxParallel: z.number().int().positive(),
  /** Environments that the file no longer lists and that are let go once the run has succeeded. */
  detach: z.array(z.string()).default([]),
  /** What the file says about the environment's own life; absent when the run is not one of the whole file. */
  life: z
    .object({
      schedule: z
        .object({ deploy: z.string().optional(), destroy: z.string().optional(), timezone: z.string().optional() })
        .optional(),
      drift: environmentDriftSchema.partial().required({ cron: true }).optional(),
    })
    .optional(),
});
export type RunDefinition = z.infer<typeof runDefinitionSchema>;

export const runRowSchema = z.object({
  id: z.string(),
  number: z.number(),
  type: z.enum(deploymentTypes),
  status: z.enum(deploymentStatuses),
  over: z.boolean(),
  /** It has left the queue; dropped ones never do. */
  begun: z.boolean(),
  stop_mode: z.enum(['cancel', 'abort', 'rollback']).nullable(),
  trigger: z.string(),
  request: deploymentRequestSchema,
  requested_by: actorSchema,
  may_waive_approval: z.boolean(),
  definition: runDefinitionSchema.nullable(),
  /** Of the workflow file, once it was read. */
  source_commit: z.string().nullable().default(null),
  environment_id: z.string(),
  environment_name: z.string(),
  environment_status: z.string(),
  template_id: z.string().nullable(),
  inline_template: z.unknown(),
  workspace: z.string().nullable(),
  revision: z.string().nullable(),
  settings: environmentSettingsSchema,
  project_id: z.string(),
  organization_id: z.string(),
  /** Nodes at once, as the project and its organization have it. */
  limits: z.array(z.number().int().positive().nullable()),
});
export interface RunRow extends z.infer<typeof runRowSchema> {
  readonly type: DeploymentType;
  readonly request: DeploymentRequest;
  readonly requested_by: Actor;
}

/** The columns that a run takes from its environment `e`, its project `p` and its organization `o`. */
const environmentColumns = sql`e.id AS environment_id, e.name AS environment_name, e.status AS environment_status, e.template_id,
  e.inline_template, e.workspace, e.revision, e.settings, e.project_id, p.organization_id,
  jsonb_build_array(p.settings -> 'maxParallel', o.settings -> 'maxParallel') AS limits`;
const environmentTables = sql`environments e JOIN projects p ON p.id = e.project_id JOIN organizations o ON o.id = p.organization_id`;

/** null when there is no such run. */
export async function loadRun(db: Db, deploymentId: string): Promise<RunRow | null> {
  const { rows } = await sql`
    SELECT d.id, d.number, d.type, d.status, d.finished_at IS NOT NULL AS over, d.started_at IS NOT NULL AS begun, d.stop_mode,
      d.trigger, d.request, d.requested_by, d.may_waive_approval, d.definition, d.source_commit, ${environmentColumns}
    FROM deployments d, ${environmentTables} WHERE d.id = ${deploymentId} AND e.id = d.environment_id`.execute(db);
  return rows[0] === undefined ? null : runRowSchema.parse(rows[0]);
}

/** A run that there is not yet, as it would begin. Throws `notFound` without its environment. */
export async function buildUnsavedRun(
  db: Db,
  environmentId: string,
  run: Pick<RunRow, 'id' | 'type' | 'request' | 'requested_by'>,
): Promise<RunRow> {
  const { rows } = await sql<object>`
    SELECT ${environmentColumns} FROM ${environmentTables} WHERE e.id = ${environmentId}`.execute(db);
  if (rows[0] === undefined) throw new WindlassError('notFound', `there is no environment ${environmentId}`);
  const begin = { number: 0, status: 'queued', over: false, begun: false, stop_mode: null, trigger: 'api' };
  return runRowSchema.parse({ ...rows[0], ...run, ...begin, may_waive_approval: false, definition: null });
}

const runStateSchema = runRowSchema.pick({
  environment_id: true,
  type: true,
  status: true,
  stop_mode: true,
  over: true,
});
/** How far a run is, and whether it is being stopped. */
export type RunState = z.infer<typeof runStateSchema>;

/** null when there is no such run. `lock` keeps its row until the end of the transaction. */
export async function loadRunState(
  db: Db,
  deploymentId: string,
  { lock = false }: { readonly lock?: boolean } = {},
): Promise<RunState | null> {
  const { rows } = await sql`
    SELECT environment_id, type, status, stop_mode, finished_at IS NOT NULL AS over FROM deployments
    WHERE id = ${deploymentId} ${lock ? sql`FOR UPDATE` : sql``}`.execute(db);
  return rows[0] === undefined ? null : runStateSchema.parse(rows[0]);
}

/** How an open run is being stopped; null when it is not. */
export async function stopOfRun(db: Db, deploymentId: string): Promise<StopMode | null> {
  const run = await loadRunState(db, deploymentId);
  return run?.status === 'stopping' ? (run.stop_mode ?? 'abort') : null;
}

/** When a run has ended; null while it has not. */
export async function readRunEnd(db: Db, deploymentId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('deployments')
    .select('finished_at')
    .where('id', '=', deploymentId)
    .executeTakeFirst();
  return row?.finished_at ?? null;
}

/** Whether a run has ended before a moment. */
export async function endedBefore(db: Db, deploymentId: string, moment: Date): Promise<boolean> {
  const end = await readRunEnd(db, deploymentId);
  return end !== null && end < moment;
}

/** Writes down what a run was found to do. False when it has ended: then nothing is written. */
export async function saveRunDefinition(
  db: Db,
  deploymentId: string,
  found: {
    readonly definition: RunDefinition;
    readonly commit: string | null;
    readonly basedOn?: string | undefined;
  },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('deployments')
    .set({
      definition: toJson(found.definition),
      source_commit: found.commit,
      progress: null,
      ...(found.basedOn === undefined ? {} : { based_on: found.basedOn }),
    })
    .where('id', '=', deploymentId)
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Moves a run on, and tells those who watch. Never takes an ended run back; answers whether it was moved. */
export async function setRunStatus(
  db: Db,
  deploymentId: string,
  change: {
    readonly status: DeploymentStatus;
    readonly paused?: boolean | undefined;
    readonly stopMode?: StopMode | undefined;
    readonly error?: unknown;
    /** Told with it. */
    readonly message?: string | undefined;
    /** Only when it is still in this status. */
    readonly from?: DeploymentStatus | undefined;
  },
): Promise<boolean> {
  const over = isTerminalDeployment(change.status);
  // What is dropped from the queue has never begun, and no rollback may take it for a deploy that did.
  const begins = change.status !== 'queued' && change.status !== 'cancelled';
  const { rows } = await sql<{
    environment_id: string;
    number: number;
    type: DeploymentType;
    paused: boolean;
    started_at: Date | null;
    finished_at: Date | null;
    traceparent: string | null;
  }>`
    UPDATE deployments SET status = ${change.status},
      paused = ${change.paused === undefined ? sql`paused` : change.paused},
      error = COALESCE(${toNullableJson(change.error)}::jsonb, error),
      started_at = CASE WHEN ${begins} THEN COALESCE(started_at, now()) ELSE started_at END,
      stop_mode = COALESCE(${change.stopMode ?? null}, stop_mode),
      progress = CASE WHEN ${over} THEN NULL ELSE progress END,
      finished_at = CASE WHEN ${over} THEN now() ELSE NULL END
    WHERE id = ${deploymentId} AND finished_at IS NULL AND ${change.from === undefined ? sql`true` : sql`status = ${change.from}`}
    RETURNING environment_id, number, type, paused, started_at, finished_at, traceparent`.execute(db);
  const row = rows[0];
  if (row === undefined) return false;
  await recordEvent(db, {
    type: 'deployment.status',
    environmentId: row.environment_id,
    deploymentId,
    alias: null,
    data: {
      status: change.status,
      number: row.number,
      type: row.type,
      paused: row.paused,
      ...(change.message === undefined ? {} : { message: change.message }),
    },
  });
  if (over) afterCommit(() => observeRunEnd({ ...row, id: deploymentId, ending: change.status }));
  return true;
}

/** Writes down what has gone wrong with a run as a whole. */
export async function recordRunError(db: Db, deploymentId: string, error: RunError): Promise<void> {
  await db
    .updateTable('deployments')
    .set({ error: toJson(error) })
    .where('id', '=', deploymentId)
    .execute();
}

/** Says what a run does before it has nodes; kept for those who ask, and told to those who follow. Repeating it says nothing. */
export async function recordRunProgress(db: Db, deploymentId: string, text: string): Promise<void> {
  const progress = text.replaceAll('\0', '').slice(0, 500);
  const { rows } = await sql<{ environment_id: string; status: DeploymentStatus }>`
    UPDATE deployments SET progress = ${progress}
    WHERE id = ${deploymentId} AND finished_at IS NULL AND definition IS NULL AND progress IS DISTINCT FROM ${progress}
    RETURNING environment_id, status`.execute(db);
  const [row] = rows;
  if (row === undefined) return;
  const data = { status: row.status, progress };
  await recordEvent(db, {
    type: 'deployment.status',
    environmentId: row.environment_id,
    deploymentId,
    alias: null,
    data,
  });
}
