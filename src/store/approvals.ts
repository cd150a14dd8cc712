import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { GivenBounds } from '../definition/index.ts';
import type { Actor, Approval, ApprovalEnvelope, Page, Plan, Scope } from '../model/index.ts';
import {
  actorSchema,
  approvalEnvelopeSchema,
  approvalSchema,
  changeCountsSchema,
  newId,
  resourceActions,
  WindlassError,
} from '../model/index.ts';
import type { Db } from './database.ts';
import { recordEvent } from './events.ts';
import { fromJson, iso, toJson } from './json.ts';
import { missing } from './lookup.ts';
import { withNodesOf } from './nested.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import type { ApprovalRow } from './schema.ts';
import { inScope } from './scope.ts';
import { inTransaction } from './transactions.ts';

/** One person's word, as it is kept; `by` is the name, `id` says who it was. */
const decisionSchema = z.object({
  id: z.string(),
  by: z.string(),
  decision: z.enum(['approve', 'reject']),
  comment: z.string().nullable(),
  envelope: approvalEnvelopeSchema.nullable().default(null),
  at: z.string(),
});
type StoredDecision = z.infer<typeof decisionSchema>;
const decisionsSchema = z.array(decisionSchema);

const planSchema = z.object({
  counts: changeCountsSchema,
  resources: z.array(z.object({ address: z.string(), type: z.string(), action: z.enum(resourceActions) })).default([]),
});

const decisionsOf = (row: ApprovalRow): StoredDecision[] =>
  fromJson(decisionsSchema, row.decisions, `approval ${row.id}`);

/** Identifies a person or key over time; names may be given again. */
export const identityOf = (actor: Actor): string => `${actor.kind}:${actor.id}`;

/** An approval with all that its DTO shows beside it. */
interface FullApprovalRow extends ApprovalRow {
  readonly alias: string | null;
  readonly node_type: string | null;
  readonly deployment_number: number;
  readonly deployment_type: string;
  readonly requested_by: unknown;
  /** Of the run: the parent of a node. */
  readonly owner_id: string;
  readonly owner_name: string;
}

function toApproval(row: FullApprovalRow): Approval {
  const place = `approval ${row.id}`;
  const plan = fromJson(planSchema, row.plan, place);
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    deploymentNumber: row.deployment_number,
    deploymentType: fromJson(approvalSchema.shape.deploymentType, row.deployment_type, place),
    environmentId: row.environment_id,
    environmentName: row.owner_name,
    alias: row.alias ?? '',
    path: row.owner_id === row.environment_id ? row.owner_name : `${row.owner_name}/${row.alias ?? ''}`,
    requestedBy: fromJson(actorSchema, row.requested_by, place).name,
    status: fromJson(approvalSchema.shape.status, row.status, place),
    reason: row.reason,
    about: row.node_type === 'approval' ? 'gate' : 'plan',
    required: row.required,
    forbidRequester: row.forbid_requester,
    counts: plan.counts,
    resources: plan.resources,
    decisions: decisionsOf(row).map(({ by, decision, comment, at }) => ({ by, decision, comment, at })),
    createdAt: iso(row.created_at),
    expiresAt: iso(row.expires_at),
  };
}

export interface ApprovalNode {
  readonly deploymentId: string;
  readonly index: number;
  readonly compensation: boolean;
}

export interface NewApproval extends ApprovalNode {
  /** The node's own environment. */
  readonly environmentId: string;
  /** The environment its run belongs to. */
  readonly entityId: string;
  readonly alias: string;
  /** How many people have to approve. */
  readonly required: number;
  readonly forbidRequester: boolean;
  /** Why a person is asked. */
  readonly reason: string;
  readonly planArtifact: string | null;
  readonly plan: Plan;
  readonly expiresAt: Date;
}

/** Asks for a decision on a node's plan; one that was asked for before is superseded. Answers the id. */
export async function createApproval(db: Db, input: NewApproval): Promise<string> {
  const id = newId('apr');
  await inTransaction(db, async (tx) => {
    await supersedeApprovals(tx, input);
    await tx
      .insertInto('approvals')
      .values({
        id,
        deployment_id: input.deploymentId,
        index: input.index,
        compensation: input.compensation,
        environment_id: input.environmentId,
        required: input.required,
        forbid_requester: input.forbidRequester,
        reason: input.reason,
        plan_artifact: input.planArtifact,
        plan: toJson(input.plan),
        expires_at: input.expiresAt,
      })
      .execute();
    await recordEvent(tx, {
      type: 'approval.requested',
      environmentId: input.environmentId,
      deploymentId: input.deploymentId,
      alias: input.alias,
      data: {
        approvalId: id,
        index: input.index,
        compensation: input.compensation,
        reason: input.reason,
        counts: input.plan.counts,
        expiresAt: input.expiresAt.toISOString(),
      },
    });
  });
  return id;
}

