import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { z } from 'zod';
import type { DriftStatus, Page, ResourceChange } from '../model/index.ts';
import { driftResultSchema, emptyEnvironmentStatuses, newId } from '../model/index.ts';
import type { Db } from './database.ts';
import { recordEvent } from './events.ts';
import { fromJson, iso, toJson } from './json.ts';
import { oneOf } from './lists.ts';
import { withNodesOf } from './nested.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import { inTransaction } from './transactions.ts';

export type DriftResult = z.infer<typeof driftResultSchema>;

export interface NewDriftResult {
  /** The node's own environment. */
  readonly environmentId: string;
  /** The environment its run belongs to; its status follows the worst of its nodes. */
  readonly entityId: string;
  readonly alias: string | null;
  readonly deploymentId: string;
  readonly status: DriftStatus;
  /** Already masked. */
  readonly resources: readonly ResourceChange[];
  readonly message: string | null;
}

const resourcesSchema = driftResultSchema.shape.resources;

const worst = sql`CASE WHEN bool_or(m.drift_status = 'drifted') THEN 'drifted' WHEN bool_or(m.drift_status = 'error') THEN 'error'
    WHEN bool_or(m.drift_status = 'ok') THEN 'ok' ELSE 'neverRun' END`;

/** The worst drift of the environments `m` of a graph: the status of the whole. */
export const worstDrift = (where: RawBuilder<unknown>): RawBuilder<string> =>
  sql`(SELECT ${worst} FROM environments m WHERE ${where} AND NOT m.archived AND NOT m.nested)`;

/** The same of a whole graph, with how many nodes it has. */
const worstOfNodes = (parentId: string) => sql`(
  SELECT count(*) AS nodes, ${worst} AS status
  FROM environments m WHERE m.parent_id = ${parentId} AND NOT m.detached AND NOT m.archived AND NOT m.nested)`;

/** After a run that changed things: what is gone cannot have drifted, and the whole is what its nodes still are. */
export async function resetDriftStatus(db: Db, environmentId: string): Promise<void> {
  await sql`
    UPDATE environments SET drift_status = 'neverRun'
    WHERE (id = ${environmentId} OR parent_id = ${environmentId}) AND ${oneOf(sql`status`, emptyEnvironmentStatuses)} AND drift_status <> 'neverRun'`.execute(
    db,
  );
  await sql`
    UPDATE environments e SET drift_status = n.status FROM ${worstOfNodes(environmentId)} n
    WHERE e.id = ${environmentId} AND n.nodes > 0 AND e.drift_status <> n.status`.execute(db);
}

/** Keeps what a check found and sets the status of the environment, and of the workflow environment it is a node of. */
export async function recordDriftResult(db: Db, input: NewDriftResult): Promise<void> {
  const resources = input.resources.map(({ address, type, action, before, after, planned }) => ({
    address,
    type,
    action,
    before: before ?? null,
    after: after ?? null,
    ...(planned === undefined ? {} : { planned }),
  }));
  await inTransaction(db, async (tx) => {
    await tx
      .insertInto('drift_results')
      .values({
        id: newId('drf'),
        environment_id: input.environmentId,
        deployment_id: input.deploymentId,
        status: input.status,
        resources: toJson(resources),
        message: input.message,
      })
      .execute();
    await sql`UPDATE environments SET drift_status = ${input.status}, drift_checked_at = now() WHERE id = ${input.environmentId}`.execute(
      tx,
    );
    if (input.entityId !== input.environmentId) {
      // Nodes of one run end beside each other: the lock lets each see what the others have written.
      await sql`SELECT 1 FROM environments WHERE id = ${input.entityId} FOR NO KEY UPDATE`.execute(tx);
      await sql`
        UPDATE environments SET drift_checked_at = now(), drift_status = (SELECT n.status FROM ${worstOfNodes(input.entityId)} n)
        WHERE id = ${input.entityId}`.execute(tx);
    }
    await recordEvent(tx, {
      type: 'drift.result',
      environmentId: input.environmentId,
      deploymentId: input.deploymentId,
      alias: input.alias,
      data: { status: input.status, resources: input.resources.length, message: input.message },
    });
  });
}

export interface DriftFilter extends PageRequest {
  /** Of the environment itself, or of a node of it. */
  readonly environmentId: string;
  readonly deploymentId?: string | undefined;
  readonly status?: DriftStatus | undefined;
}

/** Newest first. */
export async function listDriftResults(db: Db, filter: DriftFilter): Promise<Page<DriftResult>> {
  const limit = limitOf(filter);
  const paging: Paging = { request: filter, columns: [{ sql: 'r.id', type: 'text' }], direction: 'descending' };
  let query = db
    .selectFrom('drift_results as r')
    .innerJoin('environments as e', 'e.id', 'r.environment_id')
    .where(sql<boolean>`e.id IN ${withNodesOf(filter.environmentId)}`)
    .where(afterCursor(paging));
  if (filter.deploymentId !== undefined) query = query.where('r.deployment_id', '=', filter.deploymentId);
  if (filter.status !== undefined) query = query.where('r.status', '=', filter.status);
  const rows = await query
    .selectAll('r')
    .select('e.alias')
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, {
    limit,
    key: (row) => [row.id],
    map: (row) => ({
      id: row.id,
      environmentId: row.environment_id,
      alias: row.alias,
      deploymentId: row.deployment_id,
      status: fromJson(driftResultSchema.shape.status, row.status, `drift result ${row.id}`),
      message: row.message,
      resources: fromJson(resourcesSchema, row.resources, `drift result ${row.id}`),
      at: iso(row.at),
    }),
  });
}
