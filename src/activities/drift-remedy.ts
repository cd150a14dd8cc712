import { sql } from 'kysely';
import { systemActor, WindlassError } from '../model/index.ts';
import { recordEvent } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import type { RunRow } from './run-store.ts';

/**
 * Asks for the run that brings drifted nodes back, when the environment's settings say so. Repeating it asks for nothing
 * more. A request that is refused, such as by a lock, becomes a warning.
 */
export async function remedyDrift(deps: ActivityDeps, run: RunRow): Promise<void> {
  const { drift } = run.settings;
  if (drift === undefined || drift.paused || drift.remediation === 'none') return;
  const { rows } = await sql<{ alias: string }>`
    SELECT DISTINCT n.alias FROM node_runs n JOIN drift_results r ON r.deployment_id = n.deployment_id AND r.environment_id = n.environment_id
    WHERE n.deployment_id = ${run.id} AND NOT n.compensation AND r.status = 'drifted' ORDER BY n.alias`.execute(
    deps.db.sql,
  );
  if (rows.length === 0) return;
  try {
    await deps.operations.requestDeployment({
      actor: systemActor,
      environment: run.environment_id,
      request: {
        type: 'deploy',
        restoreNodes: rows.map((row) => row.alias),
        // Nothing that Windlass knows of has changed, so that the nodes would be left alone.
        force: true,
        comment: `brings back what drift check ${run.number} found changed`,
        ...(drift.remediation === 'ask' ? { requiresApproval: true } : {}),
      },
      trigger: 'drift',
      idempotencyKey: `remedy:${run.id}`,
    });
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    await recordEvent(deps.db.sql, {
      type: 'environment.warning',
      environmentId: run.environment_id,
      deploymentId: run.id,
      alias: null,
      data: { message: `it has drifted, but nothing was done about it: ${error.message}` },
    });
  }
}

/** After a run that changed things: what is gone cannot have drifted, and the whole is what its nodes still are. */
export async function forgetDrift(db: Db, environmentId: string): Promise<void> {
  await sql`
    UPDATE environments SET drift_status = 'neverRun'
    WHERE (id = ${environmentId} OR parent_id = ${environmentId}) AND status IN ('inactive', 'neverDeployed') AND drift_status <> 'neverRun'`.execute(
    db,
  );
  await sql`
    UPDATE environments e SET drift_status = n.status FROM (
      SELECT count(*) AS nodes, CASE WHEN bool_or(drift_status = 'drifted') THEN 'drifted' WHEN bool_or(drift_status = 'error') THEN 'error'
        WHEN bool_or(drift_status = 'ok') THEN 'ok' ELSE 'neverRun' END AS status
      FROM environments WHERE parent_id = ${environmentId} AND NOT detached AND NOT archived) n
    WHERE e.id = ${environmentId} AND n.nodes > 0 AND e.drift_status <> n.status`.execute(db);
}
