import { sql } from 'kysely';
import { z } from 'zod';
import type { RecordCounts } from '../metrics/index.ts';
import { activeNodeStatuses, emptyEnvironmentStatuses, passedNodeStatuses } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson } from './json.ts';
import { noneOf, oneOf } from './lists.ts';

const count = z.number().int();
const countsSchema = z.object({
  openRuns: z.array(z.object({ type: z.string(), status: z.string(), count })),
  openNodes: z.array(z.object({ waitsFor: z.string(), count })),
  driftStatuses: z.array(z.object({ status: z.string(), count })),
  environmentLocks: count,
  stateLocks: count,
});

/** What is open now, over all processes, in one statement. Its cost grows with the open runs, not with the history. */
export async function readRecordCounts(db: Db): Promise<RecordCounts> {
  const needsAnother = sql`EXISTS (SELECT 1 FROM jsonb_array_elements_text(n.needs) AS need(index)
    JOIN node_runs o ON o.deployment_id = n.deployment_id AND o.compensation = n.compensation AND o.index = need.index::int
    WHERE o.action <> 'keep' AND ${noneOf(sql`o.status`, passedNodeStatuses)})`;
  const waitsFor = sql`CASE
    WHEN n.status = 'running' THEN 'tool' WHEN n.status = 'waitingForApproval' THEN 'approval'
    WHEN n.status = 'retrying' THEN 'retry' WHEN n.status = 'paused' THEN 'repair'
    WHEN d.paused THEN 'continue' WHEN ${needsAnother} THEN 'other_nodes' ELSE 'place' END`;
  const { rows } = await sql`
    WITH open AS MATERIALIZED (
      SELECT id, type, status, paused, started_at FROM deployments WHERE finished_at IS NULL
    ), runs AS (
      SELECT type, status, count(*)::int AS count FROM open GROUP BY type, status
    ), nodes AS (
      SELECT ${waitsFor} AS "waitsFor", count(*)::int AS count FROM open d JOIN node_runs n ON n.deployment_id = d.id
      WHERE n.action <> 'keep' AND (n.status = 'pending' OR ${oneOf(sql`n.status`, activeNodeStatuses)}) GROUP BY 1
    ), drift AS (
      SELECT drift_status AS status, count(*)::int AS count FROM environments
      WHERE NOT archived AND ${noneOf(sql`status`, emptyEnvironmentStatuses)} GROUP BY drift_status
    )
    SELECT json_build_object(
      'openRuns', (SELECT COALESCE(json_agg(runs), '[]') FROM runs),
      'openNodes', (SELECT COALESCE(json_agg(nodes), '[]') FROM nodes),
      'driftStatuses', (SELECT COALESCE(json_agg(drift), '[]') FROM drift),
      'environmentLocks', (SELECT count(*)::int FROM environments WHERE lock IS NOT NULL AND NOT archived),
      'stateLocks', (SELECT count(*)::int FROM state_locks)) AS counts`.execute(db);
  const [row] = z.array(z.object({ counts: z.unknown() })).parse(rows);
  return fromJson(countsSchema, row?.counts, 'counts of records');
}