/** Ends what is still pending for a node: its plan is not the one to decide on any more. */
export async function supersedeApprovals(db: Db, node: ApprovalNode): Promise<void> {
  await db
    .updateTable('approvals')
    .set({ status: 'superseded', decided_at: sql<Date>`now()` })
    .where('deployment_id', '=', node.deploymentId)
    .where('index', '=', node.index)
    .where('compensation', '=', node.compensation)
    .where('status', '=', 'pending')
    .execute();
}

/**
 * Approvals of nodes that the workflow has cancelled because their time was up are expired; the others are superseded with
 * their nodes.
 */
export async function expireOverdueApprovals(
  db: Db,
  run: { readonly deploymentId: string; readonly compensation: boolean },
  indexes: readonly number[],
): Promise<void> {
  // Temporal's clock and the database's may differ by a little.
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM approvals WHERE deployment_id = ${run.deploymentId} AND compensation = ${run.compensation} AND status = 'pending'
      AND index IN (SELECT jsonb_array_elements_text(${toJson(indexes)}::jsonb)::int) AND expires_at < now() + interval '2 seconds'`.execute(
    db,
  );
  for (const { id } of rows) await expireApproval(db, id);
}

/** Marks one as expired, if it is still pending; answers whether it was. */
export async function expireApproval(db: Db, id: string): Promise<boolean> {
  const row = await db
    .updateTable('approvals')
    .set({ status: 'expired', decided_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('status', '=', 'pending')
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

const selectApprovals = (db: Db) =>
  db
    .selectFrom('approvals')
    .leftJoin('node_runs', (join) =>
      join
        .onRef('node_runs.deployment_id', '=', 'approvals.deployment_id')
        .onRef('node_runs.index', '=', 'approvals.index')
        .onRef('node_runs.compensation', '=', 'approvals.compensation'),
    )
    .innerJoin('deployments', 'deployments.id', 'approvals.deployment_id')
    .innerJoin('environments as owner', 'owner.id', 'deployments.environment_id')
    .selectAll('approvals')
    .select([
      'node_runs.alias',
      sql<string | null>`node_runs.snapshot ->> 'type'`.as('node_type'),
      'deployments.number as deployment_number',
      'deployments.type as deployment_type',
      'deployments.requested_by',
      'owner.id as owner_id',
      'owner.name as owner_name',
    ]);

/** Whether approvals of this environment may be seen. */
const approvalsIn = (scope: Scope): RawBuilder<boolean> =>
  scope === 'all'
    ? sql<boolean>`true`
    : sql<boolean>`approvals.environment_id IN (SELECT e.id FROM environments e WHERE ${inScope(scope, sql`e.project_id`)})`;

/** By its exact id. */
export async function getApproval(db: Db, id: string, scope: Scope): Promise<Approval> {
  const row = await selectApprovals(db).where('approvals.id', '=', id).where(approvalsIn(scope)).executeTakeFirst();
  if (!row) throw missing('approval', id, []);
  return toApproval(row);
}

export interface ApprovalFilter extends PageRequest {
  readonly deploymentId?: string | undefined;
  /** Of the node, or of the environment its run belongs to. */
  readonly environmentId?: string | undefined;
  readonly status?: Approval['status'] | undefined;
}

/** Newest first. */
export async function listApprovals(db: Db, scope: Scope, filter: ApprovalFilter = {}): Promise<Page<Approval>> {
  const limit = limitOf(filter);
  const paging: Paging = { request: filter, columns: [{ sql: 'approvals.id', type: 'text' }], direction: 'descending' };
  let query = selectApprovals(db).where(afterCursor(paging)).where(approvalsIn(scope));
  if (filter.deploymentId !== undefined) query = query.where('approvals.deployment_id', '=', filter.deploymentId);
  if (filter.status !== undefined) query = query.where('approvals.status', '=', filter.status);
  if (filter.environmentId !== undefined) {
    const id = filter.environmentId;
    query = query.where(sql<boolean>`approvals.environment_id IN ${withNodesOf(id)}`);
  }
  const rows = await query
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, { limit, key: (row) => [row.id], map: toApproval });
}

export interface ApprovalDecision {
  readonly approvalId: string;
  readonly actor: Actor;
  readonly decision: 'approve' | 'reject';
  readonly comment?: string | undefined;
  /** Bounds inside which later nodes of the run go on by themselves. */
  readonly envelope?: ApprovalEnvelope | undefined;
}

export interface DecidedApproval extends ApprovalNode {
  readonly approval: Approval;
  /** No further decision is needed: it is rejected, or enough people have approved. */
  readonly complete: boolean;
  /** The same person had said the same before; nothing was changed. */
  readonly repeated: boolean;
}

/**
 * Adds one person's decision. Saying the same again changes nothing. Throws `forbidden` for the requester when barred,
 * and `conflict` when it is decided, over, or decided differently by the same person.
 */
export async function decideApproval(db: Db, input: ApprovalDecision): Promise<DecidedApproval> {
  return inTransaction(db, async (tx) => {
    // Others that decide at this moment wait here.
    await sql`SELECT 1 FROM approvals WHERE id = ${input.approvalId} FOR UPDATE`.execute(tx);
    const row = await selectApprovals(tx)
      .select(sql<boolean>`approvals.expires_at <= now()`.as('overdue'))
      .where('approvals.id', '=', input.approvalId)
      .executeTakeFirst();
    if (!row) throw missing('approval', input.approvalId, []);
    const node = { deploymentId: row.deployment_id, index: row.index, compensation: row.compensation };
    const decisions = decisionsOf(row);
    const who = identityOf(input.actor);
    const own = decisions.find((decision) => decision.id === who);
    if (own?.decision === input.decision && row.status !== 'superseded' && row.status !== 'expired') {
      return { ...node, approval: toApproval(row), complete: row.status !== 'pending', repeated: true };
    }
    refuse(row, own);
    const requester = fromJson(actorSchema, row.requested_by, `deployment ${row.deployment_id}`);
    if (input.decision === 'approve' && row.forbid_requester && identityOf(requester) === who) {
      throw new WindlassError(
        'forbidden',
        `"${row.alias}" may not be approved by ${requester.name}, who asked for the run`,
        {
          hint: 'somebody else has to approve it',
        },
      );
    }
    decisions.push({
      id: who,
      by: input.actor.name,
      decision: input.decision,
      comment: input.comment ?? null,
      envelope: input.envelope ?? null,
      at: new Date().toISOString(),
    });
    const approvals = decisions.filter((decision) => decision.decision === 'approve').length;
    const status = input.decision === 'reject' ? 'rejected' : approvals >= row.required ? 'approved' : 'pending';
    const complete = status !== 'pending';
    const changes = { status, decisions: toJson(decisions), decided_at: complete ? sql<Date>`now()` : null };
    await tx.updateTable('approvals').set(changes).where('id', '=', row.id).execute();
    await recordEvent(tx, {
      type: 'approval.decided',
      environmentId: row.environment_id,
      deploymentId: row.deployment_id,
      alias: row.alias,
      data: {
        approvalId: row.id,
        index: row.index,
        compensation: row.compensation,
        decision: input.decision,
        by: input.actor.name,
        status,
        complete,
      },
    });
    return { ...node, approval: toApproval({ ...row, status, decisions }), complete, repeated: false };
  });
}

function refuse(row: ApprovalRow & { alias: string | null; overdue: boolean }, own: StoredDecision | undefined): void {
  const thing = `the approval of "${row.alias}"`;
  if (row.status === 'superseded') {
    throw new WindlassError(
      'conflict',
      `${thing} is out of date: the node was planned again or is not waiting any more`,
      {
        hint: 'look at the plan that waits now: windlass plan show',
      },
    );
  }
  if (row.status === 'expired' || (row.status === 'pending' && row.overdue)) {
    throw new WindlassError('conflict', `${thing} expired on ${row.expires_at.toISOString()}`, {
      hint: 'deploy again to get a new plan',
    });
  }
  if (own) throw new WindlassError('conflict', `${own.by} has already decided to ${own.decision} "${row.alias}"`);
  if (row.status !== 'pending') throw new WindlassError('conflict', `"${row.alias}" is already ${row.status}`);
}

/** The approval in force for a node; its tool may make plans without an artifact. Null unless the last one asked for is approved. */
export async function lastApproval(db: Db, node: ApprovalNode): Promise<{ readonly artifactId: string | null } | null> {
  const row = await db
    .selectFrom('approvals')
    .select(['status', 'plan_artifact'])
    .where('deployment_id', '=', node.deploymentId)
    .where('index', '=', node.index)
    .where('compensation', '=', node.compensation)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.status === 'approved' ? { artifactId: row.plan_artifact } : null;
}

/** The bounds that approvers of this run gave with a plan that was approved, the oldest first. */
export async function listGivenBounds(db: Db, deploymentId: string): Promise<GivenBounds[]> {
  const rows = await db
    .selectFrom('approvals')
    .selectAll()
    .where('deployment_id', '=', deploymentId)
    .where('status', '=', 'approved')
    .orderBy('decided_at')
    .execute();
  return rows.flatMap((row) =>
    decisionsOf(row).flatMap(({ id, decision, envelope }) =>
      decision === 'approve' && envelope !== null ? [{ by: id, envelope }] : [],
    ),
  );
}
