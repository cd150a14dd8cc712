import {
  ActivityFailure,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  rootCause,
  sleep,
} from '@temporalio/workflow';
import type { NodeResult } from '../../model/deployment.ts';
import type {
  Decision,
  NodeOutcome,
  NodeWorkflowInput,
  RunActivities,
  RunNodeInput,
  StopMode,
} from '../../model/orchestration.ts';
import { taskQueues } from '../../model/orchestration.ts';
import { isReadOnly } from '../../model/status.ts';
import type { NodeStatus } from '../../model/status.ts';
import { actsByRecord } from '../by-record.ts';
import { records } from '../proxies.ts';
import { upsertStatus } from '../search-attributes.ts';
import { NodeStop } from './node-stop.ts';
import { RunPlace } from './run-place.ts';

/** A tool without a ceiling of its own is given up after this long. */
const defaultTimeoutSeconds = 24 * 3600;
/** What the ladder of signals may take after the tool's own timeout, before Temporal gives the activity up. */
const ladderSeconds = 1800;

/** A shorter wait for the next try keeps its place in the run. */
const longWaitMs = 10_000;

function runNodeActivity({ alias, taskQueue, timeoutSeconds }: NodeWorkflowInput): RunActivities['runNode'] {
  return proxyActivities<RunActivities>({
    taskQueue: taskQueue ?? taskQueues.run,
    startToCloseTimeout: `${(timeoutSeconds ?? defaultTimeoutSeconds) + ladderSeconds} seconds`,
    // A dead worker is noticed after this; the workers send heartbeats far more often.
    heartbeatTimeout: '12 seconds',
    // Temporal would otherwise let go of the tool while it is still writing its state.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '15 seconds' },
    summary: alias,
  }).runNode;
}

/**
 * The state of a node's workflow, and all that its messages change in it. How many promises lie between an event and the
 * command that follows from it is part of its histories: methods that only pass a promise on are not `async`.
 */
export class NodeEntity {
  private readonly input: NodeWorkflowInput;
  private readonly showsStatus: boolean;
  private readonly task: Omit<NodeWorkflowInput, 'showsStatus'>;
  private readonly runNode: RunActivities['runNode'];
  private readonly stop: NodeStop;
  private readonly place: RunPlace;
  /** The approval that it waits for. */
  private approvalId: string | null = null;
  private decision: Decision | null = null;
  private resumed = false;

  constructor(input: NodeWorkflowInput) {
    const { showsStatus = false, ...task } = input;
    this.input = input;
    this.showsStatus = showsStatus;
    this.task = task;
    this.runNode = runNodeActivity(input);
    this.stop = new NodeStop(isReadOnly(input.action));
    this.place = new RunPlace(input, this.stop);
  }

  /** Somebody says that the run is being stopped; how is on record. */
  async stopSaid(said: StopMode): Promise<void> {
    if (!actsByRecord()) return this.stop.request(said);
    const { deploymentId, alias } = this.input;
    const recorded = await CancellationScope.nonCancellable(() => records.recordedStop({ deploymentId, alias, said }));
    if (recorded.stop !== null) this.stop.request(recorded.stop);
  }

  /** An operator's cancel in Temporal; what is recorded of the node is still brought to its end. */
  workflowCancelled(): void {
    this.stop.workflowCancelled();
  }

  /** Whether a paused node may go on is looked up by the call that follows. */
  resume(): void {
    this.resumed = true;
  }

  /** The run has given it a place. */
  proceed(): void {
    this.place.admit();
  }

  /** Why a decision is not taken; null when it is. */
  decisionRefusal({ approvalId }: Decision): string | null {
    // A decision may be faster than the answer of the activity that asked for it; it is kept until then.
    if (this.approvalId === null || this.approvalId === approvalId) return null;
    return `"${this.input.alias}" does not wait for this approval any more`;
  }

  /** What was decided is looked up by the call that follows. */
  decide(made: Decision): void {
    if (made.decision === 'reject' || made.complete) this.decision = made;
  }

  /** Calls the activity until the node has an ending. */
  run(): Promise<NodeResult> {
    return CancellationScope.nonCancellable(() => this.runToEnd());
  }

