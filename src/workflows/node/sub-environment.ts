import {
  ActivityFailure,
  CancellationScope,
  condition,
  defineSignal,
  defineUpdate,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  proxyActivities,
  rootCause,
  setHandler,
  sleep,
  ApplicationFailure,
} from '@temporalio/workflow';
import type { NodeResult } from '../../model/deployment.ts';
import type {
  Decision,
  NodeOutcome,
  NodeWorkflowInput,
  PlaceNews,
  RunActivities,
  RunNodeInput,
  StopMode,
} from '../../model/orchestration.ts';
import { deploymentMessages, nodeMessages, taskQueues, workflowIds } from '../../model/orchestration.ts';
import { isReadOnly } from '../../model/status.ts';
import type { NodeStatus } from '../../model/status.ts';
import { actsByRecord } from '../by-record.ts';
import { records } from '../proxies.ts';
import { upsertStatus } from '../search-attributes.ts';

const decideUpdate = defineUpdate<void, [Decision]>(nodeMessages.decide);
const stopSignal = defineSignal<[{ mode: StopMode }]>(nodeMessages.stop);
const resumeSignal = defineSignal(nodeMessages.resume);
const proceedSignal = defineSignal(nodeMessages.proceed);

/** A tool without a ceiling of its own is given up after this long. */
const defaultTimeoutSeconds = 24 * 3600;
/** What the ladder of signals may take after the tool's own timeout, before Temporal gives the activity up. */
const ladderSeconds = 1800;

/** A shorter wait for the next try keeps its place in the run. */
const longWaitMs = 10_000;

interface Waiting {
  readonly approvalId: string;
}

/**
 * One node of one run. Calls the tool activity until it has an ending, and waits in between for what the activity
 * asks for: a decision, a pause before the next try, or a person who mends something.
 */
