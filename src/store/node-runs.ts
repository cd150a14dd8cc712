import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { NodeRun } from '../model/index.ts';
import { retryText, waitingTexts } from '../definition/index.ts';
import { nodeRunSchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { getDeployment } from './deployments.ts';
import { fromJson, isoOrNull } from './json.ts';
import { missing } from './lookup.ts';
import { toNodeWait, waitSql } from './node-waits.ts';
import type { NodeRunRow } from './schema.ts';

/** Parts of the snapshot that a list shows; parsing whole snapshots of thousands of nodes would take seconds. */
export type ListedRow = Omit<NodeRunRow, 'wait' | 'snapshot' | 'previous_snapshot' | 'journal' | 'engine' | 'plan'> & {
  readonly template_name: string | null;
  readonly template_type: string | null;
  readonly commit: string | null;
  readonly within: unknown;
  readonly removal: string | null;
  readonly counts: unknown;
  readonly shown_wait: unknown;
  readonly approval_id: string | null;
};

/** Indexes of nodes of the same run. */
const needsSchema = z.array(z.number().int());
const stageTimesSchema = z.record(z.string(), z.object({ startedAt: z.string(), finishedAt: z.string().nullable() }));

const { shape } = nodeRunSchema;

/** `aliases` are those of the nodes of the same run, by index. */
export function toNodeRun(row: ListedRow, aliases: ReadonlyMap<number, string>): NodeRun {
  const place = `node "${row.alias}" of ${row.deployment_id}`;
  return {
    index: row.index,
    alias: row.alias,
    within: fromJson(shape.within, row.within, place),
    name: row.name,
    environmentId: row.environment_id,
    compensation: row.compensation,
    needs: fromJson(needsSchema, row.needs, place).flatMap((index) => aliases.get(index) ?? []),
    action: fromJson(shape.action, row.action, place),
    removal: fromJson(shape.removal, row.removal, place),
    status: fromJson(shape.status, row.status, place),
    stage: fromJson(shape.stage, row.stage, place),
    // What it came to at last is in its plan and its error.
    progress: row.status === 'running' ? row.progress : null,
    waitsFor: null,
    wait: toNodeWait(row.shown_wait, place),
    try: row.try,
    reason: fromJson(shape.reason, row.reason, place),
    error: fromJson(shape.error, row.error, place),
    counts: fromJson(shape.counts, row.counts, place),
    ran: row.ran,
    approvalId: row.approval_id,
    templateName: row.template_name,
    type: fromJson(shape.type, row.template_type, place),
    commit: row.commit,
    startedAt: isoOrNull(row.started_at),
    finishedAt: isoOrNull(row.finished_at),
    stageTimes: normalizeTimes(fromJson(stageTimesSchema, row.stage_times, place)),
  };
}

/** PostgreSQL writes timestamps inside JSON in its own way. */
function normalizeTimes(times: z.infer<typeof stageTimesSchema>): NodeRun['stageTimes'] {
  const normal = (text: string): string => new Date(text).toISOString();
  return Object.fromEntries(
    Object.entries(times).map(([stage, { startedAt, finishedAt }]) => [
      stage,
      { startedAt: normal(startedAt), finishedAt: finishedAt === null ? null : normal(finishedAt) },
    ]),
  );
}

/** Reads nodes of runs as `n`, with the decisions they wait for. */
export async function selectNodeRuns(db: Db, where: RawBuilder<boolean>): Promise<ListedRow[]> {
  const { rows } = await sql<ListedRow>`
    SELECT n.deployment_id, n.index, n.compensation, n.alias, n.name, n.environment_id, n.needs, n.action, n.status, n.stage, n.progress, n.try,
      n.reason, n.error, n.began_change, n.changed_outputs, n.ran, n.stage_times, n.started_at, n.finished_at,
      n.snapshot->>'templateName' AS template_name, n.snapshot->>'type' AS template_type, n.snapshot->>'commit' AS commit, COALESCE(n.snapshot->'within', '[]') AS within, CASE WHEN NOT n.compensation THEN n.engine->>'removal' END AS removal,
      NULLIF(n.plan->'counts', 'null') AS counts, ${waitSql('n')} AS shown_wait, a.id AS approval_id
    FROM node_runs n LEFT JOIN approvals a
      ON a.deployment_id = n.deployment_id AND a.compensation = n.compensation AND a.index = n.index AND a.status = 'pending'
    WHERE ${where} ORDER BY n.compensation, n.index`.execute(db);
  return rows;
}

const waitingStatuses: ReadonlySet<string> = new Set(['pending', 'waitingForApproval', 'retrying']);

/** The nodes of a run in the order of their indexes; then those that undo it. */
export async function listNodeRuns(db: Db, deploymentId: string): Promise<NodeRun[]> {
  const rows = await selectNodeRuns(db, sql<boolean>`n.deployment_id = ${deploymentId}`);
  const aliases = new Map(rows.map((row) => [row.index, row.alias]));
  const nodes = rows.map((row) => toNodeRun(row, aliases));
  const waiting = nodes.some(({ status }) => waitingStatuses.has(status));
  if (!waiting) return nodes;
  const texts = waitingTexts(await getDeployment(db, deploymentId), nodes);
  return nodes.map((node) => ({
    ...node,
    waitsFor: (node.compensation ? null : texts.get(node.index)) ?? retryText(node),
  }));
}

export interface NodeRunKey {
  readonly deploymentId: string;
  readonly alias: string;
  /** Of the rollback instead of the run itself. */
  readonly compensation?: boolean | undefined;
}

/** One node of a run by its alias. Throws `notFound` with the aliases there are. */
export async function getNodeRun(db: Db, { deploymentId, alias, compensation = false }: NodeRunKey): Promise<NodeRun> {
  const [row] = await selectNodeRuns(
    db,
    sql<boolean>`n.deployment_id = ${deploymentId} AND n.alias = ${alias} AND n.compensation = ${compensation}`,
  );
  const nodes = await db
    .selectFrom('node_runs')
    .where('deployment_id', '=', deploymentId)
    .where('compensation', '=', compensation)
    .select(['environment_id as id', 'alias as label', 'index'])
    .orderBy('index')
    .execute();
  if (row) return toNodeRun(row, new Map(nodes.map((node) => [node.index, node.label])));
  throw missing('node', alias, nodes);
}
