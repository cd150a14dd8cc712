/** A decision between nodes: it needs no tool, and has nothing but its records. */
import { approvalSettings, waiverRefusal } from '../../definition/index.ts';
import type { NodeOutcome, Plan } from '../../model/index.ts';
import { WindlassError } from '../../model/index.ts';
import type { BegunNode, PerformNode } from './kind.ts';

const nothingChanges: Plan = {
  counts: { add: 0, change: 0, destroy: 0 },
  hasChanges: false,
  resources: [],
  state: null,
};

/** Asks in a deploy, and goes on once it was approved; there is nothing to plan, to check or to destroy. */
export const performApproval: PerformNode = async (node) => {
  const { input, begin, records } = node;
  switch (input.action) {
    case 'deploy':
      return input.mode === 'apply' || isWaived(node) ? pass(node) : ask(node);
    case 'destroy':
      await records.end({ status: 'succeeded', environment: { status: 'inactive', inputHash: null } });
      return { status: 'succeeded', changedOutputs: false, ran: true };
    case 'plan':
      await records.end({
        status: 'skipped',
        reason: { kind: 'notSelected', message: 'a deploy asks for a decision here' },
      });
      return { status: 'succeeded', changedOutputs: false, ran: false };
    case 'drift':
      await records.end({ status: 'succeeded', ran: false });
      return { status: 'succeeded', changedOutputs: false, ran: false };
    case 'keep':
      throw new WindlassError('internal', `"${begin.alias}" is kept and must not run`);
  }
};

/** The request asks for no decisions, and may decide in advance. */
function isWaived({ begin }: BegunNode): boolean {
  const { request, alias, may_waive_approval, environment_settings, entity_settings } = begin;
  const asked = request.nodeApprovals?.[alias] ?? request.requiresApproval;
  const settings = approvalSettings(environment_settings, entity_settings);
  return asked === false && waiverRefusal(may_waive_approval, settings) === null;
}

async function pass({ begin, records }: BegunNode): Promise<NodeOutcome> {
  await records.end({
    status: 'succeeded',
    changedOutputs: true,
    environment: { status: 'active', snapshot: begin.snapshot, inputHash: null },
  });
  // What needs it and runs only on changes has a reason to run: somebody has just let it.
  return { status: 'succeeded', changedOutputs: true, ran: true };
}

async function ask({ records }: BegunNode): Promise<NodeOutcome> {
  const because = 'the workflow file asks for a decision here';
  const asked = await records.ask({ because, plan: nothingChanges, planArtifact: null });
  await records.end({ status: 'waitingForApproval' });
  return { status: 'waitingForApproval', ...asked };
}
