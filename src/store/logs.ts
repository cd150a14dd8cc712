import { sql } from 'kysely';
import type { LogChunk, LogOwner, NewLogChunk, Stage } from '../model/index.ts';
import { logChunkSchema, readOnlyTypes } from '../model/index.ts';
import type { Db } from './database.ts';
import { logChannel } from './events.ts';
import { completeUpTo } from './growing-table.ts';
import { fromJson, iso, toJson } from './json.ts';
import { oneOf } from './lists.ts';

/** Writes chunks of one node's log in their order and announces them, in one statement. */
export async function appendLog(db: Db, owner: LogOwner, chunks: readonly NewLogChunk[]): Promise<void> {
  if (chunks.length === 0) return;
  const rows = toJson(chunks.map(({ stage, text, at }) => ({ stage, text, at: (at ?? new Date()).toISOString() })));
  await sql`
    WITH added AS (
      INSERT INTO log_chunks (deployment_id, index, compensation, try, stage, at, text)
      SELECT ${owner.deploymentId}, ${owner.index}, ${owner.compensation}, ${owner.try}, c.stage, c.at, c.text
      FROM ROWS FROM (jsonb_to_recordset(${rows}::jsonb) AS (stage text, at timestamptz, text text)) WITH ORDINALITY
        AS c(stage, at, text, position)
      ORDER BY c.position
    )
    SELECT pg_notify(${logChannel}, json_build_object('deploymentId', ${owner.deploymentId}::text)::text)`.execute(db);
}

export interface LogFilter {
  readonly deploymentId: string;
  /** Of a node, or of a workflow in the graph. */
  readonly alias?: string | undefined;
  readonly stage?: Stage | undefined;
  readonly compensation?: boolean | undefined;
  readonly try?: number | undefined;
  /** Id of the last chunk already seen; 0 begins with the first. */
  readonly afterId: number;
  /** 200 when absent. */
  readonly limit?: number | undefined;
}

/** Whether the node `n` of a run, or a workflow around it, has this name. */
const isMeantBy = (name: string) => sql<boolean>`(n.alias = ${name} OR (
  starts_with(n.alias, ${name} || '/') AND jsonb_exists(n.snapshot -> 'within', ${name})))`;

/** Chunks after the last one seen, in the order they were written. Reading on with the last id loses none. */
export async function readLog(db: Db, filter: LogFilter): Promise<LogChunk[]> {
  const upTo = await completeUpTo(db, 'log_chunks');
  let query = db
    .selectFrom('log_chunks as c')
    .innerJoin('node_runs as n', (join) =>
      join
        .onRef('n.deployment_id', '=', 'c.deployment_id')
        .onRef('n.index', '=', 'c.index')
        .onRef('n.compensation', '=', 'c.compensation'),
    )
    .where('c.deployment_id', '=', filter.deploymentId)
    .where('c.id', '>', filter.afterId)
    .where('c.id', '<=', upTo);
  if (filter.alias !== undefined) query = query.where(isMeantBy(filter.alias));
  if (filter.stage !== undefined) query = query.where('c.stage', '=', filter.stage);
  if (filter.compensation !== undefined) query = query.where('c.compensation', '=', filter.compensation);
  if (filter.try !== undefined) query = query.where('c.try', '=', filter.try);
  const rows = await query
    .select(['c.id', 'n.alias', 'c.stage', 'c.compensation', 'c.try', 'c.at', 'c.text'])
    .orderBy('c.id')
    .limit(filter.limit ?? 200)
    .execute();
  return rows.map((row) => ({
    ...row,
    stage: fromJson(logChunkSchema.shape.stage, row.stage, `log chunk ${row.id}`),
    at: iso(row.at),
  }));
}

/**
 * Drops what plans and drift checks have said and planned that ended before a date; answers how many chunks and plans.
 * They are many, by schedule, and read soon or never. What changed something is kept.
 */
export async function pruneReads(db: Db, before: Date, limit: number): Promise<number> {
  // Looked up run by run: neither table may be read as a whole for the little that is old.
  const oldRowsOf = (table: 'log_chunks' | 'artifacts') => sql`
    SELECT old.id FROM deployments d
    CROSS JOIN LATERAL (SELECT id FROM ${sql.table(table)} WHERE deployment_id = d.id LIMIT ${limit}) old
    WHERE ${oneOf(sql`d.type`, readOnlyTypes)} AND d.finished_at < ${before} LIMIT ${limit}`;
  const chunks = await sql`DELETE FROM log_chunks WHERE id IN (${oldRowsOf('log_chunks')})`.execute(db);
  const plans = await sql`DELETE FROM artifacts WHERE id IN (${oldRowsOf('artifacts')})`.execute(db);
  return Number(chunks.numAffectedRows ?? 0) + Number(plans.numAffectedRows ?? 0);
}
