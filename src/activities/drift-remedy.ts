import { systemActor, WindlassError } from '../model/index.ts';
import { listDriftedNodes, recordEvent } from '../store/index.ts';
import type { RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

/**
 * Asks for the run that brings drifted nodes back, when the environment's settings say so. Repeating it asks for nothing
 * more. A request that is refused, such as by a lock, becomes a warning.
 */
export async function remedyDrift(deps: ActivityDeps, run: RunRow): Promise<void> {
  const { drift } = run.settings;
  if (drift === undefined || drift.paused || drift.remediation === 'none') return;
  const restoreNodes = await listDriftedNodes(deps.db.sql, run.id);
  if (restoreNodes.length === 0) return;
  try {
    await deps.operations.requestDeployment({
      actor: systemActor,
      environment: run.environment_id,
      request: {
        type: 'deploy',
        restoreNodes,
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
