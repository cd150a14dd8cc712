/**
 * Records of a node's run, for the engine. These are the hot path: one statement each, which changes the record,
 * writes the event and announces it together.
 */
import { sql } from 'kysely';
import type { Kysely, RawBuilder } from 'kysely';
import { z } from 'zod';
import { countNode } from '../metrics/index.ts';
import type {
  EventType,
  Journal,
  NodeBegin,
  NodeEnding,
  NodeKey,
  NodeStatus,
  RunError,
  SkipReason,
  Stage,
  StateUnverified,
} from '../model/index.ts';
import { isTerminalNode, nodeActions, nodeBeginSchema, passedNodeStatuses, stages } from '../model/index.ts';
import { afterCommit } from './after-commit.ts';
import { eventFor } from './events.ts';
import type { EventExpressions } from './events.ts';
import { noneOf } from './lists.ts';
import { nodeFacts } from './node-facts.ts';
import { waitOf, waitSql } from './node-waits.ts';
import type { Schema } from './schema.ts';
import { endGrants } from './state-grants.ts';

type Db = Kysely<Schema>;

const nodeOf = { index: sql`r.index`, compensation: sql`r.compensation` };

/** One event for each row of the part `r`, announced by the part `n`. */
function announce<T extends EventType>(type: T, data: EventExpressions<T>): RawBuilder<unknown> {
  return eventFor(type, { from: 'r', told: 'n' }, data);
}

function where(key: NodeKey): RawBuilder<unknown> {
  return sql`deployment_id = ${key.deploymentId} AND index = ${key.index} AND compensation = ${key.compensation}`;
}

/** What the call of a node says it is; the records have to say the same. */
export interface NodeClaim {
  readonly alias: string;
  readonly action: string;
  /** When Temporal scheduled the call, epoch milliseconds. */
  readonly scheduledAtMs: number;
}

/** As `isLast` of definition/node-states.ts; `phase` is what versions before called it. */
const isLastSql = (row: 'g' | 'n'): RawBuilder<boolean> =>
  sql`COALESCE(${sql.ref(`${row}.engine`)} ->> 'last', ${sql.ref(`${row}.engine`)} ->> 'phase') IS NOT NULL`;

/** A call that was on its way when its run was paused goes on. */
const pauseSlackSeconds = 10;

/**
 * Whether the records let a node begin, or go on; null when they do. The run is open, it is the node that is meant, what it
 * needs is done, and nobody has paused or stopped it.
 */
function beginRefusal(claim: NodeClaim | null, attempt: number, mode: 'run' | 'apply' | 'settle'): RawBuilder<unknown> {
  if (claim === null) return sql`NULL::text`;
  const unmet = sql`EXISTS (SELECT 1 FROM jsonb_array_elements_text(g.needs) AS need(index)
      JOIN node_runs n ON n.deployment_id = g.deployment_id AND n.index = need.index::int AND n.compensation = g.compensation
      WHERE n.action <> 'keep' AND ${noneOf(sql`n.status`, passedNodeStatuses)})
    OR (${isLastSql('g')} AND EXISTS (SELECT 1 FROM node_runs n WHERE n.deployment_id = g.deployment_id
      AND NOT n.compensation AND NOT ${isLastSql('n')} AND n.action <> 'keep' AND ${noneOf(sql`n.status`, passedNodeStatuses)}))`;
  const pausedBefore = sql`d.paused AND to_timestamp(${claim.scheduledAtMs / 1000}) > (
      SELECT max(c.settled_at) + make_interval(secs => ${pauseSlackSeconds}) FROM control_requests c
      WHERE c.deployment_id = d.id AND c.kind = 'pause' AND c.status = 'taken')`;
  const stopping = sql`d.status IN ('stopping', 'rollingBack')`;
  const of = sql`CASE
    WHEN d.finished_at IS NOT NULL THEN 'over'
    WHEN g.alias <> ${claim.alias} OR g.action <> ${claim.action} OR g.action = 'keep' OR ${attempt} > g.try + 1 THEN 'other'
    WHEN g.compensation AND d.status <> 'rollingBack' THEN 'notRollingBack'`;
  if (mode === 'settle')
    return sql`${of}
    WHEN NOT ${stopping} AND g.finished_at IS NULL AND COALESCE(g.journal ->> 'open', 'false') <> 'true' THEN 'idle' END`;
  const undecided = sql`${mode === 'apply'}::boolean AND COALESCE((SELECT a.status FROM approvals a WHERE a.deployment_id = g.deployment_id
    AND a.index = g.index AND a.compensation = g.compensation ORDER BY a.created_at DESC, a.id DESC LIMIT 1), 'none')
    NOT IN ('pending', 'approved', 'rejected')`;
  return sql`${of}
    WHEN ${undecided} THEN 'other'
    WHEN g.status = 'pending' AND NOT g.compensation AND ${stopping} THEN 'stopping'
    WHEN g.status = 'paused' THEN 'paused'
    WHEN g.status = 'pending' AND ${pausedBefore} THEN 'runPaused'
    WHEN (g.status = 'pending' AND (${unmet})) OR (g.status = 'skipped' AND g.action <> 'plan') THEN 'notYet' END`;
}

