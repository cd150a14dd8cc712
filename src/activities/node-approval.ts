import type { NodeOutcome } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { approvalNeeded, approvalSettings, insideBounds, insideEnvelope, waiverRefusal } from '../definition/index.ts';
import type { ApprovalSettings, EnvelopeAnswer } from '../definition/index.ts';
import type { PlanResult } from '../runners/index.ts';
import { createApproval, identityOf, lastApproval, listGivenBounds } from '../store/index.ts';
import { endCall } from './node-call.ts';
import type { NodeCall } from './node-call.ts';
import { succeed } from './node-ending.ts';
import { applyPlan, keepReadablePlan, maskedPlan } from './node-plan.ts';

const settingsOf = ({ begin }: NodeCall): ApprovalSettings =>
  approvalSettings(begin.environment_settings, begin.entity_settings);

const requestOf = ({ begin }: NodeCall): boolean | undefined =>
  begin.request.nodeApprovals?.[begin.alias] ?? begin.request.requiresApproval;

/** Why a person has to see this node's plan; null when nobody has to. The snapshot holds what was weighed without the flow. */
export function approvalReason(call: NodeCall): string | null {
  const { snapshot, input, flow } = call;
  if (input.compensation === true) return null;
  const asked = approvalNeeded({ customFlow: flow?.asksApproval, request: requestOf(call) });
  if (asked.needed) return asked.because;
  if (snapshot.requiresApproval !== true) return null;
  const waived = requestOf(call) === false ? waiverRefusal(call.begin.may_waive_approval, settingsOf(call)) : null;
  return `this sub-environment requires approval${waived === null ? '' : `; the request cannot waive it: ${waived}`}`;
}

/** What the bounds that were given for the run say of this plan; null when nobody gave any. */
async function boundsVerdict(call: NodeCall, { plan }: PlanResult): Promise<EnvelopeAnswer | null> {
  const { deps, key, begin, snapshot, flow } = call;
  const settings = settingsOf(call);
  const requester = identityOf(begin.requested_by);
  const own = begin.request.envelope;
  const { approvalInFile } = snapshot;
  const others = [
    flow?.asksApproval,
    approvalInFile,
    begin.deployed_snapshot?.approvalInFile,
    settings.requiresApproval,
  ];
  // Whoever asks where nobody else does may say for how much.
  if (own !== undefined && requestOf(call) === true && !others.includes(true)) return insideEnvelope(plan, own);
  const refused = waiverRefusal(begin.may_waive_approval, settings);
  if (own !== undefined && refused !== null) call.run.log(`The bounds of the request do not count: ${refused}.\n`);
  const given = [
    ...(own === undefined || refused !== null ? [] : [{ by: requester, envelope: own }]),
    ...(await listGivenBounds(deps.db.sql, key.deploymentId)),
  ];
  if (given.length === 0) return null;
  const barred = settings.forbidSelfApproval ? requester : null;
  return insideBounds(plan, given, { required: settings.requiredApprovals, barred });
}

/** Keeps the plan, asks for a decision, and answers that the node waits; or goes on when given bounds cover the plan. */
export async function requestApproval(call: NodeCall, planned: PlanResult, asked: string): Promise<NodeOutcome> {
  let because = asked;
  const { deps, key, begin, masker, run } = call;
  const verdict = await boundsVerdict(call, planned);
  if (verdict !== null) {
    run.log(
      verdict.inside
        ? `Inside the approved bounds: ${verdict.because}.\n`
        : `Outside the approved bounds: ${verdict.because}.\n`,
    );
    if (verdict.inside) return succeed(call, await applyPlan(call, planned));
    because = `${asked}; outside the approved bounds: ${verdict.because}`;
  }
  const { deploymentId, index } = key;
  const artifact =
    planned.artifact === null
      ? null
      : await deps.artifacts.put({ deploymentId, index, kind: 'plan', body: planned.artifact });
  if (call.flow !== null)
    await deps.artifacts.put({ deploymentId, index, kind: 'flowVariables', body: call.flow.exported() });
  await keepReadablePlan(call, planned);
  const plan = maskedPlan(masker, planned.plan);
  const settings = settingsOf(call);
  const expiresAt = new Date(Date.now() + settings.approvalExpirySeconds * 1000);
  const approvalId = await createApproval(deps.db.sql, {
    ...key,
    environmentId: begin.environment_id,
    entityId: begin.entity_id,
    alias: begin.alias,
    required: settings.requiredApprovals,
    forbidRequester: settings.forbidSelfApproval,
    reason: because,
    planArtifact: artifact,
    plan,
    expiresAt,
  });
  await endCall(call, { status: 'waitingForApproval', plan });
  return { status: 'waitingForApproval', approvalId, expiresInMs: Math.max(1000, expiresAt.getTime() - Date.now()) };
}

/** The very plan that was approved, and what the custom flow had exported when it was made. */
export async function takeApprovedPlan(call: NodeCall): Promise<Pick<PlanResult, 'artifact'>> {
  const { deps, begin, key, flow } = call;
  const approval = await lastApproval(deps.db.sql, key);
  if (approval === null) {
    throw new WindlassError('internal', `the approved plan of "${begin.alias}" is not there any more`, {
      class: 'stalePlan',
      hint: 'retry the node: it is planned again',
    });
  }
  const kept =
    flow === null
      ? null
      : await deps.artifacts.find({ deploymentId: key.deploymentId, index: key.index, kind: 'flowVariables' });
  if (kept !== null) flow?.adopt((await deps.artifacts.get(kept.id)).body);
  return { artifact: approval.artifactId === null ? null : (await deps.artifacts.get(approval.artifactId)).body };
}
