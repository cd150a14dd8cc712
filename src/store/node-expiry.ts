/** The ends of single nodes: when they come, what has been told of them, and the runs that bring them about. */
import { sql } from 'kysely';
import { z } from 'zod';
import type { ExpiryNotice } from '../definition/index.ts';
import {
  deploymentRequestSchema,
  deploymentTypes,
  environmentSettingsSchema,
  environmentStatuses,
  nodeActions,
  nodeStatuses,
} from '../model/index.ts';
import type { Ttl } from '../model/index.ts';
import type { Db } from './database.ts';
import { recordEvent, recordEvents } from './events.ts';
import { toJson } from './json.ts';

export const expiryNoticeSchema: z.ZodType<ExpiryNotice> = z.object({
  expiresAtMs: z.number(),
  warnedMs: z.array(z.number()),
  held: z.string().nullable(),
});

/** A node of a graph, as what concerns its end names it. */
export interface NodeRef {
  readonly environmentId: string;
  /** The environment of the graph. */
  readonly rootId: string;
  readonly alias: string;
}

export interface NodeExpiry {
  readonly environmentId: string;
  readonly alias: string;
  /** Epoch milliseconds. */
  readonly expiresAtMs: number;
  readonly notice: ExpiryNotice | null;
}

/** The nodes of an environment that have an end of their own. */
export async function listNodeExpiries(db: Db, rootId: string): Promise<NodeExpiry[]> {
  const rows = await db
    .selectFrom('environments')
    .select(['id', 'alias', 'expires_at', 'expiry_notice'])
    .where('parent_id', '=', rootId)
    .where('detached', '=', false)
    .where('archived', '=', false)
    .where('expires_at', 'is not', null)
    .orderBy('id')
    .execute();
  return rows.flatMap(({ id, alias, expires_at, expiry_notice }) =>
    expires_at === null
      ? []
      : [
          {
            environmentId: id,
            alias: alias ?? '',
            expiresAtMs: expires_at.getTime(),
            notice: expiry_notice === null ? null : expiryNoticeSchema.parse(expiry_notice),
          },
        ],
  );
}

const nodeDestroySchema = z.object({ id: z.string(), alias: z.string(), queued: z.boolean() });
/** A run that is to end one node. */
export type NodeDestroy = z.infer<typeof nodeDestroySchema>;

/** The open runs that are to end nodes of an environment. */
export async function listNodeDestroys(db: Db, rootId: string): Promise<NodeDestroy[]> {
  const { rows } = await sql`
    SELECT id, request -> 'partial' ->> 'node' AS alias, status = 'queued' AS queued FROM deployments
    WHERE environment_id = ${rootId} AND finished_at IS NULL AND trigger = 'ttl' AND request -> 'partial' ->> 'node' IS NOT NULL
    ORDER BY number`.execute(db);
  return z.array(nodeDestroySchema).parse(rows);
}

