/** The nodes of a run, as the engine makes, reads and closes their records. What one call does to one node: run-records.ts. */
import { sql } from 'kysely';
import { z } from 'zod';
import {
  activeNodeStatuses,
  nodeActions,
  nodeSnapshotSchema,
  nodeStatuses,
  terminalNodeStatuses,
} from '../model/index.ts';
import type { NodeSnapshot, NodeStatus, RunNode } from '../model/index.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import { fromJson, toJson } from './json.ts';
import { noneOf, oneOf } from './lists.ts';
import { endGrants } from './state-grants.ts';
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
      FROM jsonb_to_recordset(${toJson(rows.slice(from, from + batch))}::jsonb)
        AS r(index integer, alias text, name text, environment_id text, needs jsonb, action text, engine jsonb, snapshot jsonb, previous_snapshot jsonb)`.execute(
      db,
    );
  }
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

/** What the engine was told when the run was resolved; used again after continue-as-new. */
export async function loadEngineNodes(db: Db, deploymentId: string): Promise<RunNode[]> {
  const { rows } = await sql<{ engine: RunNode }>`
    SELECT engine FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation ORDER BY index`.execute(db);
  return rows.map((row) => row.engine);
}

const markSchema = z.object({
  index: z.number(),
  compensation: z.boolean(),
  action: z.enum(nodeActions),
  status: z.enum(nodeStatuses),
  reason: z.string().nullable(),
});
export type NodeMark = z.infer<typeof markSchema>;

/** How far each node of a run is on record. */
export async function loadNodeMarks(db: Db, deploymentId: string): Promise<NodeMark[]> {
  const { rows } = await sql`
    SELECT index, compensation, action, status, reason ->> 'kind' AS reason FROM node_runs
    WHERE deployment_id = ${deploymentId}`.execute(db);
  return z.array(markSchema).parse(rows);
}

/** Nodes of a run that have begun and are not over, as far as the records know. */
export async function loadUnendedNodes(
  db: Db,
  deploymentId: string,
): Promise<{ readonly alias: string; readonly compensation: boolean }[]> {
  const { rows } = await sql<{ alias: string; compensation: boolean }>`
    SELECT alias, compensation FROM node_runs WHERE deployment_id = ${deploymentId} AND started_at IS NOT NULL
      AND ${noneOf(sql`status`, terminalNodeStatuses)}`.execute(db);
  return rows;
}

/** Whether a node of a run itself has failed, or has begun and is not over. */
export async function hasUnsettledNode(db: Db, deploymentId: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT 1 FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation
      AND ${oneOf(sql`status`, ['failed', ...activeNodeStatuses])} LIMIT 1`.execute(db);
  return rows.length > 0;
}

/** Whether a node of a run itself has failed. */
export async function hasFailedNode(db: Db, deploymentId: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT 1 FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation AND status = 'failed' LIMIT 1`.execute(
    db,
  );
  return rows.length > 0;
}

/** Aliases of nodes that a person left out of a run after they had failed half-way. */
export async function listSkippedAfterPartialApply(db: Db, deploymentId: string): Promise<string[]> {
  const { rows } = await sql<{ alias: string }>`
    SELECT nr.alias FROM node_runs nr JOIN environments e ON e.id = nr.environment_id
    WHERE nr.deployment_id = ${deploymentId} AND NOT nr.compensation AND nr.status = 'skipped'
      AND nr.reason ->> 'kind' = 'skippedByUser' AND e.status = 'failed' ORDER BY nr.index`.execute(db);
  return rows.map((row) => row.alias);
}

/** Aliases of nodes that a drift check has found drifted. */
export async function listDriftedNodes(db: Db, deploymentId: string): Promise<string[]> {
  const { rows } = await sql<{ alias: string }>`
    SELECT DISTINCT n.alias FROM node_runs n JOIN drift_results r ON r.deployment_id = n.deployment_id AND r.environment_id = n.environment_id
    WHERE n.deployment_id = ${deploymentId} AND NOT n.compensation AND r.status = 'drifted' ORDER BY n.alias`.execute(
    db,
  );
  return rows.map((row) => row.alias);
}

/** Lets a paused node of a run go on, and tells those who watch. */
export async function resumeNode(db: Db, deploymentId: string, alias: string): Promise<void> {
  const { rows } = await sql<{ environment_id: string; index: number }>`
    UPDATE node_runs SET status = 'retrying' WHERE deployment_id = ${deploymentId} AND alias = ${alias} AND NOT compensation
      AND status = 'paused' RETURNING environment_id, index`.execute(db);
  await recordEvents(
    db,
    rows.map(({ environment_id: environmentId, index }) => ({
      type: 'node.status',
      environmentId,
      deploymentId,
      alias,
      data: { index, status: 'retrying', compensation: false },
    })),
  );
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
  const error = toJson({ class: 'internal', message: ending.message });
  const reason = toJson({ kind: 'stopped', message: ending.message });
  const { rows } = await sql<{
    environment_id: string;
    alias: string;
    index: number;
    compensation: boolean;
    status: NodeStatus;
  }>`
    WITH open AS (
      SELECT deployment_id, compensation, index, ${oneOf(sql`status`, activeNodeStatuses)} AS begun FROM node_runs
      WHERE deployment_id = ${deploymentId} AND ${noneOf(sql`status`, terminalNodeStatuses)} FOR UPDATE
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
  await recordEvents(
    db,
    rows.map(({ environment_id: environmentId, alias, index, compensation, status }) => ({
      type: 'node.status',
      environmentId,
      deploymentId,
      alias,
      data: { index, status, compensation },
    })),
  );
  return rows.length;
}

const snapshotRowSchema = z.object({ status: z.enum(nodeStatuses), snapshot: nodeSnapshotSchema.nullable() });

/** A node of a run itself, kept to the end of the transaction; null when there is none. */
export async function lockNodeSnapshot(
  tx: Db,
  { deploymentId, index }: { readonly deploymentId: string; readonly index: number },
): Promise<z.infer<typeof snapshotRowSchema> | null> {
  const { rows } = await sql`
    SELECT status, snapshot FROM node_runs WHERE deployment_id = ${deploymentId} AND index = ${index} AND NOT compensation FOR UPDATE`.execute(
    tx,
  );
  return rows[0] === undefined ? null : fromJson(snapshotRowSchema, rows[0], `node ${index} of ${deploymentId}`);
}

/** Gives a node of a run itself another snapshot, for its next try. */
export async function saveNodeSnapshot(
  db: Db,
  { deploymentId, index }: { readonly deploymentId: string; readonly index: number },
  snapshot: NodeSnapshot,
): Promise<void> {
  await sql`UPDATE node_runs SET snapshot = ${toJson(snapshot)}::jsonb
    WHERE deployment_id = ${deploymentId} AND index = ${index} AND NOT compensation`.execute(db);
}
