import type { Masker } from '../masking/index.ts';
import type { Plan } from '../model/index.ts';
import type { ApplyResult, PlanResult } from '../tools/index.ts';
import type { NodeCall } from './call.ts';

/** Does exactly what was planned; a tool whose plans cannot be kept does what it would do now. */
export function applyPlan(
  { runner, run, input }: NodeCall,
  { artifact }: Pick<PlanResult, 'artifact'>,
): Promise<ApplyResult> {
  if (artifact !== null) return runner.apply(run, artifact);
  return input.action === 'destroy' ? runner.destroy(run) : runner.deploy(run);
}

/** Keeps what people and programs may read of a plan, with its secrets masked. */
export async function keepReadablePlan(call: NodeCall, { text, json }: PlanResult): Promise<void> {
  const { records, masker } = call;
  await records.keep('planText', Buffer.from(masker.mask(text)));
  if (json !== null && json !== undefined)
    await records.keep('planJson', Buffer.from(JSON.stringify(masker.maskValue(json))));
}

/** A plan without values that its tool could not know to be secret. */
export function maskedPlan(masker: Masker, plan: Plan): Plan {
  const resources = plan.resources.map(({ before, after, planned, ...rest }) => ({
    ...rest,
    ...(before === undefined ? {} : { before: masker.maskValue(before) }),
    ...(after === undefined ? {} : { after: masker.maskValue(after) }),
    ...(planned === undefined ? {} : { planned: masker.maskValue(planned) }),
  }));
  return { ...plan, resources };
}
