import type {
  DeploymentActivities,
  DeploymentOutcome,
  DeploymentStatus,
  EnvironmentStatus,
  CompensationNode,
} from '../model/index.ts';
import { isReadOnly, mayHaveResources, WindlassError } from '../model/index.ts';
import type { FileLife } from '../operations/index.ts';
import { expiryAfterDeploy, listed, quote, restartsTtl, workflowStatus } from '../definition/index.ts';
import {
  changeNodeStatuses,
  closeNodes,
  archiveEmptyGroups,
  detachNodes,
  expireOverdueApprovals,
  findLastNode,
  resetDriftStatus,
  hasFailedNode,
  hasNodeExpiry,
  insertCompensation,
  listSkippedAfterPartialApply,
  listUndone,
  loadNodeMarks,
  loadRun,
  loadRunState,
  moveExpiry,
  readEnvironmentLife,
  readRunEnd,
  recordEvent,
  scopeTtlSettings,
  setDeployedBy,
  setEnvironmentStatus,
  setRunStatus,
  tallyNodes,
} from '../store/index.ts';
import type { Db, RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { remedyDrift } from './drift-remedy.ts';
import { permittedUpdates, endingProblem, statusProblem } from './record-checks.ts';
import { recordStop } from './control.ts';
import { expiringNode, postponeDueExpiry } from './lifecycle.ts';
import { moveEndsOfNodes, postponeNode } from './node-expiry.ts';
import { refuseCall } from './refusals.ts';
import type { Caller } from '../node/index.ts';

export async function recordNodes(
  deps: ActivityDeps,
  input: Parameters<DeploymentActivities['recordNodes']>[0],
  caller: Caller,
): Promise<void> {
  const run = { deploymentId: input.deploymentId, compensation: input.compensation ?? false };
  const updates = await permittedUpdates(deps, input, caller);
  const changes = updates.map(({ index, status, reason, message }) => ({
    index,
    status,
    reason: reason ?? (message === undefined ? undefined : { kind: 'stopped' as const, message }),
  }));
  const cancelled = changes.filter((change) => change.status === 'cancelled').map((change) => change.index);
  if (cancelled.length > 0) await expireOverdueApprovals(deps.db.sql, run, cancelled);
  for (const round of inRounds(changes)) await changeNodeStatuses(deps.db.sql, run, round);
}

/**
 * Takes changes of the same node apart, such as one that a repair has brought back and that has then been left as it is:
 * one statement changes a row once, and which of its changes it takes is anybody's guess.
 */
function inRounds<T extends { readonly index: number }>(changes: readonly T[]): T[][] {
  const rounds: T[][] = [];
  const seen = new Map<number, number>();
  for (const change of changes) {
    const round = seen.get(change.index) ?? 0;
    seen.set(change.index, round + 1);
    (rounds[round] ??= []).push(change);
  }
  return rounds;
}

export async function setDeploymentStatus(
  deps: ActivityDeps,
  input: Parameters<DeploymentActivities['setDeploymentStatus']>[0],
  caller: Caller,
): Promise<void> {
  const { deploymentId, status } = input;
  const problem = await deps.db.transaction(async (tx) => {
    const run = await loadRun(tx, deploymentId);
    const found = run === null ? 'there is no such run' : await statusProblem(tx, run, status);
    if (run === null || run.over || found !== null) return found;
    // A stop by an operator in Temporal, of which nobody has written down a request.
    if (status === 'stopping' && run.stop_mode === null) await recordStop(tx, deploymentId, input.stopMode ?? 'abort');
    else await setRunStatus(tx, deploymentId, input);
    return null;
  });
  if (problem === null) return;
  await refuseCall(deps, caller, {
    what: `changing a run to ${status}`,
    because: problem,
    targetType: 'deployment',
    targetId: deploymentId,
    said: input,
  });
}

/**
 * The nodes this run began to change, and what takes each back: the snapshot that was in force before, or a destroy
 * when there was none. Their records are made here, once.
 */
export async function planCompensation(
  deps: ActivityDeps,
  deploymentId: string,
  caller: Caller,
): Promise<CompensationNode[]> {
  const run = await loadRun(deps.db.sql, deploymentId);
  if (run?.status !== 'rollingBack')
    return refuseCall(deps, caller, {
      what: 'a rollback',
      because: 'the run is not being rolled back',
      targetType: 'deployment',
      targetId: deploymentId,
    });
  return deps.db.transaction(async (tx) => {
    const undo = (await listUndone(tx, deploymentId)).map(({ index, undo: action }) => ({ index, action }));
    await insertCompensation(
      tx,
      deploymentId,
      undo.filter(({ action }) => action !== 'keep'),
    );
    return undo;
  });
}

export async function finishDeployment(
  deps: ActivityDeps,
  input: { deploymentId: string; status: DeploymentStatus; message?: string },
  caller: Caller,
): Promise<DeploymentOutcome> {
  const run = await loadRun(deps.db.sql, input.deploymentId);
  if (run === null) return { status: input.status };
  const problem = run.over ? null : endingProblem(run, input.status, await loadNodeMarks(deps.db.sql, run.id));
  if (problem !== null)
    return refuseCall(deps, caller, {
      what: `ending a run as ${input.status}`,
      because: problem,
      targetType: 'deployment',
      targetId: run.id,
      said: input,
    });
  const outcome = await recordEnding(deps, run, input);
  if (input.status === 'succeeded' && run.definition?.life) await followFile(deps, run, run.definition.life);
  if (run.type === 'drift' && (input.status === 'succeeded' || input.status === 'failed')) await remedyDrift(deps, run);
  return outcome;
}

/** A refusal must not hold up the end of a run that has succeeded. */
async function followFile(deps: ActivityDeps, run: RunRow, life: FileLife): Promise<void> {
  try {
    await deps.operations.applyFileSettings({ environmentId: run.environment_id, life });
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    await recordEvent(deps.db.sql, {
      type: 'environment.warning',
      environmentId: run.environment_id,
      deploymentId: run.id,
      alias: null,
      data: { message: `schedule and drift check of the workflow file were not taken over: ${error.message}` },
    });
  }
}

async function recordEnding(
  deps: ActivityDeps,
  run: RunRow,
  given: { status: DeploymentStatus; message?: string },
): Promise<DeploymentOutcome> {
  return deps.db.transaction(async (tx): Promise<DeploymentOutcome> => {
    const partiallyApplied = given.status === 'succeeded' ? await listSkippedAfterPartialApply(tx, run.id) : [];
    const input =
      partiallyApplied.length === 0
        ? given
        : {
            status: 'failed' as const,
            message: `${listed(partiallyApplied.map(quote), 'and')} failed half-way and ${partiallyApplied.length === 1 ? 'was' : 'were'} left out`,
          };
    const error =
      input.message === undefined || given.status === 'failed'
        ? undefined
        : { class: 'internal', message: input.message };
    const ended = await setRunStatus(tx, run.id, { status: input.status, paused: false, error });
    if (!ended) return recordedOutcome(tx, run);
    await closeNodes(tx, run.id, {
      status: 'failed',
      message:
        given.status === 'failed' || given.message === undefined
          ? 'its workflow ended without saying how; see the Temporal UI'
          : given.message,
    });
    if (isReadOnly(run.type)) return { status: input.status };
    if (input.status === 'succeeded') await detachRemoved(tx, run);
    await resetDriftStatus(tx, run.environment_id);
    const status = await environmentStatus(tx, run, input.status);
    await setEnvironmentStatus(tx, run.environment_id, status, run.id);
    if (input.status === 'succeeded' && status === 'active') await setDeployedBy(tx, run.environment_id, run.id);
    const expiresAtMs = await expiry(tx, run, input.status, status);
    const { expiresAtMs: saved } = await savedExpiry(tx, run);
    if (expiresAtMs !== undefined && expiresAtMs !== saved) {
      const expiresAt = expiresAtMs === null ? null : new Date(expiresAtMs);
      await moveExpiry(tx, run.environment_id, expiresAt, { deploymentId: run.id });
    }
    await moveEndsOfNodes(tx, run, input.status);
    const node = run.trigger === 'ttl' && input.status !== 'succeeded' ? expiringNode(run) : null;
    if (node !== null) await postponeNode(tx, { rootId: run.environment_id, alias: node });
    return {
      status: input.status,
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      ...((await hasNodeExpiry(tx, run.environment_id)) ? { nodeExpiry: true } : {}),
    };
  });
}

/** What the file does not list any more lives on by itself; a workflow without nodes is nothing. */
async function detachRemoved(tx: Db, run: RunRow): Promise<void> {
  const ids = run.definition?.detach ?? [];
  if (ids.length === 0) return;
  await detachNodes(tx, run.environment_name, ids);
  await archiveEmptyGroups(tx, run.environment_id);
}

/**
 * The run has ended already: by an earlier try of this very call, or from outside. What is written down counts, the
 * time to live that came with it included, since the workflow may not have heard of it.
 */
async function recordedOutcome(tx: Db, run: RunRow): Promise<DeploymentOutcome> {
  const state = await loadRunState(tx, run.id);
  if (state === null) return { status: 'aborted' };
  const nodeExpiry = !isReadOnly(run.type) && (await hasNodeExpiry(tx, run.environment_id));
  return { status: state.status, ...(await savedExpiry(tx, run)), ...(nodeExpiry ? { nodeExpiry } : {}) };
}

/** What a graph is once its run is over. */
async function environmentStatus(tx: Db, run: RunRow, ending: DeploymentStatus): Promise<EnvironmentStatus> {
  const nodes = await tallyNodes(tx, run.environment_id);
  if (nodes.total === 0) return singleStatus(tx, run);
  // What failed and was taken back altogether is as it was before the run.
  const failedNow = ending !== 'rolledBack' && (await hasFailedNode(tx, run.id));
  return workflowStatus(nodes, failedNow);
}

/** A stack without a graph has its status from its own node. */
async function singleStatus(tx: Db, run: RunRow): Promise<EnvironmentStatus> {
  const node = await findLastNode(tx, { environmentId: run.environment_id, deploymentId: run.id });
  if (node === null) return 'neverDeployed';
  if (node.status === 'succeeded') return node.action === 'destroy' ? 'inactive' : 'active';
  if (node.status === 'failed' || node.began_change) return 'failed';
  return node.was ? 'active' : 'neverDeployed';
}

/** The end as it was recorded; runs that only read leave it alone. */
async function savedExpiry(tx: Db, run: RunRow): Promise<{ expiresAtMs?: number | null }> {
  if (isReadOnly(run.type)) return {};
  const life = await readEnvironmentLife(tx, run.environment_id);
  return life === null ? {} : { expiresAtMs: life.expiresAtMs };
}

/** undefined leaves the expiry as it is. */
async function expiry(
  tx: Db,
  run: RunRow,
  status: DeploymentStatus,
  environment: EnvironmentStatus,
): Promise<number | null | undefined> {
  if (!mayHaveResources(environment)) return null;
  if (run.type === 'destroy')
    return run.trigger === 'ttl' && status !== 'succeeded' ? postponeDueExpiry(tx, run.environment_id) : undefined;
  // What may be there lives from its first deploy on, even if that failed; later ones begin the hours anew when they succeed.
  const begins = (await savedExpiry(tx, run)).expiresAtMs === null;
  if (!begins && (status !== 'succeeded' || !restartsTtl(run))) return undefined;
  const scope = await scopeTtlSettings(tx, run.project_id);
  const { ttl } = run.settings;
  if (ttl === undefined && scope.defaultTtl === undefined && scope.maximumTtlHours === undefined) return undefined;
  // The recorded moment, so that whoever counts the hours later comes to the same end.
  const end = await readRunEnd(tx, run.id);
  return expiryAfterDeploy(ttl, end?.getTime() ?? Date.now(), scope);
}
