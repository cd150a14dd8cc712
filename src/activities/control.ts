/** What a run in progress is asked: taken from the records, where the API has written it down. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlRequest, DeploymentActivities, StopMode, TakenControl } from '../model/index.ts';
import { isReadOnly } from '../model/index.ts';
import {
  loadRunState,
  lockControlRequest,
  openRunsOf,
  resumeNode,
  setRunStatus,
  settleControlRequest,
} from '../store/index.ts';
import type { Db, RecordedControl, RunState } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { auditRefusal } from './refusals.ts';
import type { Caller } from '../node/index.ts';

/** See DeploymentActivities.takeControl. */
export async function takeControl(
  deps: Pick<ActivityDeps, 'db' | 'log'>,
  input: Parameters<DeploymentActivities['takeControl']>[0],
  caller: Caller,
): Promise<TakenControl> {
  const { deploymentId, requestId, said } = input;
  const taken = await deps.db.transaction(async (tx): Promise<TakenControl | null> => {
    if (requestId === null) return null;
    const run = await loadRunState(tx, deploymentId, { lock: true });
    const recorded = await lockControlRequest(tx, { deploymentId, requestId });
    return run === null || recorded === null ? null : take(tx, { run, recorded, callId: caller.callId });
  });
  if (taken !== null) return taken;
  const because = 'nobody with a key has asked for it';
  await auditRefusal(deps, caller, {
    what: `control ${said}`,
    because,
    targetType: 'deployment',
    targetId: deploymentId,
    said: input,
  });
  return { kind: 'refused', message: `${because}; ask through Windlass` };
}

async function take(
  tx: Db,
  { run, recorded, callId }: { run: RunState; recorded: RecordedControl; callId: string },
): Promise<TakenControl> {
  const { id, deploymentId, request } = recorded;
  switch (recorded.status) {
    case 'taken':
      // An earlier try of this very call has died before it could answer.
      return recorded.takenBy === callId ? { kind: 'taken', request } : { kind: 'done' };
    case 'refused':
      return { kind: 'refused', message: recorded.refusal ?? 'it was refused before' };
    case 'open': {
      if (run.over || run.status === 'rollingBack') {
        const message = run.over ? 'the run has ended' : 'the run is being rolled back and cannot be changed any more';
        await settleControlRequest(tx, id, { status: 'refused', refusal: message });
        return { kind: 'refused', message };
      }
      await settleControlRequest(tx, id, { status: 'taken', by: callId });
      await recordControlEffect(tx, deploymentId, request, run);
      return { kind: 'taken', request };
    }
  }
}

/** What the run's nodes, and whoever looks, are to find in the records before the run acts. */
async function recordControlEffect(
  tx: Db,
  deploymentId: string,
  request: ControlRequest,
  run: RunState,
): Promise<void> {
  switch (request.kind) {
    case 'pause':
    case 'continue':
      if (run.status !== 'stopping')
        await setRunStatus(tx, deploymentId, { status: run.status, paused: request.kind === 'pause' });
      return;
    case 'cancel':
    case 'abort':
    case 'rollback':
      return recordStop(tx, deploymentId, request.kind);
    case 'retry':
      // A paused node stays so, whatever its workflow hears, until a person has asked for it.
      return resumeNode(tx, deploymentId, request.alias);
    case 'skip':
      return;
  }
}

/** Says on the run that it is being stopped, and how. */
export async function recordStop(tx: Db, deploymentId: string, mode: StopMode): Promise<void> {
  await setRunStatus(tx, deploymentId, { status: 'stopping', paused: false, stopMode: mode });
}

/** See DeploymentActivities.makeWay. */
export async function makeWay(
  deps: Pick<ActivityDeps, 'db' | 'log'>,
  { deploymentId }: { deploymentId: string },
  caller: Caller,
): Promise<{ stop: boolean }> {
  const stop = await deps.db.transaction(async (tx) => {
    const run = await loadRunState(tx, deploymentId, { lock: true });
    if (run === null || run.over || !isReadOnly(run.type)) return false;
    if (run.stop_mode !== null) return true;
    const due = await openRunsOf(tx, run.environment_id, { types: 'changing' });
    if (due.length === 0) return false;
    await recordStop(tx, deploymentId, 'cancel');
    return true;
  });
  if (!stop)
    await auditRefusal(deps, caller, {
      what: 'making way for another run',
      because: 'no run is due that it would be in the way of',
      targetType: 'deployment',
      targetId: deploymentId,
    });
  return { stop };
}

/** A run of an older version tells its nodes a moment before it writes it down. */
const stopWithinMs = 5000;
const lookEveryMs = 250;

/** See DeploymentActivities.recordedStop. */
export async function recordedStop(
  deps: Pick<ActivityDeps, 'db' | 'log'>,
  input: Parameters<DeploymentActivities['recordedStop']>[0],
  caller: Caller,
): Promise<{ stop: StopMode | null }> {
  const { deploymentId, alias, said } = input;
  for (const deadline = Date.now() + stopWithinMs; ; await delay(lookEveryMs)) {
    const run = await loadRunState(deps.db.sql, deploymentId);
    if (run?.over === true) return { stop: run.stop_mode ?? 'abort' };
    if (run?.stop_mode) return { stop: run.stop_mode };
    // Begun to be stopped before there were modes on record.
    if (run?.status === 'stopping') return { stop: said };
    if (run === null || Date.now() > deadline) break;
  }
  await auditRefusal(deps, caller, {
    what: `stopping "${alias}" (${said})`,
    because: 'the run is not being stopped',
    targetType: 'deployment',
    targetId: deploymentId,
  });
  return { stop: null };
}
