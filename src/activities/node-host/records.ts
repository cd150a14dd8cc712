/** The records of one node in the database of this process. */
import { approvalInRequest, insideBounds, insideEnvelope, waiverRefusal } from '../../definition/index.ts';
import type { NodeBegin, NodeKey, NodeSnapshot } from '../../model/index.ts';
import { WindlassError } from '../../model/index.ts';
import type { BoundsVerdict, NodeRecords, NodeValues, Opening, WorkerSigns } from '../../node/index.ts';
import {
  announceProgress,
  appendLog,
  createApproval,
  endNode,
  enterStage,
  findWorker,
  identityOf,
  isGrantOf,
  lastApproval,
  listGivenBounds,
  markUnverified,
  recordDriftResult,
  replaceOutputs,
  stopOfRun,
} from '../../store/index.ts';
import type { ActivityDeps } from '../deps.ts';
import { approvalTerms, settingsOf } from './approval-terms.ts';
import { backOff, isThrottle, paceLeftMs, pacerOf } from './pacing.ts';
import { isUnchanged, unchangedHash } from './unchanged.ts';
import { resolveNodeValues, sealResolved } from './values.ts';
import { toolOfType } from '../../tools/catalogue.ts';

/** What the records of nodes are kept with. */
export type HostDeps = Pick<ActivityDeps, 'db' | 'secrets' | 'artifacts' | 'state' | 'stateUrl' | 'log'>;

/** A node that has begun, and what its records are kept with. */
interface BegunRecords {
  readonly deps: HostDeps;
  readonly key: NodeKey;
  readonly begin: NodeBegin;
  /** Resolved at the first call. */
  readonly values: () => Promise<NodeValues>;
}

/** The records of a node that has begun. */
export function openRecords(deps: HostDeps, key: NodeKey, begin: NodeBegin): NodeRecords {
  const db = deps.db.sql;
  let resolved: Promise<NodeValues> | null = null;
  const values = (): Promise<NodeValues> => (resolved ??= resolveNodeValues(deps, begin, snapshotOf(begin)));
  const node: BegunRecords = { deps, key, begin, values };
  const { alias, entity_id: entityId, environment_id: environmentId } = begin;

  return {
    open: (question) => openNode(node, question),
    enter: (stage, journal) => enterStage(db, key, stage, journal),
    progress: (text, keep) => announceProgress(db, key, { alias, entityId }, { text, keep }),
    appendLog: (attempt, chunks) => appendLog(db, { ...key, try: attempt }, chunks),
    stopReason: () => stopReason(node),
    keep: (kind, body) => deps.artifacts.put({ deploymentId: key.deploymentId, index: key.index, kind, body }),
    approved: () => approvedArtifacts(node),
    bounds: (question) => boundsVerdict(node, question),
    ask: (question) => askApproval(node, question),
    end: (ending) => endNode(db, key, ending),
    succeed: (success) => recordSuccess(node, success),
    foundDrift: (drift) =>
      recordDriftResult(db, { ...drift, environmentId, entityId, alias, deploymentId: key.deploymentId }),
    backOff: (error) => backOffAccount(node, error),
    workerSigns: (workerId) => readWorkerSigns(node, workerId),
    markUnverified: (mark) => markUnverified(db, key, mark),
    freeLock: (grantId, because) => freeLock(node, grantId, because),
  };
}

async function openNode(
  { deps, key, begin, values }: BegunRecords,
  { mode }: Parameters<NodeRecords['open']>[0],
): Promise<Opening> {
  const snapshot = snapshotOf(begin);
  const found = await values();
  if (begin.action === 'deploy' && (await isUnchanged(deps, begin, snapshot, unchangedHash(snapshot, found))))
    return { kind: 'unchanged' };
  // What a crash has left open is looked at first, and an approved plan does not wait until it is out of date.
  const { key: pace, account } = pacerOf(begin.project_id, snapshot, found);
  const afterMs = begin.journal?.open === true || mode === 'apply' ? 0 : await paceLeftMs(deps.db, pace);
  if (afterMs > 0) return { kind: 'slower', afterMs, account };
  const readOnly = begin.action === 'drift';
  if (toolOfType(snapshot.type)?.managesState !== true) return { kind: 'ready', values: found, grant: null };
  const grant = await deps.state.grant({ environmentId: begin.environment_id, ...key, readOnly });
  return {
    kind: 'ready',
    values: found,
    grant: { ...grant, address: `${deps.stateUrl}/${begin.environment_id}` },
  };
}

async function stopReason({ deps, key }: BegunRecords): ReturnType<NodeRecords['stopReason']> {
  const stop = await stopOfRun(deps.db.sql, key.deploymentId);
  if (stop === null) return null;
  return stop === 'cancel' ? 'cancel' : 'abort';
}

/** What the last approval of the node was given for. */
async function approvedArtifacts({ deps, key }: BegunRecords): ReturnType<NodeRecords['approved']> {
  const approval = await lastApproval(deps.db.sql, key);
  if (approval === null) return null;
  const { deploymentId, index } = key;
  const exported = await deps.artifacts.find({ deploymentId, index, kind: 'flowVariables' });
  const body = async (id: string): Promise<Uint8Array> => (await deps.artifacts.get(id)).body;
  return {
    plan: approval.artifactId === null ? null : await body(approval.artifactId),
    exported: exported === null ? null : await body(exported.id),
  };
}

