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

/** The records of a node that has begun. */
export function openRecords(deps: HostDeps, key: NodeKey, begin: NodeBegin): NodeRecords {
  const db = deps.db.sql;
  let resolved: Promise<NodeValues> | null = null;
  const values = (): Promise<NodeValues> => (resolved ??= resolveNodeValues(deps, begin, snapshotOf(begin)));

  return {
    async open({ mode }): Promise<Opening> {
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
    },
    enter: (stage, journal) => enterStage(db, key, stage, journal),
    progress: (text, keep) =>
      announceProgress(db, key, { alias: begin.alias, entityId: begin.entity_id }, { text, keep }),
    appendLog: (attempt, chunks) => appendLog(db, { ...key, try: attempt }, chunks),
    async stopReason() {
      const stop = await stopOfRun(db, key.deploymentId);
      if (stop === null) return null;
      return stop === 'cancel' ? 'cancel' : 'abort';
    },
    keep: (kind, body) => deps.artifacts.put({ deploymentId: key.deploymentId, index: key.index, kind, body }),
    async approved() {
      const approval = await lastApproval(db, key);
      if (approval === null) return null;
      const { deploymentId, index } = key;
      const exported = await deps.artifacts.find({ deploymentId, index, kind: 'flowVariables' });
      const body = async (id: string): Promise<Uint8Array> => (await deps.artifacts.get(id)).body;
      return {
        plan: approval.artifactId === null ? null : await body(approval.artifactId),
        exported: exported === null ? null : await body(exported.id),
      };
    },
    bounds: (question) => boundsVerdict(deps, key, begin, question),
    async ask({ because, plan, planArtifact }) {
      const { required, expiresInMs, reason } = approvalTerms(begin, because);
      const approvalId = await createApproval(db, {
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
    },
    end: (ending) => endNode(db, key, ending),
    async succeed({ outputs, plan, grantId, variables, keepUnverified }) {
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
    },
    foundDrift: (drift) =>
      recordDriftResult(db, {
        ...drift,
        environmentId: begin.environment_id,
        entityId: begin.entity_id,
        alias: begin.alias,
        deploymentId: key.deploymentId,
      }),
    async backOff(error) {
      if (!isThrottle(error)) return null;
      const { key: pace, account } = pacerOf(begin.project_id, snapshotOf(begin), await values());
      return { ...(await backOff(deps.db, pace)), account };
    },
    async workerSigns(workerId): Promise<WorkerSigns | null> {
      const worker = await findWorker(db, workerId);
      if (worker === null) return null;
      const { stoppedAt, seenAt, silentMs } = worker;
      return { stopped: stoppedAt !== null, seenAt: seenAt.toISOString(), silentMs };
    },
    markUnverified: (mark) => markUnverified(db, key, mark),
    async freeLock(grantId, because) {
      const environmentId = begin.environment_id;
      // A worker of somebody else names no grant but one of this very state.
      if (!(await isGrantOf(db, grantId, environmentId))) return null;
      await deps.state.fenceGrant(grantId);
      const lock = await deps.state.lockOf(environmentId);
      if (lock === null || lock.grantId !== grantId) return null;
      const { lockId } = lock;
      return (await deps.state.releaseLock({ environmentId, lockId, because })) ? lockId : null;
    },
  };
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
  deps: HostDeps,
  key: NodeKey,
  begin: NodeBegin,
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
