import { allHandlersFinished, condition, continueAsNew, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { EnvironmentLock } from '../../model/environment.ts';
import type {
  CancelQueued,
  EnvironmentView,
  EnvironmentWorkflowInput,
  LifeMessage,
  QueuedRun,
  SubmitAnswer,
} from '../../model/environment-messages.ts';
import type { DeploymentOutcome } from '../../model/orchestration.ts';
import { isReadOnly } from '../../model/status.ts';
import { actsByRecord } from '../by-record.ts';
import { records } from '../proxies.ts';
import { showStatus } from '../search-attributes.ts';
import type { environment } from './environment.ts';
import { executeRun, preemptRun } from './execution.ts';
import { ExpiryFollower } from './expiry-follower.ts';
import type { Drop, Runs } from './expiry-follower.ts';
import { NodeExpiryFollower } from './node-expiry-follower.ts';
import { RunQueue } from './run-queue.ts';

const handOverEvents = 2000;
/** A timer of Temporal may not be longer than this when it is computed from a date far away. */
const longestWaitMs = 30 * 24 * 3600 * 1000;

/** What has become of a run that was taken out of the queue. */
type Dropped = { readonly done: boolean } & Pick<DeploymentOutcome, 'expiresAtMs' | 'nodeExpiry'>;

/** The state of an environment's workflow, and all that its messages and its children change in it. */
export class EnvironmentEntity {
  private readonly input: EnvironmentWorkflowInput;
  private readonly queue: RunQueue;
  private readonly expiry: ExpiryFollower;
  private readonly nodeExpiry: NodeExpiryFollower;
  private lock: EnvironmentLock | null;
  /** Something has changed since it was last looked at what is to be done. */
  private awake = false;
  private archived = false;

  constructor(input: EnvironmentWorkflowInput) {
    this.input = input;
    this.queue = new RunQueue(input.state);
    this.lock = input.state?.lock ?? null;
    const runs: Runs = {
      submit: (run) => this.submit(run),
      drop: (deploymentId, why) => this.dropQueued(deploymentId, why),
      wake: () => this.wake(),
    };
    this.expiry = new ExpiryFollower(input.environmentId, input.state, runs);
    this.nodeExpiry = new NodeExpiryFollower(input.environmentId, input.state?.nodesDueMs ?? null, runs);
  }

  private wake(): void {
    this.awake = true;
  }

  async live(): Promise<void> {
    for (;;) {
      this.awake = false;
      this.dispatch();
      setCurrentDetails(this.details());
      if (this.archived && this.queue.isIdle && (await this.mayEnd())) return;
      showStatus(this.status());
      if (this.queue.isIdle && workflowInfo().historyLength > handOverEvents) await this.continueAsNew();
      const waits = [await this.expiry.attend(), await this.nodeExpiry.attend()].filter((waitMs) => waitMs !== null);
      if (this.awake) continue;
      if (waits.length === 0) await condition(() => this.awake);
      else await condition(() => this.awake, Math.min(...waits, longestWaitMs));
    }
  }

  /** Why a run is not taken; null when it is. */
  submitRefusal(run: QueuedRun): string | null {
    if (this.lock === null || isReadOnly(run.type) || this.queue.isAccepted(run.deploymentId)) return null;
    return `the environment is locked by ${this.lock.by}: ${this.lock.reason}`;
  }

  async submit(run: QueuedRun): Promise<SubmitAnswer> {
    const replaced = this.queue.add(run);
    if (replaced !== null) {
      this.wake();
      const why: Drop = {
        message: `a newer deploy took its place (${run.title})`,
        cause: { kind: 'replaced', by: run.deploymentId },
      };
      for (const old of replaced) await this.drop(old, why);
    }
    return { position: this.queue.positionOf(run.deploymentId) };
  }

  async cancelQueued({ deploymentId, requestId }: CancelQueued): Promise<{ cancelled: boolean }> {
    const cause = { kind: 'requested', requestId: requestId ?? null } as const;
    return {
      cancelled: await this.dropQueued(deploymentId, { message: 'cancelled while it waited for its turn', cause }),
    };
  }

  private async dropQueued(deploymentId: string, why: Drop): Promise<boolean> {
    const taken = this.queue.take(deploymentId);
    if (taken === null) return false;
    this.wake();
    const destroy = this.expiry.destroyDropped(deploymentId, why);
    const dropped = await this.drop(taken.run, why, taken.position);
    if (!dropped.done && destroy !== null) this.expiry.restore(destroy);
    if (destroy !== null && dropped.expiresAtMs !== undefined) await this.expiry.move(dropped.expiresAtMs);
    if (dropped.nodeExpiry === true) this.nodeExpiry.changed();
    return dropped.done;
  }

  /** Records that a run which was taken out of the queue is dropped. One that the records know no reason for goes back. */
  private async drop(run: QueuedRun, why: Drop, position = 0): Promise<Dropped> {
    const { cancelled, ...rest } = await records.recordCancelled({ deploymentId: run.deploymentId, ...why });
    if (cancelled !== false) return { done: true, ...rest };
    this.queue.putBack(run, position);
    this.wake();
    return { done: false };
  }

  /** The recorded end or lock has changed, or so somebody says. Messages of older versions carry the new one. */
  async lifeChanged(message: LifeMessage): Promise<void> {
    if (!actsByRecord()) {
      if (message.expiresAtMs !== undefined) await this.expiry.move(message.expiresAtMs);
      if (message.lock !== undefined) this.setLock(message.lock);
      return;
    }
    const { environmentId } = this.input;
    const said = Object.keys(message).length === 0 ? {} : { said: message };
    const { expiresAtMs, lock, archived, nodeExpiry } = await records.readLife({ environmentId, ...said });
    if (archived === true) this.archived = true;
    this.setLock(lock);
    if (nodeExpiry === true) this.nodeExpiry.changed();
    if (expiresAtMs !== this.expiry.expiresAtMs) await this.expiry.move(expiresAtMs);
  }

  private setLock(lock: EnvironmentLock | null): void {
    this.lock = lock;
    this.expiry.unblock();
  }

  view(): EnvironmentView {
    const { expiresAtMs } = this.expiry;
    return { ...this.queue.view(), lock: this.lock, expiresAtMs, nodesDueMs: this.nodeExpiry.dueMs };
  }

  private dispatch(): void {
    const { start, preempt } = this.queue.dispatch();
    for (const { run, by } of preempt) preemptRun(run, by);
    for (const run of start) void this.execute(run);
  }

  private async execute(run: QueuedRun): Promise<void> {
    try {
      const ending = await executeRun(this.input, run);
      if (ending.unknown === true) this.queue.forget(run);
      if (ending.expiresAtMs !== undefined) await this.expiry.move(ending.expiresAtMs);
      // Before the next run begins: it may be the destroy of a node that lives on.
      if (ending.nodeExpiry === true) await this.nodeExpiry.attendNow();
    } finally {
      this.expiry.runEnded(run.deploymentId);
      this.queue.ended(run);
      this.wake();
    }
  }

  /** Says for the last time how it is, unless a message comes in meanwhile. */
  private async mayEnd(): Promise<boolean> {
    showStatus('archived');
    await condition(allHandlersFinished);
    return this.queue.isIdle;
  }

  private status(): string {
    if (!this.queue.isIdle) return 'running';
    return this.lock === null ? 'idle' : 'locked';
  }

  private async continueAsNew(): Promise<void> {
    await condition(allHandlersFinished);
    if (!this.queue.isIdle || this.awake) return;
    await continueAsNew<typeof environment>({
      ...this.input,
      state: { ...this.queue.state(), lock: this.lock, ...this.expiry.state(), nodesDueMs: this.nodeExpiry.dueMs },
    });
  }

  private details(): string {
    const lines = [`**${this.input.name}**`, ...this.queue.lines()];
    if (this.lock) lines.push(`Locked by ${this.lock.by}: ${this.lock.reason}`);
    const { expiresAtMs } = this.expiry;
    if (expiresAtMs !== null) {
      const at = new Date(expiresAtMs).toISOString();
      lines.push(expiresAtMs > Date.now() ? `Destroys itself at ${at}` : `To be destroyed since ${at}`);
    }
    return lines.join('\n\n');
  }
}