/**
 * Marks the node as running and answers all that its run needs to know. A node that has already ended is left as it
 * is, and so is one that the records hold back; the caller sees its status, and why.
 */
export async function beginNode(
  db: Db,
  key: NodeKey,
  attempt: number,
  mode: 'run' | 'apply' | 'settle' = 'run',
  claim: NodeClaim | null = null,
): Promise<NodeBegin | null> {
  // Asked already, and not answered by an approval: the plan and the question stand.
  const asked = sql`(o.status = 'waitingForApproval' AND (
    SELECT a.status FROM approvals a WHERE a.deployment_id = o.deployment_id AND a.index = o.index
      AND a.compensation = o.compensation ORDER BY a.created_at DESC, a.id DESC LIMIT 1
    ) IN ('pending', 'rejected', ${mode === 'apply' ? 'pending' : 'approved'}))`;
  const ended = sql`o.status IN ('succeeded','failed','cancelled','aborted')`;
  const result = await sql<Record<string, unknown>>`
    WITH o AS (
      SELECT g.*, ${beginRefusal(claim, attempt, mode)} AS held FROM node_runs g JOIN deployments d ON d.id = g.deployment_id
      WHERE g.deployment_id = ${key.deploymentId} AND g.index = ${key.index} AND g.compensation = ${key.compensation} FOR UPDATE OF g
    ), r AS (
      UPDATE node_runs SET
        status = CASE WHEN ${asked} OR ${ended} THEN o.status ELSE 'running' END,
        stage = CASE WHEN ${asked} OR ${ended} THEN o.stage ELSE 'prepare' END,
        try = GREATEST(o.try, ${attempt}),
        started_at = COALESCE(o.started_at, now()),
        finished_at = CASE WHEN ${ended} THEN o.finished_at ELSE NULL END
      FROM o WHERE node_runs.deployment_id = o.deployment_id AND node_runs.index = o.index
        AND node_runs.compensation = o.compensation AND o.held IS NULL
      RETURNING node_runs.*
    ), x AS (
      SELECT NULL::text AS held, r.* FROM r UNION ALL
      SELECT o.held, n.* FROM o JOIN node_runs n ON n.deployment_id = o.deployment_id AND n.index = o.index
        AND n.compensation = o.compensation WHERE o.held IS NOT NULL
    ), ${announce('node.status', { ...nodeOf, status: sql`r.status`, try: sql`r.try`, action: sql`r.action` })}
    ${nodeFacts}
      LEFT JOIN n ON true`.execute(db);
  const row = result.rows[0];
  return row === undefined ? null : nodeBeginSchema.parse(row);
}

/** Makes a stage and its evidence durable before the stage's first process starts. */
export async function enterStage(db: Db, key: NodeKey, stage: Stage, journal: Journal): Promise<void> {
  await sql`
    WITH r AS (
      UPDATE node_runs SET stage = ${stage}, progress = NULL, journal = ${JSON.stringify(journal)}::jsonb,
        began_change = began_change OR ${journal.changes},
        stage_times = jsonb_set(
          CASE WHEN stage IS NOT NULL AND stage_times ? stage AND stage <> ${stage}
            THEN jsonb_set(stage_times, ARRAY[stage, 'finishedAt'], to_jsonb(now())) ELSE stage_times END,
          ARRAY[${stage}::text], jsonb_build_object('startedAt', now(), 'finishedAt', NULL))
      WHERE ${where(key)}
      RETURNING *
    ), ${announce('node.stage', { ...nodeOf, stage: sql`r.stage` })}
    SELECT count(*) FROM n`.execute(db);
}

