/** Queries of a run as a whole: what is there before it, and what it makes. */
import { sql } from 'kysely';
import { z } from 'zod';
import type {
  Actor,
  DeploymentRequest,
  DeploymentStatus,
  DeploymentType,
  NodeSnapshot,
  NodeStatus,
  RunNode,
  StopMode,
} from '../model/index.ts';
import {
  actorSchema,
  deploymentRequestSchema,
  deploymentStatuses,
  deploymentTypes,
  environmentDriftSchema,
  environmentSettingsSchema,
  nodeActions,
  nodeSnapshotSchema,
  nodeStatuses,
} from '../model/index.ts';
import type { Db } from '../store/index.ts';
import { afterCommit, endGrants, recordEvent } from '../store/index.ts';
import { tellEnding } from './run-ending.ts';

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

export async function loadRun(db: Db, deploymentId: string): Promise<RunRow | null> {
  const { rows } = await sql`
    SELECT d.id, d.number, d.type, d.status, d.finished_at IS NOT NULL AS over, d.started_at IS NOT NULL AS begun, d.stop_mode, d.trigger, d.request, d.requested_by, d.may_waive_approval, d.definition, d.source_commit, d.environment_id,
      e.name AS environment_name, e.status AS environment_status, e.template_id, e.inline_template, e.workspace, e.revision,
      e.settings, e.project_id, p.organization_id, jsonb_build_array(p.settings -> 'maxParallel', o.settings -> 'maxParallel') AS limits
    FROM deployments d JOIN environments e ON e.id = d.environment_id JOIN projects p ON p.id = e.project_id
      JOIN organizations o ON o.id = p.organization_id
    WHERE d.id = ${deploymentId}`.execute(db);
  return rows[0] === undefined ? null : runRowSchema.parse(rows[0]);
}

