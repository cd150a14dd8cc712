import { sql } from 'kysely';
import type { z } from 'zod';
import type { RawBuilder } from 'kysely';
import type { Actor, Page, Scope } from '../model/index.ts';
import { actorSchema, auditEntrySchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson, toNullableJson } from './json.ts';
import { escapeLike } from './lookup.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import { inScope } from './scope.ts';

export type AuditEntry = z.infer<typeof auditEntrySchema>;

export interface NewAuditEntry {
  readonly actor: Actor;
  /** Such as `environment.lock`. */
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly projectId: string | null;
  /** What it was and what it became, without secrets. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Writes down who changed what. In the transaction of the change, so that neither is there without the other. */
export async function insertAuditEntry(db: Db, entry: NewAuditEntry): Promise<void> {
  await db
    .insertInto('audit_log')
    .values({
      actor: toJson(entry.actor),
      action: entry.action,
      target_type: entry.targetType,
      target_id: entry.targetId,
      project_id: entry.projectId,
      before: toNullableJson(entry.before),
      after: toNullableJson(entry.after),
    })
    .execute();
}

export interface AuditFilter extends PageRequest {
  readonly targetId?: string | undefined;
  /** Type of what was changed, its id, or its name: `shop`, `shop/eks`, `shop#7`. */
  readonly target?: string | undefined;
  readonly action?: string | undefined;
  /** Name or id of the key or user. */
  readonly actor?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

/** Name of what an entry is about, as it is called now; else as it was called then. */
const targetName = sql<string | null>`COALESCE(
  CASE a.target_type
    WHEN 'environment' THEN (SELECT COALESCE(p.name || '/' || e.alias, e.name) FROM environments e
      LEFT JOIN environments p ON p.id = e.parent_id AND NOT e.detached WHERE e.id = a.target_id)
    WHEN 'deployment' THEN (SELECT e.name || '#' || d.number FROM deployments d JOIN environments e ON e.id = d.environment_id
      WHERE d.id = a.target_id)
    WHEN 'approval' THEN (SELECT e.name || COALESCE('/' || n.alias, '') FROM approvals p
      JOIN deployments d ON d.id = p.deployment_id JOIN environments e ON e.id = d.environment_id
      LEFT JOIN environments n ON n.id = p.environment_id AND n.id <> e.id WHERE p.id = a.target_id)
    WHEN 'template' THEN (SELECT t.name FROM templates t WHERE t.id = a.target_id)
    WHEN 'project' THEN (SELECT p.name FROM projects p WHERE p.id = a.target_id)
    WHEN 'organization' THEN (SELECT o.name FROM organizations o WHERE o.id = a.target_id)
    WHEN 'key' THEN (SELECT k.name FROM api_keys k WHERE k.id = a.target_id)
    WHEN 'variable' THEN (SELECT v.name FROM variables v WHERE v.id = a.target_id)
  END, a.after ->> 'name', a.before ->> 'name')`;

/** What `target` of a filter means. Names of what is gone are looked for in what was written down of it. */
function isTarget(target: string): RawBuilder<boolean> {
  const [name = '', alias] = target.split('/');
  const [owner = '', number] = target.split('#');
  const node =
    alias === undefined
      ? sql``
      : sql`UNION ALL SELECT e.id FROM environments e
    JOIN environments p ON p.id = e.parent_id WHERE p.name = ${name} AND e.alias = ${alias}`;
  const run = !/^\d{1,9}$/.test(number ?? '')
    ? sql``
    : sql`UNION ALL SELECT d.id FROM deployments d
    JOIN environments e ON e.id = d.environment_id WHERE e.name = ${owner} AND d.number = ${Number(number)}`;
  return sql<boolean>`(a.target_id = ${target} OR a.target_type = ${target}
    OR a.after ->> 'name' = ${target} OR a.before ->> 'name' = ${target} OR a.target_id IN (
      SELECT id FROM environments WHERE name = ${target} AND parent_id IS NULL
      UNION ALL SELECT id FROM templates WHERE name = ${target} UNION ALL SELECT id FROM projects WHERE name = ${target}
      UNION ALL SELECT id FROM api_keys WHERE name = ${target} UNION ALL SELECT id FROM variables WHERE name = ${target}
      ${node} ${run}))`;
}

/** Newest first. */
export async function listAuditEntries(db: Db, scope: Scope, filter: AuditFilter = {}): Promise<Page<AuditEntry>> {
  const limit = limitOf(filter);
  const paging: Paging = { request: filter, columns: [{ sql: 'a.id', type: 'integer' }], direction: 'descending' };
  const conditions: RawBuilder<boolean>[] = [afterCursor(paging), inScope(scope, sql`a.project_id`)];
  if (filter.targetId !== undefined) conditions.push(sql`a.target_id = ${filter.targetId}`);
  if (filter.target !== undefined) conditions.push(isTarget(filter.target));
  // `environment` finds `environment.lock` and all the others.
  if (filter.action !== undefined)
    conditions.push(sql`(a.action = ${filter.action} OR a.action LIKE ${`${escapeLike(filter.action)}.%`})`);
  if (filter.actor !== undefined)
    conditions.push(sql`(a.actor->>'name' = ${filter.actor} OR a.actor->>'id' = ${filter.actor})`);
  if (filter.since !== undefined) conditions.push(sql`a.at >= ${filter.since}`);
  if (filter.until !== undefined) conditions.push(sql`a.at < ${filter.until}`);
  const rows = await db
    .selectFrom('audit_log as a')
    .leftJoin('projects as project', 'project.id', 'a.project_id')
    .selectAll('a')
    .select(['project.name as project_name', targetName.as('target_name')])
    .where(sql<boolean>`${sql.join(conditions, sql` AND `)}`)
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, {
    limit,
    key: (row) => [row.id],
    map: (row) => {
      const place = `audit entry ${row.id}`;
      return {
        id: row.id,
        at: iso(row.at),
        actor: fromJson(actorSchema, row.actor, place),
        action: row.action,
        targetType: row.target_type,
        targetId: row.target_id,
        targetName: row.target_name,
        projectId: row.project_id,
        projectName: row.project_name,
        before: fromJson(auditEntrySchema.shape.before, row.before, place),
        after: fromJson(auditEntrySchema.shape.after, row.after, place),
      };
    },
  });
}

/** Whether the audit log says already that a firing of a schedule came to nothing. */
export async function isSkipAudited(
  db: Db,
  { environmentId, kind, firedAt }: { environmentId: string; kind: string; firedAt: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('audit_log')
    .select('id')
    .where('target_type', '=', 'environment')
    .where('target_id', '=', environmentId)
    .where('action', '=', 'schedule.skipped')
    .where(sql<boolean>`after ->> 'firedAt' = ${firedAt} AND after ->> 'kind' = ${kind}`)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
