/** Whether a node may begin, by the records: whoever reaches Temporal can call for any node with any input. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HeldReason, NodeBegin, NodeOutcome, RunError, RunNodeInput } from '../../model/index.ts';
import { workflowIds } from '../../model/index.ts';
import { historyMessage, nodeKeyOf } from '../../node/index.ts';
import type { BegunCall, Caller } from '../../node/index.ts';
import { beginNode } from '../../store/index.ts';
import { auditRefusal, refuseCall, requireCaller } from '../refusals.ts';
import { openRecords } from './records.ts';
import type { HostDeps } from './records.ts';

/** What a run writes down about other nodes may come a moment after the call of those that follow them. */
const turnWithinMs = 20_000;
const lookEveryMs = 250;

/** Begins a node, or answers how it has ended or why it does not begin. */
export async function beginVerified(deps: HostDeps, input: RunNodeInput, caller: Caller): Promise<BegunCall> {
  const { deploymentId, alias, action } = input;
  const key = nodeKeyOf(input);
  const refusal = {
    what: `running "${alias}" (${action}, ${input.mode})`,
    targetType: 'deployment',
    targetId: deploymentId,
    said: input,
  } as const;
  await requireCaller(deps, caller, workflowIds.node(deploymentId, alias, key.compensation), refusal);
  const claim = { alias, action, scheduledAtMs: caller.scheduledAtMs };
  for (const deadline = Date.now() + turnWithinMs; ; await delay(lookEveryMs)) {
    const begin = await beginNode(deps.db.sql, key, input.try, input.mode, claim);
    if (begin === null) return refuseCall(deps, caller, { ...refusal, because: 'the run has no such node' });
    if (begin.held === null) {
      if (begin.status === 'waitingForApproval' && input.mode === 'apply' && caller.attempt === 1)
        await auditUndecided(deps, caller, refusal, begin);
      const outcome = endedBefore(begin, input.mode);
      return outcome === null
        ? { status: 'begun', begin, records: openRecords(deps, key, begin) }
        : { status: 'over', outcome };
    }
    if (begin.held === 'notYet' && Date.now() < deadline) continue;
    const because = reasonOf(begin.held);
    if (because !== null) return refuseCall(deps, caller, { ...refusal, because });
    return { status: 'over', outcome: heldOutcome(begin) };
  }
}

async function auditUndecided(
  deps: HostDeps,
  caller: Caller,
  refusal: Parameters<typeof requireCaller>[3],
  begin: NodeBegin,
): Promise<void> {
  if (begin.asked_approval?.status !== 'pending') return;
  await auditRefusal(deps, caller, { ...refusal, because: 'its plan is not approved' });
}

/** Why the call is a stranger's; null when it may be one of ours that came too late. */
function reasonOf(held: HeldReason): string | null {
  switch (held) {
    case 'over':
      return 'the run is over';
    case 'other':
      return 'the run has this node for something else';
    case 'notRollingBack':
      return 'the run is not being rolled back';
    case 'notYet':
      return 'what it needs is not done';
    case 'runPaused':
      return 'the run is paused';
    case 'stopping':
    case 'idle':
    case 'paused':
      return null;
  }
}

function heldOutcome({ held, error, began_change: changedState }: NodeBegin): NodeOutcome {
  // A pause lasts until a person has asked for another try, whatever the node's workflow was told.
  if (held === 'paused')
    return { status: 'paused', message: historyMessage((error as RunError | null)?.class ?? 'internal') };
  return {
    status: held === 'stopping' ? 'cancelled' : 'aborted',
    message: 'stopped before the tool began',
    changedState,
  };
}

/** An earlier call has written its ending, or its question, and nobody has answered that since. */
function endedBefore(begin: NodeBegin, mode: RunNodeInput['mode']): NodeOutcome | null {
  switch (begin.status) {
    case 'waitingForApproval': {
      const { asked_approval: asked } = begin;
      if (asked === null) return null;
      if (asked.status !== 'rejected' || mode !== 'apply')
        return { status: 'waitingForApproval', approvalId: asked.id, expiresInMs: asked.expiresInMs };
      const comment = asked.comment ? `: ${asked.comment}` : '';
      return {
        status: 'cancelled',
        message: `rejected by ${asked.by ?? 'somebody'}${comment}`,
        changedState: begin.began_change,
      };
    }
    case 'succeeded':
      return { status: 'succeeded', changedOutputs: begin.changed_outputs, ran: begin.ran };
    case 'failed': {
      const error = begin.error as RunError | null;
      return {
        status: 'failed',
        class: error?.class ?? 'internal',
        message: historyMessage(error?.class ?? 'internal'),
        changedState: begin.began_change,
      };
    }
    case 'cancelled':
    case 'aborted':
      return { status: begin.status, message: 'stopped', changedState: begin.began_change };
    default:
      return null;
  }
}
