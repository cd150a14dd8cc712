/** What people ask of runs in progress. A run acts on what is recorded here, once, and never on a message alone. */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Actor, ControlRequest } from '../model/index.ts';
import { actorSchema, newId, nodeStatuses } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, toJson } from './json.ts';
import type { ControlRequestsTable } from './schema.ts';
import type { Selectable } from 'kysely';

const kindSchema = z.enum(['pause', 'continue', 'cancel', 'abort', 'rollback', 'retry', 'skip']);
const nodeStatusSchema = z.enum(nodeStatuses);

export interface RecordedControl {
  readonly id: string;
  readonly deploymentId: string;
  readonly request: ControlRequest;
  /** `open` until the run has acted on it or has refused it. */
  readonly status: 'open' | 'taken' | 'refused';
  readonly refusal: string | null;
  readonly takenBy: string | null;
}

/** Writes a request down. In the transaction that audits it. Answers its id. */
export async function insertControlRequest(
  db: Db,
  { deploymentId, actor, request }: { deploymentId: string; actor: Actor; request: ControlRequest },
): Promise<string> {
  const id = newId('req');
  const onNode = request.kind === 'retry' || request.kind === 'skip';
  await db
    .insertInto('control_requests')
    .values({
      id,
      deployment_id: deploymentId,
      kind: request.kind,
      alias: onNode ? request.alias : null,
      node_status: onNode ? (request.recorded ?? null) : null,
      reason: 'reason' in request ? (request.reason ?? null) : null,
      actor: toJson(actor),
    })
    .execute();
  return id;
}

/** A request of this run, locked until the transaction ends; null when there is none of that id. */
export async function lockControlRequest(
  tx: Db,
  { deploymentId, requestId }: { deploymentId: string; requestId: string },
): Promise<RecordedControl | null> {
  const row = await tx
    .selectFrom('control_requests')
    .selectAll()
    .where('id', '=', requestId)
    .where('deployment_id', '=', deploymentId)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? null : toRecorded(row);
}

/** Ends a request that is open; false when it was not any more. */
export async function settleControlRequest(
  db: Db,
  id: string,
  ending: { readonly status: 'taken'; readonly by: string } | { readonly status: 'refused'; readonly refusal: string },
): Promise<boolean> {
  const row = await db
    .updateTable('control_requests')
    .set({
      status: ending.status,
      settled_at: sql<Date>`now()`,
      ...(ending.status === 'taken' ? { taken_by: ending.by } : { refusal: ending.refusal }),
    })
    .where('id', '=', id)
    .where('status', '=', 'open')
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Whether a run has acted on a request of one of these kinds, about this node if it is given. */
export async function hasTakenControl(
  db: Db,
  { deploymentId, kinds, alias }: { deploymentId: string; kinds: readonly ControlRequest['kind'][]; alias?: string },
): Promise<boolean> {
  let query = db
    .selectFrom('control_requests')
    .select('id')
    .where('deployment_id', '=', deploymentId)
    .where('status', '=', 'taken')
    .where('kind', 'in', kinds);
  if (alias !== undefined) query = query.where('alias', '=', alias);
  return (await query.limit(1).executeTakeFirst()) !== undefined;
}

/** Requests that nobody has acted on for this long, oldest first: whoever recorded them has died before it told the run. */
export async function listUndeliveredControls(
  db: Db,
  olderThanSeconds: number,
  limit: number,
): Promise<RecordedControl[]> {
  const rows = await db
    .selectFrom('control_requests')
    .selectAll()
    .where('status', '=', 'open')
    .where('created_at', '<', sql<Date>`now() - make_interval(secs => ${olderThanSeconds})`)
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(toRecorded);
}

function toRecorded(row: Selectable<ControlRequestsTable>): RecordedControl {
  const place = `control request ${row.id}`;
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    request: requestOf(row, place),
    status: fromJson(z.enum(['open', 'taken', 'refused']), row.status, place),
    refusal: row.refusal,
    takenBy: row.taken_by,
  };
}

function requestOf(row: Selectable<ControlRequestsTable>, place: string): ControlRequest {
  const kind = fromJson(kindSchema, row.kind, place);
  const by = fromJson(actorSchema, row.actor, place).name;
  switch (kind) {
    case 'pause':
    case 'continue':
      return { kind, by };
    case 'cancel':
    case 'abort':
    case 'rollback':
      return { kind, by, ...(row.reason === null ? {} : { reason: row.reason }) };
    case 'retry':
    case 'skip':
      return {
        kind,
        by,
        alias: row.alias ?? '',
        ...(row.node_status === null ? {} : { recorded: fromJson(nodeStatusSchema, row.node_status, place) }),
      };
  }
}
