import { approvalInRequest, approvalNeeded, approvalSettingsWithin, waiverRefusal } from '../definition/index.ts';
import type { NodeOutcome } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { PlanResult } from '../tools/index.ts';
import { endCall } from './call.ts';
import type { NodeCall } from './call.ts';
import { succeed } from './ending.ts';
import { applyPlan, keepReadablePlan, maskedPlan } from './plan.ts';

const requestOf = ({ begin }: NodeCall): boolean | undefined =>
  approvalInRequest(begin.request, { alias: begin.alias, within: begin.snapshot?.within });

/** Why a person has to see this node's plan; null when nobody has to. The snapshot holds what was weighed without the flow. */
export function approvalReason(call: NodeCall): string | null {
  const { snapshot, input, flow, begin } = call;
  if (input.compensation === true) return null;
  const asked = approvalNeeded({ customFlow: flow?.asksApproval, request: requestOf(call) });
  if (asked.needed) return asked.because;
  if (snapshot.requiresApproval !== true) return null;
  const settings = approvalSettingsWithin(begin.environment_settings, begin.groups, begin.entity_settings);
  const waived = requestOf(call) === false ? waiverRefusal(begin.may_waive_approval, settings) : null;
  return `this sub-environment requires approval${waived === null ? '' : `; the request cannot waive it: ${waived}`}`;
}

/** Keeps the plan, asks for a decision, and answers that the node waits; or goes on when given bounds cover the plan. */
export async function requestApproval(call: NodeCall, planned: PlanResult, asked: string): Promise<NodeOutcome> {
  const { records, masker, run, flow } = call;
  const plan = maskedPlan(masker, planned.plan);
  const { answer, remark } = await records.bounds({ plan, flowAsks: flow?.asksApproval === true });
  if (remark !== null) run.log(`${remark}\n`);
  if (answer !== null) run.log(`${answer.inside ? 'Inside' : 'Outside'} the approved bounds: ${answer.because}.\n`);
  if (answer?.inside === true) return succeed(call, await applyPlan(call, planned));
  const because = answer === null ? asked : `${asked}; outside the approved bounds: ${answer.because}`;
  const planArtifact = planned.artifact === null ? null : await records.keep('plan', planned.artifact);
  if (flow !== null) await records.keep('flowVariables', flow.exported());
  await keepReadablePlan(call, planned);
  const question = await records.ask({ because, plan, planArtifact });
  await endCall(call, { status: 'waitingForApproval', plan });
  return { status: 'waitingForApproval', ...question };
}

/** The very plan that was approved, and what the custom flow had exported when it was made. */
export async function takeApprovedPlan({ records, begin, flow }: NodeCall): Promise<Pick<PlanResult, 'artifact'>> {
  const approved = await records.approved();
  if (approved === null) {
    throw new WindlassError('internal', `the approved plan of "${begin.alias}" is not there any more`, {
      class: 'stalePlan',
      hint: 'retry the node: it is planned again',
    });
  }
  if (flow !== null && approved.exported !== null) flow.adopt(approved.exported);
  return { artifact: approved.plan };
}
