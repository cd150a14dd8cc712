import { retryDecision } from '../definition/index.ts';
import type { ErrorClass, NodeOutcome, RunError } from '../model/index.ts';
import { isReadOnly, messageOf, WindlassError } from '../model/index.ts';
import { ToolError } from '../tools/index.ts';
import type { ApplyResult, HeldLock } from '../tools/index.ts';
import { endCall } from './call.ts';
import type { FailingCall, NodeCall } from './call.ts';
import { historyMessage } from './history.ts';
import { maskedPlan } from './plan.ts';

/** Writes the ending, with the outputs and the snapshot that a later rollback or destroy needs. */
export async function succeed(call: NodeCall, result: ApplyResult): Promise<NodeOutcome> {
  const { begin, records, values, input, masker } = call;
  await call.flow?.ended('success');
  const { changedOutputs } = await records.succeed({
    outputs: result.outputs,
    plan: result.plan === null ? null : maskedPlan(masker, result.plan),
    grantId: call.grantId,
    variables: values.variables,
    keepUnverified: begin.state_unverified !== null && call.crash.cutOff === null && input.mode === 'run',
  });
  return { status: 'succeeded', changedOutputs, ran: true };
}

/** Writes down what went wrong, and decides whether it is tried again, waits for a person, or is over. */
export async function fail(call: FailingCall, thrown: unknown): Promise<NodeOutcome> {
  const { deps, input, key, begin, masker } = call;
  const { error, held, ...seen } = describe(thrown);
  // An earlier call of this node was cut off in a change, so the state is no longer what the last success left.
  const changedState = seen.changedState || (call.crash?.cutOff ?? null) !== null;
  const masked: RunError = {
    ...error,
    message: masker.mask(error.message),
    hint: error.hint === undefined ? undefined : masker.mask(error.hint),
    where: error.where === undefined ? undefined : masker.mask(error.where),
    problems: error.problems?.map((problem) => ({ ...problem, message: masker.mask(problem.message) })),
  };
  const message = historyMessage(masked.class);
  if (error.class === 'internal')
    deps.log.error(
      { err: thrown, node: begin.alias, deployment: key.deploymentId },
      'a node failed for a reason of our own',
    );
  const environment = {
    ...(changedState ? { status: 'failed' as const, inputHash: null } : {}),
    ...(held === null
      ? {}
      : {
          stateUnverified: {
            since: new Date().toISOString(),
            deploymentId: key.deploymentId,
            reason: `the tool was killed, and ${held.reason}`,
            lockId: held.lockId,
          },
        }),
  };
  if (masked.class === 'cancelled') {
    const status = call.signal.reason === 'cancel' ? 'cancelled' : 'aborted';
    await endCall(call, { status, error: masked, environment });
    return { status, message: masked.message, changedState };
  }
  // A run that only reads is asked for again; nobody should have to end it first.
  if (
    thrown instanceof ToolError &&
    masked.class === 'credentials' &&
    !isReadOnly(input.action) &&
    input.compensation !== true
  ) {
    const hint = `Renew the credentials it runs with, then: windlass retry "${begin.parent_id === null ? begin.entity_name : `${begin.entity_name}/${begin.alias}`}"`;
    await endCall(call, { status: 'paused', error: { ...masked, hint }, environment });
    return { status: 'paused', message };
  }
  // What may exist without being in a state would be made a second time.
  const retry = held === null ? await nextTry(call, masked) : null;
  if (retry !== null) {
    const { account, ...next } = retry;
    await endCall(call, { status: 'retrying', error: masked, environment, wait: { afterMs: next.afterMs, account } });
    return { status: 'retry', message, ...next };
  }
  await call.flow?.ended('failure');
  // A check that could not be made is no answer; it is written down as what it is.
  if (input.action === 'drift')
    await call.records.foundDrift({ status: 'error', resources: [], message: masked.message });
  await endCall(call, { status: 'failed', error: masked, environment });
  return { status: 'failed', class: masked.class, message, changedState };
}

interface NextTry {
  readonly afterMs: number;
  readonly uncounted?: true;
  /** The account that has asked for slower calls. */
  readonly account: string | null;
}

/** When the node is tried again by itself: as its rule says, and not before its account takes calls again. */
async function nextTry(call: FailingCall, error: RunError): Promise<NextTry | null> {
  const { records, begin, input } = call;
  const rule = (input.action === 'destroy' ? begin.snapshot?.retryOnDestroy : begin.snapshot?.retry) ?? null;
  const decision = retryDecision(rule, { class: error.class, message: error.message, try: input.try });
  const pace = await records.backOff(error);
  const account = pace?.account ?? null;
  if (decision.retry) return { afterMs: Math.max(decision.afterMs, pace?.afterMs ?? 0), account };
  const ruled = rule !== null && rule.maximum > 0;
  return pace === null || pace.tooOften || ruled ? null : { afterMs: pace.afterMs, uncounted: true, account };
}

function describe(thrown: unknown): { error: RunError; changedState: boolean; held: HeldLock | null } {
  if (thrown instanceof ToolError) {
    return { error: thrown.error, changedState: thrown.changedState, held: thrown.held };
  }
  if (thrown instanceof WindlassError) {
    return {
      error: { class: thrown.class, message: thrown.message, hint: thrown.hint, problems: thrown.problems },
      changedState: false,
      held: null,
    };
  }
  const error: { class: ErrorClass; message: string; hint: string } = {
    class: 'internal',
    message: `Windlass itself failed: ${messageOf(thrown)}`,
    hint: 'look into the log of the worker, then resume the run',
  };
  return { error, changedState: false, held: null };
}
