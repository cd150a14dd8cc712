import type {
  DeploymentActivities,
  DeploymentOutcome,
  DeploymentStatus,
  EnvironmentStatus,
  NodeAction,
  CompensationNode,
} from '../model/index.ts';
import { isReadOnly, mayHaveResources, WindlassError } from '../model/index.ts';
import type { FileLife } from '../operations/index.ts';
import { expiryAfterDeploy, listed, quote, restartsTtl, workflowStatus } from '../definition/index.ts';
import type { NodeTally } from '../definition/index.ts';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { changeNodeStatuses, expireApproval, recordEvent, scopeTtlSettings } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { forgetDrift, remedyDrift } from './drift-remedy.ts';
import { borneOutUpdates, endingProblem, statusProblem } from './borne-out.ts';
import { loadNodeMarks } from './carried-state.ts';
import { recordStop } from './control.ts';
import { postponeExpiry } from './lifecycle.ts';
import { refuseCall } from './refusals.ts';
import type { Caller } from '../node/index.ts';
import { closeNodes, loadRun, nodeStatusesOf, setEnvironmentStatus, setRunStatus } from './run-store.ts';
import type { RunRow } from './run-store.ts';

export async function recordNodes(
  deps: ActivityDeps,
  input: Parameters<DeploymentActivities['recordNodes']>[0],
  caller: Caller,
): Promise<void> {
  const run = { deploymentId: input.deploymentId, compensation: input.compensation ?? false };
  const updates = await borneOutUpdates(deps, input, caller);
  const changes = updates.map(({ index, status, reason, message }) => ({
    index,
    status,
    reason: reason ?? (message === undefined ? undefined : { kind: 'stopped' as const, message }),
  }));
  const cancelled = changes.filter((change) => change.status === 'cancelled').map((change) => change.index);
  if (cancelled.length > 0) await expireApprovals(deps.db.sql, run, cancelled);
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

/** Approvals of cancelled nodes whose time was up ran out; the others are superseded with their nodes. */
async function expireApprovals(
  db: Db,
  run: { readonly deploymentId: string; readonly compensation: boolean },
  indexes: readonly number[],
): Promise<void> {
  // Temporal's clock and the database's may differ by a little.
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM approvals WHERE deployment_id = ${run.deploymentId} AND compensation = ${run.compensation} AND status = 'pending'
      AND index IN (SELECT jsonb_array_elements_text(${JSON.stringify(indexes)}::jsonb)::int) AND expires_at < now() + interval '2 seconds'`.execute(
    db,
  );
  for (const { id } of rows) await expireApproval(db, id);
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

interface Undoable {
  readonly index: number;
  readonly action: NodeAction;
  readonly began_change: boolean;
  readonly deployed_before: boolean;
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
    const { rows } = await sql<Undoable>`
      SELECT index, action, began_change, previous_snapshot IS NOT NULL AS deployed_before
      FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation ORDER BY index`.execute(tx);
    const undo = rows.map((row): CompensationNode => ({ index: row.index, action: undoing(row) }));
    await sql`
      INSERT INTO node_runs (deployment_id, index, compensation, alias, name, environment_id, needs, action, engine, snapshot)
      SELECT nr.deployment_id, nr.index, true, nr.alias, nr.name, nr.environment_id, '[]', u.action, nr.engine,
        CASE WHEN u.action = 'deploy' THEN nr.previous_snapshot ELSE nr.snapshot END
      FROM node_runs nr JOIN jsonb_to_recordset(${JSON.stringify(undo.filter((node) => node.action !== 'keep'))}::jsonb) AS u(index integer, action text)
        ON u.index = nr.index
      WHERE nr.deployment_id = ${deploymentId} AND NOT nr.compensation
      ON CONFLICT DO NOTHING`.execute(tx);
    return undo;
  });
}

function undoing(row: Undoable): NodeAction {
  if (!row.began_change || row.action === 'keep' || row.action === 'plan' || row.action === 'drift') return 'keep';
  return row.deployed_before ? 'deploy' : row.action === 'destroy' ? 'keep' : 'destroy';
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
    const halfMade = given.status === 'succeeded' ? await leftOutHalfMade(tx, run.id) : [];
    const input =
      halfMade.length === 0
        ? given
        : {
            status: 'failed' as const,
            message: `${listed(halfMade.map(quote), 'and')} failed half-way and ${halfMade.length === 1 ? 'was' : 'were'} left out`,
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
    if (input.status === 'succeeded') await detach(tx, run);
    await forgetDrift(tx, run.environment_id);
    const status = await environmentStatus(tx, run, input.status);
    await setEnvironmentStatus(tx, run.environment_id, status, run.id);
    if (input.status === 'succeeded' && status === 'active') {
      await sql`UPDATE environments SET deployed_by = ${run.id} WHERE id = ${run.environment_id}`.execute(tx);
    }
    const expiresAtMs = await expiry(tx, run, input.status, status);
    const { expiresAtMs: saved } = await savedExpiry(tx, run);
    if (expiresAtMs !== undefined && expiresAtMs !== saved) {
      await sql`UPDATE environments SET expires_at = ${expiresAtMs === null ? null : new Date(expiresAtMs).toISOString()} WHERE id = ${run.environment_id}`.execute(
        tx,
      );
      await recordEvent(tx, {
        type: 'ttl.changed',
        environmentId: run.environment_id,
        deploymentId: run.id,
        alias: null,
        data: { expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString() },
      });
    }
    return { status: input.status, ...(expiresAtMs === undefined ? {} : { expiresAtMs }) };
  });
}

/**
 * The run has ended already: by an earlier try of this very call, or from outside. What is written down counts, the
 * time to live that came with it included, since the workflow may not have heard of it.
 */
async function recordedOutcome(tx: Tx, run: RunRow): Promise<DeploymentOutcome> {
  const row = await tx.selectFrom('deployments').select('status').where('id', '=', run.id).executeTakeFirst();
  if (row === undefined) return { status: 'aborted' };
  return { status: row.status as DeploymentStatus, ...(await savedExpiry(tx, run)) };
}

type Tx = Parameters<Parameters<ActivityDeps['db']['transaction']>[0]>[0];

/** What the file no longer lists lives on by itself, under a name that says where it came from. */
async function detach(tx: Tx, run: RunRow): Promise<void> {
  const ids = run.definition?.detach ?? [];
  if (ids.length === 0) return;
  await sql`
    UPDATE environments SET detached = true, parent_id = NULL, name = ${run.environment_name} || '/' || alias || CASE WHEN EXISTS (
        SELECT 1 FROM environments other WHERE other.project_id = environments.project_id AND other.parent_id IS NULL AND NOT other.archived
          AND other.name = ${run.environment_name} || '/' || environments.alias) THEN ' ' || right(environments.id, 6) ELSE '' END,
      template_id = template_id, updated_at = now()
    WHERE id IN (SELECT jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb)) AND NOT detached`.execute(tx);
}

/** Nodes of the run that a person left out after they had failed half-way. */
async function leftOutHalfMade(tx: Tx, deploymentId: string): Promise<string[]> {
  const { rows } = await sql<{ alias: string }>`
    SELECT nr.alias FROM node_runs nr JOIN environments e ON e.id = nr.environment_id
    WHERE nr.deployment_id = ${deploymentId} AND NOT nr.compensation AND nr.status = 'skipped'
      AND nr.reason ->> 'kind' = 'skippedByUser' AND e.status = 'failed' ORDER BY nr.index`.execute(tx);
  return rows.map((row) => row.alias);
}

/** What a graph is once its run is over. */
async function environmentStatus(tx: Tx, run: RunRow, ending: DeploymentStatus): Promise<EnvironmentStatus> {
  const { rows } = await sql<NodeTally>`
    SELECT count(*)::int AS total,
      count(*) FILTER (WHERE status = 'active')::int AS active,
      count(*) FILTER (WHERE status = 'failed')::int AS failed,
      count(*) FILTER (WHERE status = 'inactive')::int AS destroyed,
      count(*) FILTER (WHERE status IN ('inactive', 'neverDeployed') AND NOT expected)::int AS unwanted
    FROM environments WHERE parent_id = ${run.environment_id} AND NOT detached AND NOT archived
      AND COALESCE(inline_template ->> 'type', '') <> 'approval'`.execute(tx);
  const nodes = rows[0];
  if (nodes === undefined || nodes.total === 0) return singleStatus(tx, run);
  // What failed and was taken back altogether is as it was before the run.
  const failedNow =
    ending !== 'rolledBack' &&
    (await nodeStatusesOf(tx, run.id)).some(({ status, count }) => count > 0 && status === 'failed');
  return workflowStatus(nodes, failedNow);
}

/** A stack without a graph has its status from its own node. */
async function singleStatus(tx: Tx, run: RunRow): Promise<EnvironmentStatus> {
  const node = (await lastNode(tx, sql`nr.deployment_id = ${run.id}`)) ?? (await lastChange(tx, run));
  if (node === undefined) return 'neverDeployed';
  if (node.status === 'succeeded') return node.action === 'destroy' ? 'inactive' : 'active';
  if (node.status === 'failed' || node.began_change) return 'failed';
  return node.was ? 'active' : 'neverDeployed';
}

interface LastNode {
  readonly status: string;
  readonly action: string;
  readonly began_change: boolean;
  readonly was: boolean;
}

async function lastNode(tx: Tx, where: RawBuilder<unknown>): Promise<LastNode | undefined> {
  const { rows } = await sql<LastNode>`
    SELECT nr.status, nr.action, nr.began_change, e.deployed_snapshot IS NOT NULL AS was
    FROM node_runs nr JOIN environments e ON e.id = nr.environment_id
    WHERE ${where} ORDER BY nr.finished_at DESC NULLS FIRST, nr.compensation DESC LIMIT 1`.execute(tx);
  return rows[0];
}

/** A run that ended before it had a node leaves the stack as the last one that changed it. */
function lastChange(tx: Tx, run: RunRow): Promise<LastNode | undefined> {
  return lastNode(
    tx,
    sql`nr.environment_id = ${run.environment_id} AND nr.action IN ('deploy', 'destroy') AND (nr.status = 'succeeded' OR nr.began_change)`,
  );
}

/** The end as it was recorded; runs that only read leave it alone. */
async function savedExpiry(tx: Tx, run: RunRow): Promise<{ expiresAtMs?: number | null }> {
  if (isReadOnly(run.type)) return {};
  const row = await tx
    .selectFrom('environments')
    .select('expires_at')
    .where('id', '=', run.environment_id)
    .executeTakeFirst();
  return row === undefined ? {} : { expiresAtMs: row.expires_at?.getTime() ?? null };
}

/** The recorded moment, so that whoever counts the hours later comes to the same end. */
async function finishedAt(tx: Tx, run: RunRow): Promise<number> {
  const row = await tx.selectFrom('deployments').select('finished_at').where('id', '=', run.id).executeTakeFirst();
  return row?.finished_at?.getTime() ?? Date.now();
}

/** undefined leaves the expiry as it is. */
async function expiry(
  tx: Tx,
  run: RunRow,
  status: DeploymentStatus,
  environment: EnvironmentStatus,
): Promise<number | null | undefined> {
  if (!mayHaveResources(environment)) return null;
  if (run.type === 'destroy')
    return run.trigger === 'ttl' && status !== 'succeeded' ? postponeExpiry(tx, run.environment_id) : undefined;
  // What may be there lives from its first deploy on, even if that failed; later ones begin the hours anew when they succeed.
  const begins = (await savedExpiry(tx, run)).expiresAtMs === null;
  if (!begins && (status !== 'succeeded' || !restartsTtl(run))) return undefined;
  const scope = await scopeTtlSettings(tx, run.project_id);
  const { ttl } = run.settings;
  if (ttl === undefined && scope.defaultTtl === undefined && scope.maximumTtlHours === undefined) return undefined;
  return expiryAfterDeploy(ttl, await finishedAt(tx, run), scope);
}