/** Another run of the same environment that changes things and is not over, if there is one. */
export async function otherOpenRun(db: Db, run: RunRow): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM deployments WHERE environment_id = ${run.environment_id} AND id <> ${run.id}
      AND type NOT IN ('plan', 'drift') AND status IN ('running', 'stopping', 'rollingBack') LIMIT 1`.execute(db);
  return rows[0]?.id ?? null;
}

const liveNodeSchema = z.object({
  id: z.string(),
  alias: z.string().nullable(),
  name: z.string(),
  status: z.string(),
  settings: environmentSettingsSchema,
  deployed_snapshot: nodeSnapshotSchema.nullable(),
  /** What last began to change it, whether it came to its end or not. */
  begun_snapshot: nodeSnapshotSchema.nullable(),
});
export type KnownEnvironment = z.infer<typeof liveNodeSchema>;

/** The environment itself, without an alias, when it has no graph, else its sub-environments, with what was last deployed. */
export async function loadKnown(db: Db, environmentId: string, workflow: boolean): Promise<KnownEnvironment[]> {
  const { rows } = await sql`
    SELECT e.id, ${workflow ? sql`e.alias` : sql`NULL::text`} AS alias, e.name, e.status, e.settings, e.deployed_snapshot, b.snapshot AS begun_snapshot
    FROM environments e LEFT JOIN LATERAL (
      SELECT snapshot FROM node_runs nr WHERE nr.environment_id = e.id AND nr.began_change AND nr.snapshot IS NOT NULL AND nr.action <> 'destroy'
      ORDER BY nr.started_at DESC NULLS LAST LIMIT 1
    ) b ON true
    WHERE ${workflow ? sql`e.parent_id = ${environmentId} AND NOT e.detached` : sql`e.id = ${environmentId}`}
    ORDER BY e.created_at, e.alias, e.id`.execute(db);
  return z.array(liveNodeSchema).parse(rows);
}

const pastNodeSchema = z.object({
  alias: z.string(),
  environment_id: z.string(),
  action: z.enum(nodeActions),
  status: z.enum(nodeStatuses),
  snapshot: nodeSnapshotSchema.nullable(),
  needs: z.array(z.number()),
  changed_outputs: z.boolean(),
  reason: z.object({ kind: z.string() }).nullable(),
  /** What the engine was told of it. */
  engine: z.custom<RunNode>((value) => typeof value === 'object' && value !== null),
});
export type PastNode = z.infer<typeof pastNodeSchema>;

export async function loadPastNodes(db: Db, deploymentId: string): Promise<PastNode[]> {
  const { rows } = await sql`
    SELECT alias, environment_id, action, status, snapshot, needs, changed_outputs, reason, engine FROM node_runs
    WHERE deployment_id = ${deploymentId} AND NOT compensation ORDER BY index`.execute(db);
  return z.array(pastNodeSchema).parse(rows);
}

/** Snapshots that were in force right after a deployment ended: for each environment, its last success up to then. */
export async function loadSnapshotsAsOf(
  db: Db,
  environmentId: string,
  number: number,
): Promise<Map<string, NodeSnapshot>> {
  const { rows } = await sql<{ environment_id: string; action: string; snapshot: unknown }>`
    SELECT DISTINCT ON (nr.environment_id) nr.environment_id, nr.action, nr.snapshot
    FROM node_runs nr JOIN deployments d ON d.id = nr.deployment_id
    WHERE d.environment_id = ${environmentId} AND d.number <= ${number} AND nr.status = 'succeeded' AND nr.action IN ('deploy', 'destroy')
    ORDER BY nr.environment_id, d.number DESC, nr.finished_at DESC`.execute(db);
  return new Map(
    rows.flatMap((row) =>
      row.action === 'deploy' && row.snapshot !== null
        ? [[row.environment_id, nodeSnapshotSchema.parse(row.snapshot)] as const]
        : [],
    ),
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

/** The last deployment before the newest one that changed something, which ended well. */
export async function lastSuccessBefore(
  db: Db,
  environmentId: string,
  deploymentId: string,
): Promise<{ id: string; number: number } | null> {
  const { rows } = await sql<{ id: string; number: number }>`
    WITH newest AS (
      SELECT number FROM deployments WHERE environment_id = ${environmentId} AND id <> ${deploymentId}
        AND type IN ('deploy', 'rollback') AND started_at IS NOT NULL ORDER BY number DESC LIMIT 1
    )
    SELECT id, number FROM deployments WHERE environment_id = ${environmentId} AND status = 'succeeded' AND type IN ('deploy', 'rollback')
      AND number < (SELECT number FROM newest) ORDER BY number DESC LIMIT 1`.execute(db);
  return rows[0] ?? null;
}

const foundDeploymentSchema = z.object({
  id: z.string(),
  number: z.number(),
  request: deploymentRequestSchema,
  definition: runDefinitionSchema.nullable(),
});
export type FoundDeployment = z.infer<typeof foundDeploymentSchema>;

export async function findDeployment(
  db: Db,
  environmentId: string,
  reference: string,
): Promise<FoundDeployment | null> {
  const { rows } = await sql`
    SELECT id, number, request, definition FROM deployments
    WHERE environment_id = ${environmentId} AND (id = ${reference} OR number::text = ${reference}) LIMIT 1`.execute(db);
  return rows[0] === undefined ? null : foundDeploymentSchema.parse(rows[0]);
}

/** One node as it is written down for a run. */
export interface NewNode {
  readonly name: string;
  readonly environmentId: string;
  readonly snapshot: NodeSnapshot | null;
  readonly previousSnapshot: NodeSnapshot | null;
  readonly run: RunNode;
}

export async function insertNodes(db: Db, deploymentId: string, nodes: readonly NewNode[]): Promise<void> {
  const rows = nodes.map((node, index) => ({
    index,
    alias: node.run.alias,
    name: node.name,
    environment_id: node.environmentId,
    needs: node.run.needs,
    action: node.run.action,
    engine: node.run,
    snapshot: node.snapshot,
    previous_snapshot: node.previousSnapshot,
  }));
  const batch = 500;
  for (let from = 0; from < rows.length; from += batch) {
    await sql`
      INSERT INTO node_runs (deployment_id, index, alias, name, environment_id, needs, action, engine, snapshot, previous_snapshot)
      SELECT ${deploymentId}, r.index, r.alias, r.name, r.environment_id, r.needs, r.action, r.engine, NULLIF(r.snapshot, 'null'), NULLIF(r.previous_snapshot, 'null')
      FROM jsonb_to_recordset(${JSON.stringify(rows.slice(from, from + batch))}::jsonb)
        AS r(index integer, alias text, name text, environment_id text, needs jsonb, action text, engine jsonb, snapshot jsonb, previous_snapshot jsonb)`.execute(
      db,
    );
  }
}

/** What the engine was told when the run was resolved; used again after continue-as-new. */
export async function loadEngineNodes(db: Db, deploymentId: string): Promise<RunNode[]> {
  const { rows } = await sql<{ engine: RunNode }>`
    SELECT engine FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation ORDER BY index`.execute(db);
  return rows.map((row) => row.engine);
}

/** Makes sub-environments that are new, in the order of the file, and brings the others up to the file. Answers the id of each alias. */
export async function upsertSubEnvironments(
  db: Db,
  parent: { readonly id: string; readonly projectId: string },
  nodes: readonly {
    readonly newId: string;
    readonly alias: string;
    readonly name: string;
    readonly templateId: string | null;
    readonly inline: unknown;
    readonly workspace: string | null;
    readonly revision: string | null;
  }[],
): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; alias: string }>`
    INSERT INTO environments (id, project_id, parent_id, alias, name, template_id, inline_template, workspace, revision, created_at)
    SELECT r."newId", ${parent.projectId}, ${parent.id}, r.alias, r.name, r."templateId", NULLIF(r.inline, 'null'), r.workspace, r.revision, clock_timestamp()
    FROM jsonb_to_recordset(${JSON.stringify(nodes)}::jsonb)
      AS r("newId" text, alias text, name text, "templateId" text, inline jsonb, workspace text, revision text)
    ON CONFLICT (parent_id, alias) WHERE parent_id IS NOT NULL AND NOT detached DO UPDATE SET
      name = EXCLUDED.name, template_id = EXCLUDED.template_id, inline_template = EXCLUDED.inline_template,
      workspace = COALESCE(EXCLUDED.workspace, environments.workspace), revision = EXCLUDED.revision, archived = false, updated_at = now()
    RETURNING id, alias`.execute(db);
  return new Map(rows.map((row) => [row.alias, row.id]));
}

/** Remembers which nodes have to be deployed for the graph to be whole. */
export async function expectNodes(db: Db, parentId: string, aliases: readonly string[]): Promise<void> {
  await sql`
    UPDATE environments e SET expected = NOT expected
    WHERE parent_id = ${parentId} AND NOT detached
      AND expected <> (alias IN (SELECT jsonb_array_elements_text(${JSON.stringify(aliases)}::jsonb)))`.execute(db);
}

/** Moves a run on, and tells those who watch. Never takes an ended run back. */
export async function setRunStatus(
  db: Db,
  deploymentId: string,
  change: {
    readonly status: DeploymentStatus;
    readonly paused?: boolean | undefined;
    readonly stopMode?: StopMode | undefined;
    readonly error?: unknown;
  },
): Promise<boolean> {
  const over = !['queued', 'running', 'stopping', 'rollingBack'].includes(change.status);
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
      error = COALESCE(${change.error === undefined ? null : JSON.stringify(change.error)}::jsonb, error),
      started_at = CASE WHEN ${begins} THEN COALESCE(started_at, now()) ELSE started_at END,
      stop_mode = COALESCE(${change.stopMode ?? null}, stop_mode),
      progress = CASE WHEN ${over} THEN NULL ELSE progress END,
      finished_at = CASE WHEN ${over} THEN now() ELSE NULL END
    WHERE id = ${deploymentId} AND finished_at IS NULL
    RETURNING environment_id, number, type, paused, started_at, finished_at, traceparent`.execute(db);
  const row = rows[0];
  if (row === undefined) return false;
  await recordEvent(db, {
    type: 'deployment.status',
    environmentId: row.environment_id,
    deploymentId,
    alias: null,
    data: { status: change.status, number: row.number, type: row.type, paused: row.paused },
  });
  if (over) afterCommit(() => tellEnding({ ...row, id: deploymentId, ending: change.status }));
  return true;
}

