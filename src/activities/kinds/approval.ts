/** A decision between nodes: it needs no tool, and has nothing but its records. */
import { approvalSettings, waiverRefusal } from '../../definition/index.ts';
import type { NodeOutcome, Plan } from '../../model/index.ts';
import { WindlassError } from '../../model/index.ts';
import { createApproval, endNode } from '../../store/index.ts';
import type { BegunNode, PerformNode } from './kind.ts';

const nothingChanges: Plan = {
  counts: { add: 0, change: 0, destroy: 0 },
  hasChanges: false,
  resources: [],
  state: null,
};

/** Asks in a deploy, and goes on once it was approved; there is nothing to plan, to check or to destroy. */
export const performApproval: PerformNode = async (node) => {
  const { deps, input, key, begin } = node;
  switch (input.action) {
    case 'deploy':
      return input.mode === 'apply' || isWaived(node) ? pass(node) : ask(node);
    case 'destroy':
      await endNode(deps.db.sql, key, { status: 'succeeded', environment: { status: 'inactive', inputHash: null } });
      return { status: 'succeeded', changedOutputs: false, ran: true };
    case 'plan':
      await endNode(deps.db.sql, key, {
        status: 'skipped',
        reason: { kind: 'notSelected', message: 'a deploy asks for a decision here' },
      });
      return { status: 'succeeded', changedOutputs: false, ran: false };
    case 'drift':
      await endNode(deps.db.sql, key, { status: 'succeeded', ran: false });
      return { status: 'succeeded', changedOutputs: false, ran: false };
    case 'keep':
      throw new WindlassError('internal', `"${begin.alias}" is kept and must not run`);
  }
};

const settingsOf = ({ begin }: BegunNode) => approvalSettings(begin.environment_settings, begin.entity_settings);

/** The request asks for no decisions, and may decide in advance. */
function isWaived(node: BegunNode): boolean {
  const { request, alias, may_waive_approval } = node.begin;
  const asked = request.nodeApprovals?.[alias] ?? request.requiresApproval;
  return asked === false && waiverRefusal(may_waive_approval, settingsOf(node)) === null;
}

async function pass({ deps, key, snapshot }: BegunNode): Promise<NodeOutcome> {
  await endNode(deps.db.sql, key, {
    status: 'succeeded',
    changedOutputs: true,
    environment: { status: 'active', snapshot, inputHash: null },
  });
  // What needs it and runs only on changes has a reason to run: somebody has just let it.
  return { status: 'succeeded', changedOutputs: true, ran: true };
}

async function ask(node: BegunNode): Promise<NodeOutcome> {
  const { deps, key, begin, snapshot } = node;
  const { message, required, expiresSeconds } = snapshot.config.approval ?? {};
  const settings = settingsOf(node);
  const expiresInMs = (expiresSeconds ?? settings.approvalExpirySeconds) * 1000;
  const approvalId = await createApproval(deps.db.sql, {
    ...key,
    environmentId: begin.environment_id,
    entityId: begin.entity_id,
    alias: begin.alias,
    required: Math.max(required ?? 1, settings.requiredApprovals),
    forbidRequester: settings.forbidSelfApproval,
    reason: message ?? 'the workflow file asks for a decision here',
    planArtifact: null,
    plan: nothingChanges,
    expiresAt: new Date(Date.now() + expiresInMs),
  });
  await endNode(deps.db.sql, key, { status: 'waitingForApproval' });
  return { status: 'waitingForApproval', approvalId, expiresInMs };
}
