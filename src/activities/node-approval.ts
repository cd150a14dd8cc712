import type { EnvironmentSettings, NodeOutcome } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { approvalNeeded, insideEnvelope } from '../definition/index.ts';
import type { PlanResult } from '../runners/index.ts';
import { createApproval, findEnvelope, lastApproval } from '../store/index.ts';
import { endCall } from './node-call.ts';
import type { NodeCall } from './node-call.ts';
import { succeed } from './node-ending.ts';
import { applyPlan, keepReadablePlan, maskedPlan } from './node-plan.ts';

/** Why a person has to see this node's plan; null when nobody has to. */
export function approvalReason({ begin, snapshot, input, flow }: NodeCall): string | null {
  if (input.compensation === true) return null;
  const request = begin.request.nodeApprovals?.[begin.alias] ?? begin.request.requiresApproval;
  const asked = approvalNeeded({ customFlow: flow?.asksApproval, request });
  if (asked.needed) return asked.because;
  return snapshot.requiresApproval === true ? 'this sub-environment requires approval' : null;
}

/** Keeps the plan, asks for a decision, and answers that the node waits; or goes on when an envelope covers the plan. */
export async function requestApproval(call: NodeCall, planned: PlanResult, asked: string): Promise<NodeOutcome> {
  let because = asked;
  const { deps, key, begin, masker, run } = call;
  const envelope = begin.request.envelope ?? (await findEnvelope(deps.db.sql, key.deploymentId));
  if (envelope !== null && envelope !== undefined) {
    const verdict = insideEnvelope(planned.plan, envelope);
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
  const settings = stricter(begin.environment_settings, begin.entity_settings);
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

/** What is set for the whole environment holds for each of its nodes; a node may only ask for more. */
function stricter(node: EnvironmentSettings, whole: EnvironmentSettings | null): EnvironmentSettings {
  if (whole === null) return node;
  return {
    ...node,
    requiredApprovals: Math.max(node.requiredApprovals, whole.requiredApprovals),
    forbidSelfApproval: node.forbidSelfApproval || whole.forbidSelfApproval,
    approvalExpirySeconds: Math.min(node.approvalExpirySeconds, whole.approvalExpirySeconds),
  };
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