/** Says what a run does before it has nodes; kept for those who ask, and told to those who follow. Repeating it says nothing. */
export async function recordRunProgress(db: Db, deploymentId: string, text: string): Promise<void> {
  const progress = text.replaceAll('\0', '').slice(0, 500);
  const { rows } = await sql<{ environment_id: string; status: string }>`
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

/** Nodes of a run that have begun and are not over, as far as the records know. */
export async function loadUnendedNodes(
  db: Db,
  deploymentId: string,
): Promise<{ readonly alias: string; readonly compensation: boolean }[]> {
  const { rows } = await sql<{ alias: string; compensation: boolean }>`
    SELECT alias, compensation FROM node_runs WHERE deployment_id = ${deploymentId} AND started_at IS NOT NULL
      AND status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled', 'aborted')`.execute(db);
  return rows;
}

export async function setEnvironmentStatus(
  db: Db,
  environmentId: string,
  status: string,
  deploymentId: string | null,
): Promise<void> {
  await sql`UPDATE environments SET status = ${status}, updated_at = now() WHERE id = ${environmentId}`.execute(db);
  await recordEvent(db, { type: 'environment.status', environmentId, deploymentId, alias: null, data: { status } });
}

/** The endings of a run's nodes that decide the environment's status. */
export async function nodeStatusesOf(db: Db, deploymentId: string): Promise<{ status: NodeStatus; count: number }[]> {
  const { rows } = await sql<{ status: NodeStatus; count: number }>`
    SELECT status, count(*)::int AS count FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation GROUP BY status`.execute(
    db,
  );
  return rows;
}