/** Tells followers how far the tool is. `keep` writes it down for those who ask later. */
export async function announceProgress(
  db: Db,
  key: NodeKey,
  node: { readonly alias: string; readonly entityId: string },
  { text, keep }: { readonly text: string; readonly keep: boolean },
): Promise<void> {
  const progress = text.slice(0, 200);
  const payload = JSON.stringify({ ...node, deploymentId: key.deploymentId, index: key.index, progress });
  const notify = sql`SELECT pg_notify('windlass_progress', ${payload})`;
  await (
    keep ? sql`WITH r AS (UPDATE node_runs SET progress = ${progress} WHERE ${where(key)}) ${notify}` : notify
  ).execute(db);
}

const endedNodeSchema = z.object({
  action: z.enum(nodeActions),
  /** Null when it has never begun. */
  seconds: z.number().nullable(),
  stage_times: z.partialRecord(z.enum(stages), z.object({ startedAt: z.string(), finishedAt: z.string().nullable() })),
});

function countEnding(node: z.infer<typeof endedNodeSchema>, ending: NodeStatus): void {
  const { action, seconds } = node;
  const took = stages.flatMap((stage) => {
    const { startedAt = null, finishedAt = null } = node.stage_times[stage] ?? {};
    if (startedAt === null || finishedAt === null) return [];
    return [[stage, (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000] as const];
  });
  if (seconds !== null) afterCommit(() => countNode({ action, ending, seconds, stages: Object.fromEntries(took) }));
}

/**
 * Writes a node's ending, or a wait within its run, and the consequences for its environment, in one statement. The call
 * is over with it, so its grant is fenced and a lock it has left is freed.
 */
export async function endNode(db: Db, key: NodeKey, ending: NodeEnding): Promise<void> {
  const environment = ending.environment;
  const json = (value: unknown): string | null =>
    value === undefined || value === null ? null : JSON.stringify(value);
  const over = isTerminalNode(ending.status);
  const { rows } = await sql`
    WITH r AS (
      UPDATE node_runs SET status = ${ending.status}, error = ${json(ending.error)}::jsonb, reason = ${json(ending.reason)}::jsonb,
        plan = COALESCE(${json(ending.plan)}::jsonb, plan), wait = ${waitOf(ending.wait)},
        changed_outputs = ${ending.changedOutputs ?? false}, ran = ${ending.ran ?? true},
        journal = CASE WHEN journal IS NULL THEN NULL ELSE journal || '{"open": false}' END,
        stage_times = CASE WHEN stage IS NOT NULL AND stage_times ? stage
          THEN jsonb_set(stage_times, ARRAY[stage, 'finishedAt'], to_jsonb(now())) ELSE stage_times END,
        finished_at = CASE WHEN ${over} THEN now() ELSE NULL END
      WHERE ${where(key)}
      RETURNING *
    ), u AS (
      UPDATE environments SET
        status = COALESCE(${environment?.status ?? null}, environments.status),
        deployed_snapshot = COALESCE(${json(environment?.snapshot)}::jsonb, deployed_snapshot),
        deployed_by = CASE WHEN ${environment?.snapshot !== undefined} THEN r.deployment_id ELSE deployed_by END,
        input_hash = ${environment && 'inputHash' in environment ? sql`${environment.inputHash ?? null}` : sql`input_hash`},
        state_unverified = ${environment && 'stateUnverified' in environment ? sql`${json(environment.stateUnverified)}::jsonb` : sql`state_unverified`},
        drift_status = CASE WHEN ${environment?.snapshot !== undefined} THEN 'neverRun' ELSE drift_status END,
        updated_at = now()
      FROM r WHERE environments.id = r.environment_id AND ${environment !== undefined}
      RETURNING environments.id
    ), ${endGrants(
      sql`FROM r WHERE g.deployment_id = r.deployment_id AND g.index = r.index AND g.compensation = r.compensation
        AND g.created_at <= COALESCE((SELECT own.created_at FROM state_grants own WHERE own.id = ${ending.grantId ?? null}), 'infinity')
        AND g.id IS DISTINCT FROM ${ending.openGrantId ?? null}::text`,
      'the tool that took it has ended',
    )}, ${announce('node.status', {
      ...nodeOf,
      status: sql`r.status`,
      try: sql`r.try`,
      ran: sql`r.ran`,
      error: sql`r.error`,
      reason: sql`r.reason`,
      wait: waitSql('r'),
      counts: sql`r.plan->'counts'`,
      startedAt: sql`r.started_at`,
      finishedAt: sql`r.finished_at`,
    })}
    SELECT r.action, extract(epoch FROM r.finished_at - r.started_at)::float8 AS seconds, r.stage_times,
      (SELECT count(*) FROM n), (SELECT count(*) FROM u), (SELECT count(*) FROM freed_told) FROM r`.execute(db);
  if (over) for (const row of rows) countEnding(endedNodeSchema.parse(row), ending.status);
}

/** Says on a node's environment that nobody knows yet what a call that ended unseen has made, and tells followers. */
export async function markUnverified(db: Db, key: NodeKey, mark: StateUnverified): Promise<void> {
  await sql`
    WITH r AS (
      UPDATE environments SET state_unverified = ${JSON.stringify(mark)}::jsonb, updated_at = now()
      FROM (SELECT deployment_id, environment_id, alias FROM node_runs WHERE ${where(key)}) AS run
      WHERE environments.id = run.environment_id
      RETURNING run.deployment_id, run.environment_id, run.alias, environments.status, environments.state_unverified
    ), ${announce('environment.status', { status: sql`r.status`, stateUnverified: sql`r.state_unverified` })}
    SELECT count(*) FROM n`.execute(db);
}

export interface NodeStatusChange {
  readonly index: number;
  readonly status: NodeStatus;
  readonly reason?: SkipReason | undefined;
  readonly error?: RunError | undefined;
}

/**
 * Status changes that the workflow decided. Nodes that have ended by their own record are not overwritten, except that
 * what has not succeeded goes back to pending, or is left out.
 */
export async function changeNodeStatuses(
  db: Db,
  run: { readonly deploymentId: string; readonly compensation: boolean },
  changes: readonly NodeStatusChange[],
): Promise<void> {
  if (changes.length === 0) return;
  const rows = JSON.stringify(
    changes.map(({ index, status, reason, error }) => ({
      index,
      status,
      reason: reason ?? null,
      error: error ?? null,
    })),
  );
  await sql`
    WITH c AS (
      SELECT * FROM jsonb_to_recordset(${rows}::jsonb) AS c(index integer, status text, reason jsonb, error jsonb)
    ), r AS (
      UPDATE node_runs SET status = c.status, reason = NULLIF(c.reason, 'null'), error = COALESCE(NULLIF(c.error, 'null'), node_runs.error),
        finished_at = CASE WHEN c.status = 'pending' THEN NULL ELSE now() END,
        try = CASE WHEN c.status = 'pending' THEN 0 ELSE try END
      FROM c
      WHERE deployment_id = ${run.deploymentId} AND compensation = ${run.compensation} AND node_runs.index = c.index
        AND node_runs.status <> 'succeeded'
        AND (c.status = 'pending' OR c.status = 'skipped' OR node_runs.status NOT IN ('failed','skipped','cancelled','aborted'))
      RETURNING node_runs.*
    ), a AS (
      UPDATE approvals SET status = 'superseded', decided_at = now() FROM r
      WHERE approvals.deployment_id = r.deployment_id AND approvals.index = r.index AND approvals.compensation = r.compensation
        AND approvals.status = 'pending'
      RETURNING approvals.id
    ), ${announce('node.status', {
      ...nodeOf,
      status: sql`r.status`,
      reason: sql`r.reason`,
      error: sql`r.error`,
      action: sql`r.action`,
    })}
    SELECT (SELECT count(*) FROM n), (SELECT count(*) FROM a)`.execute(db);
}
