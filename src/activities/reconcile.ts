import { sql } from 'kysely';
import { workflowIds } from '../model/index.ts';
import { findStranded } from '../operations/index.ts';
import { endLeftGrants, recordEvent } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { endRun, workflowState } from './dropping.ts';
import { closeNodes, loadRun, loadUnendedNodes, setEnvironmentStatus } from './run-store.ts';

/** A run younger than this may simply not have reached Temporal yet. */
const graceSeconds = 60;
/** Grants that are ended at once at most; what is left over is for the next round. */
const leftGrants = 1000;

/**
 * Compares what the records say is in progress with what Temporal knows, and repairs what was ended from outside.
 * Safe to repeat and to run twice at once.
 */
export async function reconcile(deps: ActivityDeps, input: { limit: number }): Promise<{ repaired: number }> {
  let repaired = await deps.operations.resendPending(input.limit);
  const { rows } = await sql<{ id: string; status: string }>`
    SELECT id, status FROM deployments WHERE status IN ('running', 'stopping', 'rollingBack') AND started_at < now() - make_interval(secs => ${graceSeconds})
    ORDER BY started_at LIMIT ${input.limit}`.execute(deps.db.sql);
  for (const { id, status } of rows) {
    if ((await workflowState(deps, workflowIds.deployment(id))) === 'open') {
      await tellIfStranded(deps, id);
      if (status === 'stopping') repaired += await endStrandedNodes(deps, id);
      continue;
    }
    const run = await loadRun(deps.db.sql, id);
    if (run !== null) await endRun(deps, run, 'its workflow was ended outside Windlass');
    repaired++;
  }
  repaired += await closeEndedNodes(deps, input.limit);
  repaired += await settleEnvironments(deps, input.limit);
  await endLeftGrants(deps.db.sql, leftGrants);
  return { repaired };
}

/** Nodes that are still open though their run has ended. */
async function closeEndedNodes(deps: ActivityDeps, limit: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT d.id FROM deployments d JOIN node_runs n ON n.deployment_id = d.id
    WHERE d.finished_at < now() - make_interval(secs => ${graceSeconds}) AND d.finished_at > now() - interval '1 day'
      AND n.status NOT IN ('succeeded', 'failed', 'skipped', 'cancelled', 'aborted')
    LIMIT ${limit}`.execute(deps.db.sql);
  let closed = 0;
  for (const { id } of rows) {
    closed += await deps.db.transaction((tx) =>
      closeNodes(tx, id, { status: 'aborted', message: 'its run had ended without it' }),
    );
  }
  return closed;
}

/** Environments that are shown in progress though nothing is: they failed, as far as anybody knows. */
async function settleEnvironments(deps: ActivityDeps, limit: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    SELECT e.id FROM environments e WHERE e.status IN ('deployInProgress', 'destroyInProgress')
      AND e.updated_at < now() - make_interval(secs => ${graceSeconds})
      AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.environment_id = COALESCE(e.parent_id, e.id) AND d.finished_at IS NULL
        AND d.status <> 'queued' AND d.type NOT IN ('plan', 'drift'))
    LIMIT ${limit}`.execute(deps.db.sql);
  for (const { id } of rows) await deps.db.transaction((tx) => setEnvironmentStatus(tx, id, 'failed', null));
  return rows.length;
}

/** Says once of a run that it does not go on, and what can be done. */
async function tellIfStranded(deps: ActivityDeps, deploymentId: string): Promise<void> {
  const stranded = await findStranded(deps.temporal, workflowIds.deployment(deploymentId)).catch(() => null);
  if (stranded === null) return;
  const { rows } = await sql<{ environment_id: string; number: number; told: boolean }>`
    SELECT d.environment_id, d.number, EXISTS (
      SELECT 1 FROM events e WHERE e.deployment_id = d.id AND e.type = 'environment.warning' AND e.data ->> 'kind' = 'stranded'
    ) AS told FROM deployments d WHERE d.id = ${deploymentId}`.execute(deps.db.sql);
  for (const { environment_id: environmentId, number, told } of rows) {
    if (told) continue;
    deps.log.warn({ deploymentId, reason: stranded.reason }, 'a run of another version cannot go on');
    const message =
      `run #${number} was begun by another version of Windlass and cannot go on with this one: ` +
      'go back to that version until it has ended, or abort it and resume';
    await recordEvent(deps.db.sql, {
      type: 'environment.warning',
      environmentId,
      deploymentId,
      alias: null,
      data: { kind: 'stranded', message },
    });
  }
}

/** A node of another version does not hear that its run is being stopped, which would wait for it for ever. */
async function endStrandedNodes(deps: ActivityDeps, deploymentId: string): Promise<number> {
  let ended = 0;
  for (const { alias, compensation } of await loadUnendedNodes(deps.db.sql, deploymentId)) {
    const workflowId = workflowIds.node(deploymentId, alias, compensation);
    const stranded = await findStranded(deps.temporal, workflowId).catch(() => null);
    if (stranded === null) continue;
    await deps.temporal.workflow
      .getHandle(workflowId, stranded.runId)
      .terminate(`its run is being stopped, which it cannot hear: ${stranded.reason}`);
    ended++;
  }
  return ended;
}