/**
 * Ends the records of nodes that are still open though their run is over, with what waits for them. A node that may have
 * been in the middle of a change leaves its environment as failed.
 */
export async function closeNodes(
  db: Db,
  deploymentId: string,
  ending: { readonly status: 'failed' | 'aborted'; readonly message: string },
): Promise<number> {
  const error = JSON.stringify({ class: 'internal', message: ending.message });
  const reason = JSON.stringify({ kind: 'stopped', message: ending.message });
  const { rows } = await sql<{
    environment_id: string;
    alias: string;
    index: number;
    compensation: boolean;
    status: string;
  }>`
    WITH open AS (
      SELECT deployment_id, compensation, index, status IN ('running', 'retrying', 'paused', 'waitingForApproval') AS begun FROM node_runs
      WHERE deployment_id = ${deploymentId} AND status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled', 'aborted') FOR UPDATE
    ), closed AS (
      UPDATE node_runs n SET status = CASE WHEN o.begun THEN ${ending.status} ELSE 'cancelled' END, finished_at = now(),
        error = CASE WHEN o.begun THEN COALESCE(n.error, ${error}::jsonb) ELSE n.error END,
        reason = CASE WHEN o.begun THEN n.reason ELSE ${reason}::jsonb END
      FROM open o WHERE n.deployment_id = o.deployment_id AND n.compensation = o.compensation AND n.index = o.index
      RETURNING n.deployment_id, n.environment_id, n.alias, n.index, n.compensation, n.status, n.began_change AND (n.journal->>'open')::boolean AS amid
    ), touched AS (
      UPDATE environments e SET status = 'failed', input_hash = NULL, updated_at = now() FROM closed c WHERE e.id = c.environment_id AND c.amid
    ), asked AS (
      UPDATE approvals a SET status = 'superseded', decided_at = now() FROM closed c
      WHERE a.deployment_id = c.deployment_id AND a.index = c.index AND a.compensation = c.compensation AND a.status = 'pending'
    ), ${endGrants(
      sql`FROM closed c WHERE g.deployment_id = c.deployment_id AND g.index = c.index AND g.compensation = c.compensation`,
      'the run of the tool that took it is over',
    )}
    SELECT environment_id, alias, index, compensation, status, (SELECT count(*) FROM freed_told) FROM closed`.execute(
    db,
  );
  for (const { environment_id, alias, index, compensation, status } of rows) {
    await recordEvent(db, {
      type: 'node.status',
      environmentId: environment_id,
      deploymentId,
      alias,
      data: { index, status, compensation },
    });
  }
  return rows.length;
}
