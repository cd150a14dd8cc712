import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { Event, EventData, EventType, NewEvent } from '../model/index.ts';
import { eventTypeSchema } from '../model/index.ts';
import type { Db } from './database.ts';
import { completeUpTo } from './growing-table.ts';
import { fromJson, iso, toJson } from './json.ts';
import { withNodesOf } from './nested.ts';

/** Channel on which new events are announced, as JSON `{id, environmentId, deploymentId}`. */
export const eventChannel = 'windlass_events';
/** Channel on which new log chunks are announced, as JSON `{deploymentId}`. */
export const logChannel = 'windlass_logs';

/**
 * The parts of a statement that write events and announce them when it commits: the only way in which a row comes into the
 * table. `rows` selects `type, environment_id, deployment_id, alias, data` in the order of the events; what is announced
 * names the environment that the event's run belongs to, which is the parent for an event of one of its nodes. The
 * statement must read the part `told`.
 */
function eventParts(
  { added, told }: { readonly added: string; readonly told: string },
  rows: RawBuilder<unknown>,
): RawBuilder<unknown> {
  return sql`${sql.ref(added)} AS (
    INSERT INTO events (type, environment_id, deployment_id, alias, data) ${rows} RETURNING id, environment_id, deployment_id
  ), ${sql.ref(told)} AS (
    SELECT pg_notify(${sql.lit(eventChannel)}, json_build_object('id', a.id, 'environmentId', COALESCE(
        (SELECT d.environment_id FROM deployments d WHERE d.id = a.deployment_id),
        (SELECT COALESCE(n.parent_id, n.id) FROM environments n WHERE n.id = a.environment_id),
        a.environment_id), 'deploymentId', a.deployment_id)::text)
    FROM ${sql.ref(added)} a
  )`;
}

/** Writes events in their order and announces them when the transaction commits, in one statement. */
export async function recordEvents(db: Db, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map(({ type, environmentId, deploymentId, alias, data }) => ({
    type,
    environment_id: environmentId,
    deployment_id: deploymentId,
    alias,
    data,
  }));
  await sql`
    WITH ${eventParts(
      { added: 'added', told: 'told' },
      sql`SELECT e.type, e.environment_id, e.deployment_id, e.alias, e.data
      FROM ROWS FROM (jsonb_to_recordset(${toJson(rows)}::jsonb)
        AS (type text, environment_id text, deployment_id text, alias text, data jsonb)) WITH ORDINALITY
        AS e(type, environment_id, deployment_id, alias, data, position)
      ORDER BY e.position`,
    )}
    SELECT count(*) FROM told`.execute(db);
}

/** What an event carries, each part as an expression on the row it tells of; what is NULL there is left out. */
export type EventExpressions<T extends EventType> = {
  readonly [K in keyof EventData<T>]?: RawBuilder<unknown>;
};

/**
 * The parts of a statement that write one event for each row of its part `from`, which has `environment_id`,
 * `deployment_id` and `alias`. The statement must read the part `told`.
 */
export function eventFor<T extends EventType>(
  type: T,
  { from, told }: { readonly from: string; readonly told: string },
  data: EventExpressions<T>,
): RawBuilder<unknown> {
  const pairs = Object.entries<RawBuilder<unknown> | undefined>(data).flatMap(([name, value]) =>
    value === undefined ? [] : [sql`${sql.lit(name)}, ${value}`],
  );
  return eventParts(
    { added: `${told}_event`, told },
    sql`SELECT ${sql.lit(type)}, r.environment_id, r.deployment_id, r.alias, jsonb_strip_nulls(jsonb_build_object(${sql.join(pairs)}))
    FROM ${sql.ref(from)} r`,
  );
}

/** One event; see `recordEvents`. */
export async function recordEvent(db: Db, event: NewEvent): Promise<void> {
  await recordEvents(db, [event]);
}

export interface EventFilter {
  /** Its own events, and those of its nodes. */
  readonly environmentId?: string | undefined;
  readonly deploymentId?: string | undefined;
  /** Id of the last event already seen; 0 begins with the first. */
  readonly afterId: number;
  /** 500 when absent. */
  readonly limit?: number | undefined;
}

const dataSchema = z.record(z.string(), z.json());

/**
 * Events after the last one seen, oldest first. Reading on with the last id loses none: an event stays hidden as long
 * as a transaction is open that may add one before it, and that one announces itself too.
 */
export async function readEvents(db: Db, filter: EventFilter): Promise<Event[]> {
  const upTo = await completeUpTo(db, 'events');
  const conditions: RawBuilder<boolean>[] = [sql`id > ${filter.afterId}`, sql`id <= ${upTo}`];
  if (filter.deploymentId !== undefined) conditions.push(sql`deployment_id = ${filter.deploymentId}`);
  if (filter.environmentId !== undefined) {
    const id = filter.environmentId;
    conditions.push(sql`environment_id IN ${withNodesOf(id)}`);
  }
  const rows = await db
    .selectFrom('events')
    .selectAll()
    .where(sql<boolean>`${sql.join(conditions, sql` AND `)}`)
    .orderBy('id')
    .limit(filter.limit ?? 500)
    .execute();
  return rows.map((row) => {
    const place = `event ${row.id}`;
    return {
      id: row.id,
      type: fromJson(eventTypeSchema, row.type, place),
      at: iso(row.at),
      environmentId: row.environment_id,
      deploymentId: row.deployment_id,
      alias: row.alias,
      data: fromJson(dataSchema, row.data, place),
    };
  });
}

/** Id of the newest event that readers may have seen, to follow only what comes; 0 when there is none. */
export async function latestEventId(db: Db): Promise<number> {
  const upTo = await completeUpTo(db, 'events');
  const row = await db
    .selectFrom('events')
    .select((select) => select.fn.max('id').as('id'))
    .where('id', '<=', upTo)
    .executeTakeFirst();
  return row?.id ?? 0;
}

/** Drops events older than a date, oldest first; answers how many. Clients that resume from before then begin at what is left. */
export async function pruneEvents(db: Db, before: Date, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ${before} ORDER BY id LIMIT ${limit})`.execute(db);
  return Number(numAffectedRows ?? 0);
}
