import type { NodeOutcome, RunError } from '../model/index.ts';
import type { Drift } from '../runners/index.ts';
import { recordDriftResult } from '../store/index.ts';
import { endCall } from './node-call.ts';
import type { FailingCall, NodeCall } from './node-call.ts';
import { maskedPlan } from './node-plan.ts';

/** Writes down what a check found; the environment's drift status follows. */
export async function recordDrift(call: NodeCall, drift: Drift): Promise<NodeOutcome> {
  const { deps, key, begin, masker } = call;
  const status = drift.drifted ? 'drifted' : 'ok';
  const plan = maskedPlan(masker, drift.plan.plan);
  await recordDriftResult(deps.db.sql, {
    environmentId: begin.environment_id,
    entityId: begin.entity_id,
    alias: begin.alias,
    deploymentId: key.deploymentId,
    status,
    resources: plan.resources,
    message: null,
  });
  await endCall(call, { status: 'succeeded', plan });
  return { status: 'succeeded', changedOutputs: false, ran: true };
}

/** A check that could not be made is no answer; it is written down as what it is. */
export async function recordDriftError({ deps, key, begin }: FailingCall, error: RunError): Promise<void> {
  await recordDriftResult(deps.db.sql, {
    environmentId: begin.environment_id,
    entityId: begin.entity_id,
    alias: begin.alias,
    deploymentId: key.deploymentId,
    status: 'error',
    resources: [],
    message: error.message,
  });
}
