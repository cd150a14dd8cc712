import { sql } from 'kysely';
import type { z } from 'zod';
import type { RawBuilder } from 'kysely';
import type { Actor, Page } from '../model/index.ts';
import { actorSchema, auditEntrySchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson, toNullableJson } from './json.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';

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
  readonly targetType?: string | undefined;
  readonly targetId?: string | undefined;
  readonly projectId?: string | undefined;
  readonly action?: string | undefined;
  /** Name or id of the key or user. */
  readonly actor?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

/** Newest first. */
export async function listAuditEntries(db: Db, filter: AuditFilter = {}): Promise<Page<AuditEntry>> {
  const limit = limitOf(filter);
  const paging: Paging = { request: filter, columns: [{ sql: 'id', type: 'integer' }], direction: 'descending' };
  const conditions: RawBuilder<boolean>[] = [afterCursor(paging)];
  if (filter.targetType !== undefined) conditions.push(sql`target_type = ${filter.targetType}`);
  if (filter.targetId !== undefined) conditions.push(sql`target_id = ${filter.targetId}`);
  if (filter.projectId !== undefined) conditions.push(sql`project_id = ${filter.projectId}`);
  if (filter.action !== undefined) conditions.push(sql`action = ${filter.action}`);
  if (filter.actor !== undefined)
    conditions.push(sql`(actor->>'name' = ${filter.actor} OR actor->>'id' = ${filter.actor})`);
  if (filter.since !== undefined) conditions.push(sql`at >= ${filter.since}`);
  if (filter.until !== undefined) conditions.push(sql`at < ${filter.until}`);
  const rows = await db
    .selectFrom('audit_log')
    .selectAll()
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
        before: fromJson(auditEntrySchema.shape.before, row.before, place),
        after: fromJson(auditEntrySchema.shape.after, row.after, place),
      };
    },
  });
}