async function askApproval(
  { deps, key, begin }: BegunRecords,
  { because, plan, planArtifact }: Parameters<NodeRecords['ask']>[0],
): ReturnType<NodeRecords['ask']> {
  const { required, expiresInMs, reason } = approvalTerms(begin, because);
  const approvalId = await createApproval(deps.db.sql, {
    ...key,
    environmentId: begin.environment_id,
    entityId: begin.entity_id,
    alias: begin.alias,
    required,
    forbidRequester: settingsOf(begin).forbidSelfApproval,
    reason,
    planArtifact,
    plan,
    expiresAt: new Date(Date.now() + expiresInMs),
  });
  return { approvalId, expiresInMs };
}

async function recordSuccess(
  { deps, key, begin }: BegunRecords,
  { outputs, plan, grantId, variables, keepUnverified }: Parameters<NodeRecords['succeed']>[0],
): ReturnType<NodeRecords['succeed']> {
  const db = deps.db.sql;
  const { environment_id } = begin;
  const destroyed = begin.action === 'destroy';
  const changedOutputs = await replaceOutputs(db, deps.secrets, environment_id, destroyed ? [] : outputs);
  const snapshot = { ...snapshotOf(begin), resolved: sealResolved(deps, environment_id, variables) };
  await endNode(db, key, {
    status: 'succeeded',
    plan,
    changedOutputs,
    ...(grantId === null ? {} : { grantId }),
    environment: destroyed
      ? { status: 'inactive', inputHash: null, ...(keepUnverified ? {} : { stateUnverified: null }) }
      : {
          status: 'active',
          snapshot,
          inputHash: await currentHash(deps, begin, { variables, unknown: [] }),
          stateUnverified: null,
        },
  });
  return { changedOutputs };
}

async function backOffAccount(
  { deps, begin, values }: BegunRecords,
  error: Parameters<NodeRecords['backOff']>[0],
): ReturnType<NodeRecords['backOff']> {
  if (!isThrottle(error)) return null;
  const { key: pace, account } = pacerOf(begin.project_id, snapshotOf(begin), await values());
  return { ...(await backOff(deps.db, pace)), account };
}

async function readWorkerSigns({ deps }: BegunRecords, workerId: string): Promise<WorkerSigns | null> {
  const worker = await findWorker(deps.db.sql, workerId);
  if (worker === null) return null;
  const { stoppedAt, seenAt, silentMs } = worker;
  return { stopped: stoppedAt !== null, seenAt: seenAt.toISOString(), silentMs };
}

async function freeLock({ deps, begin }: BegunRecords, grantId: string, because: string): Promise<string | null> {
  const environmentId = begin.environment_id;
  // A worker of somebody else names no grant but one of this very state.
  if (!(await isGrantOf(deps.db.sql, grantId, environmentId))) return null;
  await deps.state.fenceGrant(grantId);
  const lock = await deps.state.lockOf(environmentId);
  if (lock === null || lock.grantId !== grantId) return null;
  const { lockId } = lock;
  return (await deps.state.releaseLock({ environmentId, lockId, because })) ? lockId : null;
}

function snapshotOf({ snapshot, alias }: NodeBegin): NodeSnapshot {
  if (snapshot !== null) return snapshot;
  throw new WindlassError('internal', `"${alias}" has no snapshot to run`, { class: 'internal' });
}

/** Only nodes that may be left alone later pay for finding out what they ran with. */
async function currentHash(deps: HostDeps, begin: NodeBegin, values: NodeValues): Promise<string | null> {
  const snapshot = snapshotOf(begin);
  if (snapshot.redeploy !== 'onInputChange') return null;
  const state = await deps.state.latest(begin.environment_id);
  return `${unchangedHash(snapshot, values)}:${state?.serial ?? '-'}`;
}

/** What the bounds that were given for the run say of this plan. */
async function boundsVerdict(
  { deps, key, begin }: BegunRecords,
  { plan, flowAsks }: Parameters<NodeRecords['bounds']>[0],
): Promise<BoundsVerdict> {
  const settings = settingsOf(begin);
  const requester = identityOf(begin.requested_by);
  const { request } = begin;
  const own = request.envelope;
  const asks = approvalInRequest(request, { alias: begin.alias, within: begin.snapshot?.within });
  const others = [
    flowAsks,
    begin.snapshot?.approvalInFile,
    begin.deployed_snapshot?.approvalInFile,
    settings.requiresApproval,
  ];
  // Whoever asks where nobody else does may say for how much.
  if (own !== undefined && asks === true && !others.includes(true))
    return { answer: insideEnvelope(plan, own), remark: null };
  const refused = waiverRefusal(begin.may_waive_approval, settings);
  const remark = own !== undefined && refused !== null ? `The bounds of the request do not count: ${refused}.` : null;
  const given = [
    ...(own === undefined || refused !== null ? [] : [{ by: requester, envelope: own }]),
    ...(await listGivenBounds(deps.db.sql, key.deploymentId)),
  ];
  if (given.length === 0) return { answer: null, remark };
  const barred = settings.forbidSelfApproval ? requester : null;
  return { answer: insideBounds(plan, given, { required: settings.requiredApprovals, barred }), remark };
}
