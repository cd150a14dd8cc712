import type { NodeOutcome } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { insideEnvelope } from '../definition/index.ts';
import type { PlanResult } from '../runners/index.ts';
import { approvedPlan, createApproval, endNode, findEnvelope } from '../store/index.ts';
import type { NodeCall } from './node-call.ts';
import { succeed } from './node-ending.ts';

/** Keeps the plan, asks for a decision, and answers that the node waits; or goes on when an envelope covers the plan. */
export async function requestApproval(call: NodeCall, planned: PlanResult, because: string): Promise<NodeOutcome> {
  const { deps, key, begin, masker, runner, run } = call;
  const envelope = begin.request.envelope ?? (await findEnvelope(deps.db.sql, key.deploymentId));
  if (envelope !== null && envelope !== undefined) {
    const verdict = insideEnvelope(planned.plan, envelope);
    run.log(verdict.inside ? `Inside the approved bounds: ${verdict.because}.\n` : `Outside the approved bounds: ${verdict.because}.\n`);
    if (verdict.inside && planned.artifact !== null) return succeed(call, await runner.apply(run, planned.artifact));
    if (!verdict.inside) because = `outside the approved bounds: ${verdict.because}`;
  }
  const put = (kind: 'plan' | 'planText' | 'planJson', body: Uint8Array): Promise<string> =>
    deps.artifacts.put({ deploymentId: key.deploymentId, index: key.index, kind, body });
  const artifact = planned.artifact === null ? null : await put('plan', planned.artifact);
  await put('planText', Buffer.from(masker.mask(planned.text)));
  const settings = begin.environment_settings;
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
    plan: planned.plan,
    expiresAt,
  });
  await endNode(deps.db.sql, key, { status: 'waitingForApproval', plan: planned.plan });
  return { status: 'waitingForApproval', approvalId, expiresInMs: Math.max(1000, expiresAt.getTime() - Date.now()) };
}

/** The very plan that was approved. */
export async function takeApprovedPlan(call: NodeCall): Promise<Uint8Array> {
  const { deps, begin, key } = call;
  const artifactId = await approvedPlan(deps.db.sql, key);
  if (artifactId === null) {
    throw new WindlassError('internal', `the approved plan of "${begin.alias}" is not there any more`, { class: 'stalePlan', hint: 'retry the node: it is planned again' });
  }
  return (await deps.artifacts.get(artifactId)).body;
}
