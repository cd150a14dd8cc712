import { inputHash, retryDecision } from '../definition/index.ts';
import type { EffectiveVariable, ErrorClass, NodeOutcome, NodeSnapshot, RunError } from '../model/index.ts';
import { isReadOnly, messageOf, WindlassError } from '../model/index.ts';
import { ToolError } from '../runners/index.ts';
import type { ApplyResult, HeldLock } from '../runners/index.ts';
import { replaceOutputs } from '../store/index.ts';
import { endCall } from './node-call.ts';
import type { FailingCall, NodeCall } from './node-call.ts';
import { historyMessage } from './history.ts';
import { recordDriftError } from './node-drift.ts';
import { sealResolved } from './node-inputs.ts';
import type { NodeValues } from './node-inputs.ts';
import { maskedPlan } from './node-plan.ts';
import { backOff, isThrottle } from './pacing.ts';

/** Keeps the outputs and the snapshot that a later rollback or destroy needs, and writes the ending. */
export async function succeed(call: NodeCall, result: ApplyResult): Promise<NodeOutcome> {
  const { deps, begin, snapshot, values, input, masker } = call;
  await call.flow?.ended('success');
  const destroyed = input.action === 'destroy';
  const changedOutputs = await replaceOutputs(
    deps.db.sql,
    deps.secrets,
    begin.environment_id,
    destroyed ? [] : result.outputs,
  );
  // What an earlier deploy may have made outside the state is still there after a destroy of what the state knows.
  const leftMark = begin.state_unverified !== null && call.crash.cutOff === null && input.mode === 'run';
  const kept: NodeSnapshot = { ...snapshot, resolved: sealResolved(deps, begin.environment_id, values.variables) };
  await endCall(call, {
    status: 'succeeded',
    plan: result.plan === null ? null : maskedPlan(masker, result.plan),
    changedOutputs,
    environment: destroyed
      ? { status: 'inactive', inputHash: null, ...(leftMark ? {} : { stateUnverified: null }) }
      : { status: 'active', snapshot: kept, inputHash: await currentHash(call), stateUnverified: null },
  });
  return { status: 'succeeded', changedOutputs, ran: true };
}

/** Only nodes that may be left alone later pay for finding out what they ran with. */
async function currentHash(call: NodeCall): Promise<string | null> {
  if (call.snapshot.redeploy !== 'onInputChange') return null;
  const state = await call.deps.state.latest(call.begin.environment_id);
  return `${unchangedHash(call.snapshot, call.values)}:${state?.serial ?? '-'}`;
}

/** What a node runs with, as one hash: the same hash and the same state mean nothing to do. */
export function unchangedHash(snapshot: NodeSnapshot, values: NodeValues): string {
  const { type, commit, source, config, workspace } = snapshot;
  const variables = values.variables.map(({ name, kind, value }: EffectiveVariable) => [kind, name, value]);
  return inputHash({ type, commit, path: source.path, config, workspace, variables });
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
  const reads = isReadOnly(input.action);
  if (thrown instanceof ToolError && masked.class === 'credentials' && !reads && input.compensation !== true) {
    const hint = `Renew the credentials it runs with, then: windlass retry "${begin.parent_id === null ? begin.entity_name : `${begin.entity_name}/${begin.alias}`}"`;
    await endCall(call, { status: 'paused', error: { ...masked, hint }, environment });
    return { status: 'paused', message };
  }
  // What may exist without being in a state would be made a second time.
  const retry = held === null ? await nextTry(call, masked) : null;
  if (retry !== null) {
    await endCall(call, { status: 'retrying', error: masked, environment });
    return { status: 'retry', message, ...retry };
  }
  await call.flow?.ended('failure');
  if (input.action === 'drift') await recordDriftError(call, masked);
  await endCall(call, { status: 'failed', error: masked, environment });
  return { status: 'failed', class: masked.class, message, changedState };
}

/** When the node is tried again by itself: as its rule says, and not before its account takes calls again. */
async function nextTry(call: FailingCall, error: RunError): Promise<{ afterMs: number; uncounted?: true } | null> {
  const { deps, begin, input, paceKey } = call;
  const rule = (input.action === 'destroy' ? begin.snapshot?.retryOnDestroy : begin.snapshot?.retry) ?? null;
  const decision = retryDecision(rule, { class: error.class, message: error.message, try: input.try });
  const pace = paceKey !== undefined && isThrottle(error) ? await backOff(deps.db, paceKey) : null;
  if (decision.retry) return { afterMs: Math.max(decision.afterMs, pace?.afterMs ?? 0) };
  const ruled = rule !== null && rule.maximum > 0;
  return pace === null || pace.tooOften || ruled ? null : { afterMs: pace.afterMs, uncounted: true };
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