export async function subEnvironment(input: NodeWorkflowInput): Promise<NodeResult> {
  const { showsStatus = false, ...task } = input;
  const { runNode } = proxyActivities<RunActivities>({
    taskQueue: input.taskQueue ?? taskQueues.run,
    startToCloseTimeout: `${(input.timeoutSeconds ?? defaultTimeoutSeconds) + ladderSeconds} seconds`,
    // A dead worker is noticed after this; the workers send heartbeats far more often.
    heartbeatTimeout: '12 seconds',
    // Temporal would otherwise let go of the tool while it is still writing its state.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '15 seconds' },
    summary: input.alias,
  });

  let stop: StopMode | null = null;
  let waiting: Waiting | null = null;
  let decision: Decision | null = null;
  let resumed = false;
  let admitted = false;
  const interruption = new CancellationScope({ cancellable: true });
  const onlyReads = isReadOnly(input.action);

  const stopBy = (mode: StopMode): void => {
    if (stop === null || mode !== 'cancel') stop = mode;
    // A cancel lets a tool that changes something come to its end.
    if (mode !== 'cancel' || onlyReads) interruption.cancel();
  };
  setHandler(stopSignal, async ({ mode: said }) => {
    if (!actsByRecord()) return stopBy(said);
    const { deploymentId, alias } = input;
    const recorded = await CancellationScope.nonCancellable(() => records.recordedStop({ deploymentId, alias, said }));
    if (recorded.stop !== null) stopBy(recorded.stop);
  });
  // Whether a paused node may go on is looked up by the call that follows.
  setHandler(resumeSignal, () => {
    resumed = true;
  });
  setHandler(proceedSignal, () => {
    admitted = true;
  });
  setHandler(
    decideUpdate,
    (made) => {
      // What was decided is looked up by the call that follows.
      if (made.decision === 'reject' || made.complete) decision = made;
    },
    {
      validator: (made) => {
        // A decision may be faster than the answer of the activity that asked for it; it is kept until then.
        if (waiting !== null && waiting.approvalId !== made.approvalId) {
          throw ApplicationFailure.nonRetryable(
            `"${input.alias}" does not wait for this approval any more`,
            'notWaiting',
          );
        }
      },
    },
  );
  // An operator's cancel in Temporal stops the tool like an abort; the rest of this function still runs to its end.
  void CancellationScope.current().cancelRequested.catch(() => {
    stop ??= 'abort';
    interruption.cancel();
  });

  const call = async (mode: RunNodeInput['mode'], attempt: number): Promise<NodeOutcome> => {
    try {
      return await interruption.run(() => runNode({ ...task, mode, try: attempt }));
    } catch (error) {
      if (!isCancellation(error) && !(error instanceof ActivityFailure)) throw error;
      // A stop leaves no further try to a call whose worker has just died, or that waited for its next one. Its tool may
      // still be at work and hold the lock, and nobody has written down how the node ended.
      return settle(attempt);
    }
  };

  const settle = async (attempt: number): Promise<NodeOutcome> => {
    try {
      return await CancellationScope.nonCancellable(() => runNode({ ...task, mode: 'settle', try: attempt }));
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      return { status: 'failed', class: 'internal', message: rootCause(error) ?? error.message, changedState: true };
    }
  };

  const tellRun = (place: PlaceNews['place']): Promise<boolean> => {
    const { index, compensation } = input;
    const news: PlaceNews = { index, place, ...(compensation === true ? { compensation } : {}) };
    return getExternalWorkflowHandle(workflowIds.deployment(input.deploymentId))
      .signal(deploymentMessages.place, news)
      .then(
        () => true,
        // A run that is gone has no places to give.
        () => false,
      );
  };

  /** Gives the place in the run to others while it waits, and takes one again unless the wait has ended the node. */
  const withoutPlace = async <T>(wait: () => Promise<T>, goesOn: (answer: T) => boolean = () => true): Promise<T> => {
    if (!patched('places')) return wait();
    admitted = false;
    const told = tellRun('free');
    const answer = await wait();
    // Told before all else, so that no late word of this wait is taken for one of a later call.
    if ((await told) && stop === null && goesOn(answer) && (await tellRun('wanted')))
      await condition(() => admitted || stop !== null);
    return answer;
  };

  const pause = (ms: number): Promise<unknown> => Promise.race([sleep(ms), condition(() => stop !== null)]);
  /** null when nobody has decided in time. */
  const decided = async (expiresInMs: number): Promise<Decision | null> => {
    const inTime = await condition(() => decision !== null || stop !== null, expiresInMs);
    waiting = null;
    return inTime ? decision : null;
  };

  const show = (status: NodeStatus): void => {
    if (showsStatus) upsertStatus(status);
  };
  const showing = async <T>(status: NodeStatus, wait: () => Promise<T>): Promise<T> => {
    show(status);
    const answer = await wait();
    show('running');
    return answer;
  };

  const result = await CancellationScope.nonCancellable(async (): Promise<NodeResult> => {
    let mode: RunNodeInput['mode'] = 'run';
    for (let attempt = 1; ;) {
      if (stop !== null) return stopped(stop, false);
      // A pause is recorded before it is heard of here: a word to go on may come in between.
      resumed = false;
      const outcome = await call(mode, attempt);
      switch (outcome.status) {
        case 'succeeded':
        case 'failed':
        case 'cancelled':
        case 'aborted':
          return outcome;
        case 'retry':
          await showing('retrying', () =>
            outcome.afterMs < longWaitMs ? pause(outcome.afterMs) : withoutPlace(() => pause(outcome.afterMs)),
          );
          if (outcome.uncounted !== true) attempt++;
          mode = 'run';
          break;
        case 'paused':
          await showing('paused', () => withoutPlace(() => condition(() => resumed || stop !== null)));
          mode = 'run';
          break;
        case 'waitingForApproval': {
          waiting = { approvalId: outcome.approvalId };
          if ((decision as Decision | null)?.approvalId !== outcome.approvalId) decision = null;
          const made = await showing('waitingForApproval', () =>
            withoutPlace(
              () => decided(outcome.expiresInMs),
              (answer) => answer?.decision === 'approve',
            ),
          );
          if (stop !== null) return stopped(stop, false);
          if (made === null) return { status: 'cancelled', message: 'nobody approved in time', changedState: false };
          decision = null;
          if (made.decision === 'reject' && !actsByRecord()) {
            return {
              status: 'cancelled',
              message: `rejected by ${made.by}${made.comment ? `: ${made.comment}` : ''}`,
              changedState: false,
            };
          }
          mode = 'apply';
          break;
        }
      }
    }
  });
  show(result.status);
  return result;
}

function stopped(mode: StopMode, changedState: boolean): NodeResult {
  return mode === 'cancel'
    ? { status: 'cancelled', message: 'cancelled while it waited', changedState }
    : { status: 'aborted', message: 'stopped while it waited', changedState };
}