  /** Shows a status in the search attributes, where these are kept for nodes. */
  show(status: NodeStatus): void {
    if (this.showsStatus) upsertStatus(status);
  }

  private async runToEnd(): Promise<NodeResult> {
    let mode: RunNodeInput['mode'] = 'run';
    for (let attempt = 1; ;) {
      if (this.stop.mode !== null) return stopped(this.stop.mode);
      // A pause is recorded before it is heard of here: a word to go on may come in between.
      this.resumed = false;
      const outcome = await this.call(mode, attempt);
      switch (outcome.status) {
        case 'succeeded':
        case 'failed':
        case 'cancelled':
        case 'aborted':
          return outcome;
        case 'retry':
          await this.retryDelay(outcome.afterMs);
          if (outcome.uncounted !== true) attempt++;
          mode = 'run';
          break;
        case 'paused':
          await this.resumption();
          mode = 'run';
          break;
        case 'waitingForApproval': {
          const ending = this.endingBy(await this.decided(outcome));
          if (ending !== null) return ending;
          mode = 'apply';
          break;
        }
      }
    }
  }

  private async call(mode: RunNodeInput['mode'], attempt: number): Promise<NodeOutcome> {
    try {
      return await this.stop.interruptible(() => this.runNode({ ...this.task, mode, try: attempt }));
    } catch (error) {
      if (!isCancellation(error) && !(error instanceof ActivityFailure)) throw error;
      // A stop leaves no further try to a call whose worker has just died, or that waited for its next one. Its tool may
      // still be at work and hold the lock, and nobody has written down how the node ended.
      return this.settle(attempt);
    }
  }

  private async settle(attempt: number): Promise<NodeOutcome> {
    try {
      return await CancellationScope.nonCancellable(() => this.runNode({ ...this.task, mode: 'settle', try: attempt }));
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      return { status: 'failed', class: 'internal', message: rootCause(error) ?? error.message, changedState: true };
    }
  }

  /** The wait before the next try. */
  private retryDelay(ms: number): Promise<unknown> {
    const delay = (): Promise<unknown> => Promise.race([sleep(ms), condition(() => this.stop.requested)]);
    return this.showing('retrying', () => (ms < longWaitMs ? delay() : this.place.freeDuring(delay)));
  }

  /** The wait for a person who mends something. */
  private resumption(): Promise<unknown> {
    return this.showing('paused', () =>
      this.place.freeDuring(() => condition(() => this.resumed || this.stop.requested)),
    );
  }

  /** The wait for a decision; null when nobody has made it in time. */
  private decided({
    approvalId,
    expiresInMs,
  }: Extract<NodeOutcome, { status: 'waitingForApproval' }>): Promise<Decision | null> {
    this.approvalId = approvalId;
    if (this.decision?.approvalId !== approvalId) this.decision = null;
    const wait = async (): Promise<Decision | null> => {
      const inTime = await condition(() => this.decision !== null || this.stop.requested, expiresInMs);
      this.approvalId = null;
      return inTime ? this.decision : null;
    };
    return this.showing('waitingForApproval', () =>
      this.place.freeDuring(wait, (made) => made?.decision === 'approve'),
    );
  }

  /** How the node ends after its wait for a decision; null when it goes on. */
  private endingBy(made: Decision | null): NodeResult | null {
    if (this.stop.mode !== null) return stopped(this.stop.mode);
    if (made === null) return { status: 'cancelled', message: 'nobody approved in time', changedState: false };
    this.decision = null;
    if (made.decision !== 'reject' || actsByRecord()) return null;
    return {
      status: 'cancelled',
      message: `rejected by ${made.by}${made.comment ? `: ${made.comment}` : ''}`,
      changedState: false,
    };
  }

  private async showing<T>(status: NodeStatus, wait: () => Promise<T>): Promise<T> {
    this.show(status);
    const answer = await wait();
    this.show('running');
    return answer;
  }
}

function stopped(mode: StopMode): NodeResult {
  return mode === 'cancel'
    ? { status: 'cancelled', message: 'cancelled while it waited', changedState: false }
    : { status: 'aborted', message: 'stopped while it waited', changedState: false };
}
