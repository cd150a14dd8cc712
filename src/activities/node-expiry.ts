/** The ends of single nodes. A workflow only says that it is time to look: what is due is read here, from the records. */
import {
  currentNotice,
  destroyRetryMs,
  heldByDependents,
  nodeExpiryAfterRun,
  nodeExpirySteps,
  nodeTtl,
  restartsTtl,
} from '../definition/index.ts';
import type { ExpiryNotice, NodeExpirySteps, SelectableNode } from '../definition/index.ts';
import type { DeploymentStatus, EnvironmentActivities, NodeExpiryAnswer, QueuedRun } from '../model/index.ts';
import { isTerminalDeployment, mayHaveResources, systemActor, WindlassError } from '../model/index.ts';
import type { Caller } from '../node/index.ts';
import {
  getEnvironment,
  listChangedNodes,
  listNodeDestroys,
  listNodeExpiries,
  loadKnown,
  moveNodeExpiries,
  postponeNodeExpiry,
  readRunEnd,
  recordEvent,
  saveExpiryNotice,
  scopeTtlSettings,
} from '../store/index.ts';
import type { Db, NodeExpiry, RunRow } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { aliasOf, mayExist, selectableFromRecords } from './resolution.ts';

/** The environment whose nodes are looked at, and when. */
interface ExpiryRound {
  readonly rootId: string;
  readonly rootName: string;
  readonly nowMs: number;
}

/** See EnvironmentActivities.attendNodeExpiry. */
export async function processNodeExpiry(
  deps: ActivityDeps,
  { environmentId }: Parameters<EnvironmentActivities['attendNodeExpiry']>[0],
  { nowMs }: Caller,
): Promise<NodeExpiryAnswer> {
  const nodes = await listNodeExpiries(deps.db.sql, environmentId);
  const destroys = await listNodeDestroys(deps.db.sql, environmentId);
  const due = new Set(nodes.filter((node) => node.expiresAtMs <= nowMs).map((node) => node.alias));
  const queued = destroys.filter((run) => run.queued);
  const withdrawn = queued.filter((run) => !due.has(run.alias)).map((run) => run.id);
  if (nodes.length === 0) return { runs: [], withdrawn, nextMs: null };

  const scheduled = new Set(destroys.map((run) => run.alias));
  const steps = nodeExpirySteps(
    nodes.map((node) => ({ ...node, scheduled: scheduled.has(node.alias) })),
    due.size === 0 ? [] : await deployedGraph(deps.db.sql, environmentId),
    nowMs,
  );
  const { name: rootName } = await getEnvironment(deps.db.sql, environmentId);
  const round: ExpiryRound = { rootId: environmentId, rootName, nowMs };
  const byAlias = new Map(nodes.map((node) => [node.alias, node]));
  await recordWarnings(deps, round, steps, byAlias);
  await recordHeldWarnings(deps, round, steps, byAlias);
  const runs: QueuedRun[] = [];
  // Perhaps the call that has made them was lost with its worker.
  for (const run of queued) if (due.has(run.alias)) runs.push(await deps.operations.findQueuedRun(run.id));
  for (const alias of steps.destroy) {
    const node = byAlias.get(alias);
    const run = node && (await requestNodeDestroy(deps, round, node));
    if (run) runs.push(run);
  }
  return { runs, withdrawn, nextMs: steps.nextMs };
}

/** The graph as a destroy of one node sees it: a dependent that got stuck half-way stands, too. */
async function deployedGraph(db: Db, rootId: string): Promise<SelectableNode[]> {
  const known = await loadKnown(db, rootId, true);
  const standing = new Set(known.filter(mayExist).map(aliasOf));
  return selectableFromRecords(known).map((node) => ({ ...node, live: standing.has(node.alias) }));
}

async function recordWarnings(
  deps: ActivityDeps,
  { rootId }: ExpiryRound,
  steps: NodeExpirySteps,
  byAlias: ReadonlyMap<string, NodeExpiry>,
): Promise<void> {
  for (const { alias, remainingMs, notice } of steps.warn) {
    const node = byAlias.get(alias);
    if (node === undefined) continue;
    await deps.db.transaction(async (tx) => {
      await saveExpiryNotice(tx, node.environmentId, notice);
      await recordEvent(tx, {
        type: 'ttl.warning',
        environmentId: rootId,
        deploymentId: null,
        alias,
        data: {
          expiresAt: new Date(node.expiresAtMs).toISOString(),
          remainingSeconds: Math.round(remainingMs / 1000),
        },
      });
    });
  }
}

