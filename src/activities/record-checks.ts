/** Whether the records bear out what the workflow of a run says about it. */
import { isPassed } from '../model/index.ts';
import type { DeploymentActivities, DeploymentStatus, NodeUpdate } from '../model/index.ts';
import { hasTakenControl, hasUnsettledNode } from '../store/index.ts';
import type { Db, NodeMark, RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { auditRefusal } from './refusals.ts';
import type { Caller } from '../node/index.ts';

/** Why a run may not change to a status on its way; null when it may. How it ends is another matter. */
export async function statusProblem(tx: Db, run: RunRow, status: DeploymentStatus): Promise<string | null> {
  if (run.over) return null;
  switch (status) {
    case 'running': {
      // Of a run that an older version has begun: what is asked now is written down when it is taken.
      const asked = await hasTakenControl(tx, { deploymentId: run.id, kinds: ['pause', 'continue'] });
      return run.status === 'running' && asked ? null : 'nobody has paused or continued it';
    }
    case 'stopping':
      return run.status === 'rollingBack' ? 'it is being rolled back' : null;
    case 'rollingBack':
      return (await mayRollBack(tx, run)) ? null : 'nobody has asked for a rollback';
    case 'queued':
    case 'succeeded':
    case 'failed':
    case 'cancelled':
    case 'aborted':
    case 'rolledBack':
    case 'rollbackFailed':
      return 'a run does not get there in this way';
  }
}

async function mayRollBack(tx: Db, run: RunRow): Promise<boolean> {
  if (run.status === 'rollingBack' || run.stop_mode === 'rollback') return true;
  // Being stopped for it since before the modes of stops were on record.
  if (run.status === 'stopping' && run.stop_mode === null) return true;
  if (run.stop_mode !== null || run.definition?.onFailure !== 'rollback') return false;
  // Failed, or never ended by itself, since its workflow was ended from outside.
  return hasUnsettledNode(tx, run.id);
}

/** Why a run that is open cannot have ended like that; null when it can. Pure. */
export function endingProblem(
  run: Pick<RunRow, 'status' | 'stop_mode' | 'definition'>,
  ending: DeploymentStatus,
  marks: readonly NodeMark[],
): string | null {
  const stopped = run.stop_mode !== null || run.status === 'stopping';
  const of = (compensation: boolean): NodeMark[] => marks.filter((mark) => mark.compensation === compensation);
  switch (ending) {
    case 'succeeded':
      if (run.definition === null && marks.length === 0) return 'it has not begun';
      return of(false).every((mark) => isPassed(mark.status)) ? null : 'not all of its nodes have succeeded';
    case 'failed':
      return run.status === 'queued' && !stopped ? 'it has not begun' : null;
    case 'aborted':
      return stopped ? null : 'nobody has stopped it';
    case 'cancelled':
      return stopped || of(false).some(({ status }) => status === 'cancelled' || status === 'aborted')
        ? null
        : 'nobody has stopped it';
    case 'rolledBack':
    case 'rollbackFailed':
      // Stopped before it had nodes: there is nothing to take back.
      if (run.stop_mode === 'rollback' && marks.length === 0) return null;
      if (run.status !== 'rollingBack') return 'it is not being rolled back';
      return ending === 'rollbackFailed' || of(true).every((mark) => mark.status === 'succeeded')
        ? null
        : 'not all of its nodes have been taken back';
    case 'queued':
    case 'running':
    case 'stopping':
    case 'rollingBack':
      return 'that is no ending';
  }
}

/** Those changes of nodes that somebody has asked for or that change nothing for others; the rest is left out. */
export async function permittedUpdates(
  deps: Pick<ActivityDeps, 'db' | 'log'>,
  input: Parameters<DeploymentActivities['recordNodes']>[0],
  caller: Caller,
): Promise<readonly NodeUpdate[]> {
  const asks = input.updates.some((update) => needsRequest(update) !== null);
  const rest = input.updates.filter((update) => isChange(update));
  const { deploymentId } = input;
  const repaired = asks && (await hasTakenControl(deps.db.sql, { deploymentId, kinds: ['retry', 'skip'] }));
  const skipped = asks && (await hasTakenControl(deps.db.sql, { deploymentId, kinds: ['skip'] }));
  const granted = rest.filter((update) => {
    const needed = needsRequest(update);
    return needed === null || (needed === 'skip' ? skipped : repaired);
  });
  if (granted.length < input.updates.length)
    await auditRefusal(deps, caller, {
      what: 'changing nodes of a run',
      because: 'nobody has asked for it',
      targetType: 'deployment',
      targetId: deploymentId,
      said: input.updates.filter((update) => !granted.includes(update)).slice(0, 5),
    });
  return granted;
}

/** What a workflow decides about nodes; the rest is written down by the call that runs them. */
function isChange({ status }: NodeUpdate): boolean {
  return ['pending', 'skipped', 'cancelled', 'aborted'].includes(status);
}

function needsRequest({ status, reason }: NodeUpdate): 'skip' | 'repair' | null {
  if (status === 'pending') return 'repair';
  return status === 'skipped' && reason?.kind === 'skippedByUser' ? 'skip' : null;
}
