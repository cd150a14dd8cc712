/** What is done to a stack, once its call is open. */
import type { NodeOutcome } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { ToolError } from '../tools/index.ts';
import type { Drift, PlanResult } from '../tools/index.ts';
import { approvalReason, requestApproval, takeApprovedPlan } from './approval.ts';
import { endCall, takesDown } from './call.ts';
import type { NodeCall } from './call.ts';
import { succeed } from './ending.ts';
import { applyPlan, keepReadablePlan, maskedPlan } from './plan.ts';
import { recoverNode } from './recovery.ts';

/** Does to a stack what the run is for. */
export async function performStack(call: NodeCall): Promise<NodeOutcome> {
  const { input, begin, run, runner } = call;
  const recovered = await recoverNode(call);
  if (recovered.kind === 'over') return recovered.outcome;
  if (recovered.kind === 'finished') return succeed(call, recovered.result);
  if (input.mode === 'settle') {
    const message = 'the run was stopped, and the tool of this node is over';
    throw new ToolError({ class: 'cancelled', message }, recovered.kind === 'interrupted');
  }
  if (input.mode === 'apply' && recovered.kind === 'clean') return applyApproved(call);
  await runner.prepare(run);
  switch (input.action) {
    case 'plan':
      return planOnly(call);
    case 'drift':
      return recordDrift(call, await runner.detectDrift(run));
    case 'deploy':
    case 'destroy': {
      const mayWait = call.snapshot.requiresApproval === true && input.compensation !== true;
      if (!mayWait && call.flow?.plansFirst !== true) {
        return succeed(call, input.action === 'deploy' ? await runner.deploy(run) : await runner.destroy(run));
      }
      const planned = await planFor(call);
      const asked = approvalReason(call);
      const because =
        asked !== null && input.mode === 'apply'
          ? 'the apply of the approved plan was cut off, so it was planned again'
          : asked;
      const idle = input.action === 'deploy' && !planned.plan.hasChanges;
      return because === null || idle
        ? succeed(call, await applyPlan(call, planned))
        : requestApproval(call, planned, because);
    }
    case 'keep':
      throw new WindlassError('internal', `"${begin.alias}" is kept and must not run`);
  }
}

/** Applies the very plan that was approved; one that the state has moved past is made anew and asked about again. */
async function applyApproved(call: NodeCall): Promise<NodeOutcome> {
  const { input, run, runner } = call;
  const approved = await takeApprovedPlan(call);
  await runner.prepare(run);
  try {
    return await succeed(call, await applyPlan(call, approved));
  } catch (error) {
    if (!(error instanceof ToolError) || error.class !== 'stalePlan') throw error;
    const planned = await planFor(call);
    if (input.action === 'deploy' && !planned.plan.hasChanges) return succeed(call, await applyPlan(call, planned));
    return requestApproval(call, planned, 'the state changed after the plan was approved, so it was planned again');
  }
}

function planFor(call: NodeCall): Promise<PlanResult> {
  return call.input.action === 'destroy' ? call.runner.planDestroy(call.run) : call.runner.plan(call.run);
}

async function planOnly(call: NodeCall): Promise<NodeOutcome> {
  const { values, run } = call;
  if (values.unknown.length > 0) {
    run.log(`cannot be known before a deploy:\n${values.unknown.map((line) => `  ${line}\n`).join('')}`);
    await endCall(call, {
      status: 'skipped',
      reason: { kind: 'notSelected', message: `cannot be known yet: ${values.unknown.join('; ')}` },
    });
    return { status: 'succeeded', changedOutputs: false, ran: false };
  }
  const result = takesDown(call.begin) ? await call.runner.planDestroy(run) : await call.runner.plan(run);
  await keepReadablePlan(call, result);
  await endCall(call, { status: 'succeeded', plan: maskedPlan(call.masker, result.plan) });
  return { status: 'succeeded', changedOutputs: false, ran: true };
}

/** Writes down what a check found; the environment's drift status follows. */
async function recordDrift(call: NodeCall, drift: Drift): Promise<NodeOutcome> {
  const plan = maskedPlan(call.masker, drift.plan.plan);
  const status = drift.drifted ? 'drifted' : 'ok';
  await call.records.foundDrift({ status, resources: plan.resources, message: null });
  await endCall(call, { status: 'succeeded', plan });
  return { status: 'succeeded', changedOutputs: false, ran: true };
}