async function recordHeldWarnings(
  deps: ActivityDeps,
  round: ExpiryRound,
  steps: NodeExpirySteps,
  byAlias: ReadonlyMap<string, NodeExpiry>,
): Promise<void> {
  for (const { alias, by } of steps.held) {
    const node = byAlias.get(alias);
    if (node !== undefined)
      await recordHeldWarning(
        deps,
        round,
        node,
        heldByDependents(round.rootName, { alias, by, expiresAtMs: node.expiresAtMs }),
      );
  }
}

/** Says once why an end that is due does not come. */
async function recordHeldWarning(
  deps: ActivityDeps,
  { rootId, nowMs }: ExpiryRound,
  node: NodeExpiry,
  message: string,
): Promise<void> {
  const notice: ExpiryNotice = currentNotice(node, nowMs);
  if (notice.held === message) return;
  await deps.db.transaction(async (tx) => {
    await saveExpiryNotice(tx, node.environmentId, { ...notice, held: message });
    await recordEvent(tx, {
      type: 'environment.warning',
      environmentId: rootId,
      deploymentId: null,
      alias: node.alias,
      data: { message },
    });
  });
}

/** The destroy of a node that is due; null when it cannot be had now. */
async function requestNodeDestroy(deps: ActivityDeps, round: ExpiryRound, node: NodeExpiry): Promise<QueuedRun | null> {
  const { environmentId, alias, expiresAtMs } = node;
  const endedAt = new Date(expiresAtMs).toISOString();
  try {
    const { deployment, queued } = await deps.operations.prepareDeployment({
      actor: systemActor,
      environment: environmentId,
      request: { type: 'destroy', comment: `time to live ended at ${endedAt}` },
      trigger: 'ttl',
      idempotencyKey: `ttl:${environmentId}:${expiresAtMs}`,
    });
    if (!isTerminalDeployment(deployment.status)) return queued;
    // It was asked for before and has ended since, unheard of here.
    await postponeNode(deps.db.sql, { rootId: round.rootId, alias }, expiresAtMs);
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    if (error.code === 'notFound') return null;
    const message = `"${alias}" expired at ${endedAt}, and is destroyed as soon as that is allowed: ${error.message}`;
    await recordHeldWarning(deps, round, node, message);
  }
  return null;
}

/** Puts the end of a node that has passed off by an hour, and leaves one that somebody has moved since. */
export async function postponeNode(
  db: Db,
  node: { readonly rootId: string; readonly alias: string },
  notAfterMs = 0,
): Promise<void> {
  const dueBy = new Date(Math.max(Date.now(), notAfterMs));
  await postponeNodeExpiry(db, node, { dueBy, until: new Date(dueBy.getTime() + destroyRetryMs) });
}

/** Moves the ends of the nodes that a run was to change, in the transaction that records its ending. */
export async function moveEndsOfNodes(tx: Db, run: RunRow, status: DeploymentStatus): Promise<void> {
  const nodes = await listChangedNodes(tx, run.id);
  if (nodes.length === 0) return;
  const limits = await scopeTtlSettings(tx, run.project_id);
  const endedAtMs = (await readRunEnd(tx, run.id))?.getTime() ?? Date.now();
  // What was taken back is as it was before the run.
  const restarts = status !== 'rolledBack' && restartsTtl(run);
  const moves = nodes.flatMap((node) => {
    const before = node.expiresAt?.getTime() ?? null;
    const after = nodeExpiryAfterRun(
      {
        expiresAtMs: before,
        ttl: nodeTtl(node, endedAtMs),
        deployed: node.action === 'deploy' && node.status === 'succeeded' && node.ran,
        exists: mayHaveResources(node.environmentStatus),
      },
      { restarts, endedAtMs },
      limits,
    );
    return after === before ? [] : [{ environmentId: node.environmentId, alias: node.alias, expiresAtMs: after }];
  });
  await moveNodeExpiries(tx, run.environment_id, moves, { deploymentId: run.id });
}