/** Whether the ends of nodes concern the workflow of an environment: one has an end, or is being ended. */
export async function hasNodeExpiry(db: Db, rootId: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT 1 WHERE EXISTS (SELECT 1 FROM environments
        WHERE parent_id = ${rootId} AND expires_at IS NOT NULL AND NOT detached AND NOT archived)
      OR EXISTS (SELECT 1 FROM deployments
        WHERE environment_id = ${rootId} AND finished_at IS NULL AND trigger = 'ttl' AND request -> 'partial' IS NOT NULL)`.execute(
    db,
  );
  return rows.length > 0;
}

/** The end of a node, epoch milliseconds, null for never; undefined without such a node. */
export async function readNodeExpiry(db: Db, rootId: string, alias: string): Promise<number | null | undefined> {
  const row = await db
    .selectFrom('environments')
    .select('expires_at')
    .where('parent_id', '=', rootId)
    .where('alias', '=', alias)
    .where('detached', '=', false)
    .executeTakeFirst();
  return row === undefined ? undefined : (row.expires_at?.getTime() ?? null);
}

/** Remembers what has been told of the end of a node. */
export async function saveExpiryNotice(db: Db, environmentId: string, notice: ExpiryNotice): Promise<void> {
  await db
    .updateTable('environments')
    .set({ expiry_notice: toJson(notice) })
    .where('id', '=', environmentId)
    .execute();
}

/** Moves the ends of nodes of an environment, and tells those who watch. */
export async function moveNodeExpiries(
  db: Db,
  rootId: string,
  moves: readonly { readonly environmentId: string; readonly alias: string; readonly expiresAtMs: number | null }[],
  { deploymentId = null, by }: { readonly deploymentId?: string | null; readonly by?: string | undefined } = {},
): Promise<void> {
  if (moves.length === 0) return;
  const rows = moves.map(({ environmentId, alias, expiresAtMs }) => ({
    id: environmentId,
    alias,
    expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
  }));
  await sql`
    UPDATE environments e SET expires_at = r."expiresAt", updated_at = now()
    FROM jsonb_to_recordset(${toJson(rows)}::jsonb) AS r(id text, "expiresAt" timestamptz) WHERE e.id = r.id`.execute(
    db,
  );
  await recordEvents(
    db,
    rows.map(({ alias, expiresAt }) => ({
      type: 'ttl.changed' as const,
      environmentId: rootId,
      deploymentId,
      alias,
      data: { expiresAt, ...(by === undefined ? {} : { by }) },
    })),
  );
}

/**
 * Puts the end of a node off that is due by a moment, and leaves one that somebody has moved since. Answers whether it was
 * put off.
 */
export async function postponeNodeExpiry(
  db: Db,
  { rootId, alias }: Pick<NodeRef, 'rootId' | 'alias'>,
  { dueBy, until }: { readonly dueBy: Date; readonly until: Date },
): Promise<boolean> {
  const row = await db
    .updateTable('environments')
    .set({ expires_at: until })
    .where('parent_id', '=', rootId)
    .where('alias', '=', alias)
    .where('detached', '=', false)
    .where('expires_at', '<=', dueBy)
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return false;
  const data = { expiresAt: until.toISOString() };
  await recordEvent(db, { type: 'ttl.changed', environmentId: rootId, deploymentId: null, alias, data });
  return true;
}

const changedNodeSchema = z.object({
  environmentId: z.string(),
  alias: z.string(),
  action: z.enum(nodeActions),
  status: z.enum(nodeStatuses),
  /** False when it was left as it is, because nothing had changed. */
  ran: z.boolean(),
  environmentStatus: z.enum(environmentStatuses),
  expiresAt: z.date().nullable(),
  fileSeconds: z.number().nullable(),
  settings: environmentSettingsSchema,
});
/** A node that a run was to change, and that has, had or gets an end of its own. */
export type ChangedNode = Omit<z.infer<typeof changedNodeSchema>, 'settings'> & { readonly saved: Ttl | undefined };

/** The nodes of a run that was to deploy or destroy them, of which an end is known anywhere. */
export async function listChangedNodes(db: Db, deploymentId: string): Promise<ChangedNode[]> {
  const { rows } = await sql`
    SELECT e.id AS "environmentId", n.alias, n.action, n.status, n.ran, e.settings,
      e.status AS "environmentStatus", e.expires_at AS "expiresAt", (n.snapshot ->> 'ttlSeconds')::float AS "fileSeconds"
    FROM node_runs n JOIN environments e ON e.id = n.environment_id
    WHERE n.deployment_id = ${deploymentId} AND NOT n.compensation AND n.action IN ('deploy', 'destroy')
      AND e.parent_id IS NOT NULL AND NOT e.detached
      AND (e.expires_at IS NOT NULL OR n.snapshot ->> 'ttlSeconds' IS NOT NULL OR e.settings ? 'ttl')
    ORDER BY n.index`.execute(db);
  return z
    .array(changedNodeSchema)
    .parse(rows)
    .map(({ settings, ...node }) => ({ ...node, saved: settings.ttl }));
}

const nodeDeploySchema = z.object({
  type: z.enum(deploymentTypes),
  trigger: z.string(),
  request: deploymentRequestSchema.pick({ partial: true, restoreNodes: true }),
  succeeded: z.boolean(),
  finished_at: z.date(),
});

/** Runs that have deployed a node since it was last destroyed, or may have; oldest first. As `listDeploysSinceDestroy`. */
export async function listNodeDeploysSinceDestroy(
  db: Db,
  environmentId: string,
): Promise<z.infer<typeof nodeDeploySchema>[]> {
  const { rows } = await sql`
    SELECT d.type, d.trigger, n.status = 'succeeded' AS succeeded, d.finished_at,
      jsonb_strip_nulls(jsonb_build_object('partial', d.request -> 'partial', 'restoreNodes', d.request -> 'restoreNodes')) AS request
    FROM node_runs n JOIN deployments d ON d.id = n.deployment_id
    WHERE n.environment_id = ${environmentId} AND NOT n.compensation AND n.action = 'deploy'
      AND (n.status = 'succeeded' AND n.ran OR n.began_change) AND d.finished_at IS NOT NULL
      AND d.number > COALESCE((SELECT max(gone.number) FROM node_runs g JOIN deployments gone ON gone.id = g.deployment_id
        WHERE g.environment_id = ${environmentId} AND g.action = 'destroy' AND g.status = 'succeeded'), 0)
    ORDER BY d.number`.execute(db);
  return z.array(nodeDeploySchema).parse(rows);
}
