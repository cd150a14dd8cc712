import { ApplicationFailure, CompleteAsyncError } from '@temporalio/activity';
import { Masker } from '../masking/index.ts';
import type { NodeBegin, NodeOutcome, RunNodeInput } from '../model/index.ts';
import { LeftRunningError } from '../process/index.ts';
import { ToolError } from '../tools/index.ts';
import { nodeKeyOf } from './call.ts';
import type { NodeCall, NodeDeps } from './call.ts';
import { fail } from './ending.ts';
import type { Caller, NodeHost, NodeRecords } from './host.ts';
import { performerOf } from './kinds/index.ts';
import { openLog } from './log-writer.ts';
import { openCall, cleanUpWorkDirectory } from './open-call.ts';
import type { StartedCall } from './open-call.ts';
import { watchPreparation } from './preparation.ts';
import type { Preparation } from './preparation.ts';
import { inNodeSpan } from './span.ts';
import { performStack } from './stack.ts';

/** Calls that may break off for a reason that nobody foresaw. */
const unforeseenTries = 3;

export interface CallSignals {
  readonly caller: Caller;
  /** Aborted with a StopReason by this call, and by whoever called. */
  readonly stop: AbortController;
}

/**
 * Runs one node to its end, or to what it has to wait for; see RunActivities.runNode. What it throws passes by itself or is
 * a failure of Temporal's: it is called again.
 */
export async function runNode(
  deps: NodeDeps,
  host: NodeHost,
  input: RunNodeInput,
  { caller, stop }: CallSignals,
): Promise<NodeOutcome> {
  let preparation: Preparation | null = null;
  try {
    const begun = await host.begin(input, caller);
    if (begun.status === 'over') return begun.outcome;
    const { begin, records } = begun;
    const perform = begin.snapshot === null ? undefined : performerOf(begin.snapshot.type);
    const left = begin.journal?.open === true ? begin.journal : null;
    if (input.mode === 'settle' && left === null) return await settled(records, begin);
    if (perform !== undefined) return await inNodeSpan(input, begin, () => perform({ input, begin, records }));
    preparation = watchPreparation(
      () => records.stopReason(),
      (reason) => stop.abort(reason),
    );
    // A tool that was in the middle of a change may still be at it.
    if (left?.changes === true) preparation.over();
    const started = { deps, input, begin, records, preparation, signal: stop.signal };
    return await inNodeSpan(input, begin, () => execute(started, host));
  } catch (error) {
    if (isTransient(host, error) || stop.signal.reason === 'shutdown') throw error;
    if (error instanceof ApplicationFailure && error.type === 'refused') throw error;
    deps.log.error({ err: error, deployment: input.deploymentId, node: input.alias }, 'a call for a node broke off');
    if (caller.attempt < unforeseenTries) throw error;
    // Temporal would call again for ever. The workflow asks once more to settle, and then takes the node as failed.
    throw ApplicationFailure.nonRetryable('Windlass itself failed; the log of the worker says why', 'internal');
  } finally {
    preparation?.over();
  }
}

async function settled(records: NodeRecords, begin: NodeBegin): Promise<NodeOutcome> {
  const message = 'stopped before the tool began';
  await records.end({ status: 'aborted', error: { class: 'cancelled', message } });
  return { status: 'aborted', message, changedState: begin.began_change };
}

async function execute(begun: Omit<StartedCall, 'key' | 'masker' | 'log'>, host: NodeHost): Promise<NodeOutcome> {
  const { input, records, preparation, signal } = begun;
  const masker = new Masker();
  const log = openLog({ masker, append: (chunks) => records.appendLog(input.try, chunks) });
  const started: StartedCall = { ...begun, key: nodeKeyOf(input), masker, log };
  let call: NodeCall | undefined;
  try {
    const opened = await openCall(started);
    if (opened.status === 'over') return opened.outcome;
    call = opened.call;
    const outcome = await performStack(call);
    await cleanUpWorkDirectory(call);
    return outcome;
  } catch (caught) {
    const error = preparation.active && signal.aborted ? stoppedEarly(host, caught, signal) : caught;
    if (isTransient(host, error)) throw error;
    const outcome = await fail(call ?? started, error);
    if (call) await cleanUpWorkDirectory(call);
    return outcome;
  } finally {
    await log.close();
  }
}

/** What a stop has cut short before a tool could say so itself. */
function stoppedEarly(host: NodeHost, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof ToolError || isTransient(host, error)) return error;
  if (signal.reason === 'shutdown') return new LeftRunningError('');
  return new ToolError(
    { class: 'cancelled', message: 'stopped while it was being prepared; nothing was changed' },
    false,
  );
}

/** Passes by itself, so Temporal calls again: the records are out of reach, or another worker takes the tool over. */
function isTransient(host: NodeHost, error: unknown): boolean {
  return error instanceof LeftRunningError || error instanceof CompleteAsyncError || host.isAway(error);
}
