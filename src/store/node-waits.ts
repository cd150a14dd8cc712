import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { NodeEnding, NodeRun } from '../model/index.ts';
import { fromJson } from './json.ts';

/**
 * What a node that tries again later waits for, with who holds the lock of its state now. `row` is the name of the
 * `node_runs` row in the statement.
 */
export function waitSql(row: 'n' | 'r'): RawBuilder<unknown> {
  const of = (column: string): RawBuilder<unknown> => sql.ref(`${row}.${column}`);
  return sql`CASE WHEN ${of('status')} = 'retrying' AND ${of('wait')} IS NOT NULL THEN ${of('wait')} || jsonb_build_object('lock', (
    SELECT jsonb_build_object('since', l.acquired_at, 'by', COALESCE(d.type || ' ' || d.number || ' of ' || holder.name, NULLIF(l.info ->> 'Who', ''), 'somebody'))
    FROM state_locks l LEFT JOIN deployments d ON d.id = l.deployment_id LEFT JOIN environments holder ON holder.id = d.environment_id
    WHERE l.environment_id = ${of('environment_id')}
      AND (l.deployment_id, l.index) IS DISTINCT FROM (${of('deployment_id')}, ${of('index')}))) END`;
}

/** What is kept of a wait. */
export function waitOf(wait: NodeEnding['wait']): RawBuilder<unknown> {
  if (wait === undefined) return sql`NULL`;
  return sql`jsonb_build_object('until', now() + ${wait.afterMs}::float8 * interval '1 millisecond', 'account', ${wait.account}::text)`;
}

const rowSchema = z.object({
  until: z.string(),
  account: z.string().nullable(),
  lock: z.object({ by: z.string(), since: z.string() }).nullable(),
});

/** PostgreSQL writes timestamps inside JSON in its own way. */
const normalTime = (text: string): string => new Date(text).toISOString();

/** Reads what `waitSql` answers. */
export function toNodeWait(value: unknown, place: string): NodeRun['wait'] {
  if (value === null || value === undefined) return null;
  const { until, account, lock } = fromJson(rowSchema, value, place);
  return {
    until: normalTime(until),
    account,
    lock: lock === null ? null : { ...lock, since: normalTime(lock.since) },
  };
}
