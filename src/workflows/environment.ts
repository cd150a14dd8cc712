import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  defineQuery,
  defineUpdate,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  rootCause,
  setCurrentDetails,
  setHandler,
  startChild,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import { nextTtlMoment, warningsStillGiven } from '../definition/ttl.ts';
import type { EnvironmentLock } from '../model/environment.ts';
import type {
  CancelQueued,
  DeploymentOutcome,
  DropCause,
  EnvironmentView,
  EnvironmentWorkflowInput,
  QueuedRun,
  SubmitAnswer,
} from '../model/orchestration.ts';
import { deploymentMessages, environmentMessages, taskQueues, workflowIds } from '../model/orchestration.ts';
import { isReadOnly } from '../model/status.ts';
import { actsByRecord } from './by-record.ts';
import type { deployment } from './graph/deployment.ts';
import { records } from './proxies.ts';
import { attributesOfChild, showStatus } from './search-attributes.ts';
import { everythingTakenIn } from './taken-in.ts';

const submitUpdate = defineUpdate<SubmitAnswer, [QueuedRun]>(environmentMessages.submit);
const cancelQueuedUpdate = defineUpdate<{ cancelled: boolean }, [CancelQueued]>(environmentMessages.cancelQueued);
const setExpiryUpdate = defineUpdate<void, [LifeMessage]>(environmentMessages.setExpiry);
const setLockUpdate = defineUpdate<void, [LifeMessage]>(environmentMessages.setLock);
const viewQuery = defineQuery<EnvironmentView>(environmentMessages.view);

/** Runs already accepted that are remembered, so that a repeated request is recognized across continue-as-new. */
const rememberedRuns = 200;
const handOverEvents = 2000;
/** A timer of Temporal may not be longer than this when it is computed from a date far away. */
const longestWaitMs = 30 * 24 * 3600 * 1000;
/** An end that was refused is asked for again after this long, should nobody say that it can be had. */
const askAgainMs = 3600 * 1000;

/**
 * One environment, as long as it lives: its queue, its lock and its end. Runs that change something go one at a time;
 * plans and drift checks run beside them and are stopped when such a run begins.
 */
export async function environment(input: EnvironmentWorkflowInput): Promise<void> {
  const entity = new EnvironmentEntity(input);
  const afterAll = async <T>(act: () => T | Promise<T>): Promise<T> => {
    await everythingTakenIn();
    return act();
  };
  setHandler(submitUpdate, (run) => afterAll(() => entity.submit(run)), {
    validator: (run) => entity.validateSubmit(run),
  });
  setHandler(cancelQueuedUpdate, (message) => afterAll(() => entity.cancelQueued(message)));
  setHandler(setExpiryUpdate, (message) => afterAll(() => entity.lifeChanged(message)));
  setHandler(setLockUpdate, (message) => afterAll(() => entity.lifeChanged(message)));
  setHandler(viewQuery, () => entity.view());
  await entity.live();
}

class EnvironmentEntity {
  private readonly input: EnvironmentWorkflowInput;
  private queue: QueuedRun[];
  private lock: EnvironmentLock | null;
  private expiresAtMs: number | null;
  private warnedMs: readonly number[];
  /** The end whose destroy was refused, which was said once. */
  private refusedEndMs: number | null;
  /** Before this moment an end that is due is not asked for again. */
  private askEndAtMs = 0;
  /** The destroy of the end that is due, from its queueing to its ending. */
  private endRun: string | null = null;
  private readonly accepted: string[];
  /** The run that holds the slot. */
  private current: QueuedRun | null = null;
  /** Plans and drift checks in progress. */
  private readonly beside = new Map<string, QueuedRun>();
  private changed = false;
  private archived = false;

  constructor(input: EnvironmentWorkflowInput) {
    this.input = input;
    this.queue = [...(input.state?.queue ?? [])];
    this.lock = input.state?.lock ?? null;
    this.expiresAtMs = input.state?.expiresAtMs ?? null;
    this.warnedMs = input.state?.warnedMs ?? [];
    this.refusedEndMs = input.state?.refusedEndMs ?? null;
    this.accepted = [...(input.state?.accepted ?? [])];
  }

  async live(): Promise<void> {
    for (;;) {
      this.changed = false;
      this.startNext();
      setCurrentDetails(this.details());
      if (this.archived && this.idle && (await this.mayEnd())) return;
      showStatus(this.status());
      if (this.idle && workflowInfo().historyLength > handOverEvents) await this.continueAsNew();
      const waitMs = await this.attendToExpiry();
      if (this.changed) continue;
      if (waitMs === null) await condition(() => this.changed);
      else await condition(() => this.changed, Math.min(waitMs, longestWaitMs));
    }
  }

  validateSubmit(run: QueuedRun): void {
    if (this.lock !== null && !isReadOnly(run.type) && !this.accepted.includes(run.deploymentId)) {
      throw ApplicationFailure.nonRetryable(
        `the environment is locked by ${this.lock.by}: ${this.lock.reason}`,
        'locked',
      );
    }
  }

  async submit(run: QueuedRun): Promise<SubmitAnswer> {
    const known = this.accepted.includes(run.deploymentId);
    // The records say that it waits, so it must: such as one whose workflow somebody else had started meanwhile.
    if (!known || (run.again === true && !this.holds(run.deploymentId))) {
      if (!known) this.accepted.push(run.deploymentId);
      this.accepted.splice(0, Math.max(0, this.accepted.length - rememberedRuns));
      const replaced = run.coalesce === true ? this.coalesce() : [];
      this.queue.push(run);
      this.changed = true;
      for (const old of replaced)
        await this.drop(old, {
          message: `a newer deploy took its place (${run.title})`,
          cause: { kind: 'replaced', by: run.deploymentId },
        });
    }
    return { position: this.positionOf(run.deploymentId) };
  }

  private holds(deploymentId: string): boolean {
    return [...this.view().queue, ...this.view().running].some((run) => run.deploymentId === deploymentId);
  }

  async cancelQueued({ deploymentId, requestId }: CancelQueued): Promise<{ cancelled: boolean }> {
    const cause = { kind: 'requested', requestId: requestId ?? null } as const;
    return { cancelled: await this.dropQueued(deploymentId, 'cancelled while it waited for its turn', cause) };
  }

  private async dropQueued(deploymentId: string, message: string, cause: DropCause): Promise<boolean> {
    const position = this.queue.findIndex((run) => run.deploymentId === deploymentId);
    const [run] = position < 0 ? [] : this.queue.splice(position, 1);
    if (run === undefined) return false;
    this.changed = true;
    const ofEnd = this.endRun === deploymentId;
    if (ofEnd) this.endIsOver();
    const dropped = await this.drop(run, { message, cause }, position);
    if (!dropped.done && ofEnd) this.endRun = deploymentId;
    if (ofEnd && dropped.expiresAtMs !== undefined) await this.setExpiry(dropped.expiresAtMs);
    return dropped.done;
  }

  /** Records that a run which was taken out of the queue is dropped. One that the records know no reason for goes back. */
  private async drop(
    run: QueuedRun,
    why: { readonly message: string; readonly cause: DropCause },
    position = 0,
  ): Promise<{ done: boolean; expiresAtMs?: number | null }> {
    const { cancelled, ...rest } = await records.recordCancelled({ deploymentId: run.deploymentId, ...why });
    if (cancelled !== false) return { done: true, ...rest };
    if (!this.holds(run.deploymentId)) this.queue.splice(position, 0, run);
    this.changed = true;
    return { done: false };
  }

  /** The recorded end or lock has changed, or so somebody says. Messages of older versions carry the new one. */
  async lifeChanged(message: LifeMessage): Promise<void> {
    if (!actsByRecord()) {
      if (message.expiresAtMs !== undefined) await this.setExpiry(message.expiresAtMs);
      if (message.lock !== undefined) this.setLock(message.lock);
      return;
    }
    const { environmentId } = this.input;
    const said = Object.keys(message).length === 0 ? {} : { said: message };
    const { expiresAtMs, lock, archived } = await records.readLife({ environmentId, ...said });
    if (archived === true) this.archived = true;
    this.setLock(lock);
    if (expiresAtMs !== this.expiresAtMs) await this.setExpiry(expiresAtMs);
  }

  async setExpiry(expiresAtMs: number | null): Promise<void> {
    this.expiresAtMs = expiresAtMs;
    this.warnedMs = expiresAtMs === null ? [] : warningsStillGiven(this.warnedMs, Date.now(), expiresAtMs);
    this.askEndAtMs = 0;
    this.changed = true;
    // Whoever puts the end off, a person or a deploy, takes the destroy out of the queue that the old one had put there.
    const putOff = expiresAtMs === null || expiresAtMs > Date.now();
    if (putOff && this.endRun !== null)
      await this.dropQueued(this.endRun, 'its time to live was put off', { kind: 'putOff' });
  }

  setLock(lock: EnvironmentLock | null): void {
    this.lock = lock;
    this.askEndAtMs = 0;
    this.changed = true;
  }

  view(): EnvironmentView {
    return {
      queue: this.queue,
      running: [...(this.current ? [this.current] : []), ...this.beside.values()],
      lock: this.lock,
      expiresAtMs: this.expiresAtMs,
    };
  }

  private get idle(): boolean {
    return this.current === null && this.beside.size === 0 && this.queue.length === 0;
  }

  private positionOf(deploymentId: string): number {
    const position = this.queue
      .filter((run) => !isReadOnly(run.type))
      .findIndex((run) => run.deploymentId === deploymentId);
    return position < 0 ? 0 : position + (this.current === null ? 0 : 1);
  }

  /** Takes queued deploys out that a newer one makes useless; never past a destroy or rollback. */
  private coalesce(): QueuedRun[] {
    const lastFixed = this.queue.findLastIndex((run) => run.type !== 'deploy');
    const replaced = this.queue.filter((run, index) => index > lastFixed && run.coalesce === true);
    this.queue = this.queue.filter((run) => !replaced.includes(run));
    return replaced;
  }

  private startNext(): void {
    for (const run of this.queue.filter(({ type }) => isReadOnly(type))) {
      // Something that changes the environment goes first; a read beside it would see half of it.
      if (this.current !== null || this.queue.some((other) => !isReadOnly(other.type))) continue;
      this.queue.splice(this.queue.indexOf(run), 1);
      this.beside.set(run.deploymentId, run);
      void this.execute(run);
    }
    if (this.current !== null) return;
    const next = this.queue.find((run) => !isReadOnly(run.type));
    if (next === undefined) return;
    if (this.beside.size > 0) {
      for (const run of this.beside.values()) this.preempt(run, next);
      return;
    }
    this.queue.splice(this.queue.indexOf(next), 1);
    this.current = next;
    void this.execute(next);
  }

  private readonly preempted = new Set<string>();

  private preempt(run: QueuedRun, by: QueuedRun): void {
    if (this.preempted.has(run.deploymentId)) return;
    this.preempted.add(run.deploymentId);
    // For people who read the history: the run looks up whether it is so.
    const hint = { kind: 'cancel', by: 'windlass', reason: `makes way for ${by.title}` };
    void getExternalWorkflowHandle(workflowIds.deployment(run.deploymentId))
      .signal(deploymentMessages.makeWay, hint)
      .catch(() => undefined);
  }

  private async execute(run: QueuedRun): Promise<void> {
    const { environmentId, projectId } = this.input;
    try {
      const child = await startChild<typeof deployment>('deployment', {
        workflowId: workflowIds.deployment(run.deploymentId),
        args: [{ deploymentId: run.deploymentId, environmentId, projectId, title: run.title, type: run.type }],
        taskQueue: taskQueues.orchestration,
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        // A closed one of this id may be a stranger's, who was refused; whether the run may begin is looked up by itself.
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        typedSearchAttributes: attributesOfChild('deployment'),
        staticSummary: run.title,
      });
      const outcome: DeploymentOutcome = await child.result();
      if (outcome.expiresAtMs !== undefined) await this.setExpiry(outcome.expiresAtMs);
    } catch (error) {
      // One that has already begun under an earlier life of this workflow is left to the reconciliation.
      if (!(error instanceof ChildWorkflowFailure)) return;
      // The records know no such run; what there is of that id is not touched, and may be sent again.
      if (error.cause instanceof ActivityFailure && isRefusal(error.cause.cause)) return this.forget(run);
      // It was ended from outside: the record must not stay open.
      const { expiresAtMs } = await records.recordCancelled({
        deploymentId: run.deploymentId,
        message: rootCause(error) ?? 'its workflow ended from outside',
        cause: { kind: 'lost' },
      });
      if (expiresAtMs !== undefined) await this.setExpiry(expiresAtMs);
    } finally {
      if (this.endRun === run.deploymentId) this.endIsOver();
      if (this.current === run) this.current = null;
      this.beside.delete(run.deploymentId);
      this.preempted.delete(run.deploymentId);
      this.changed = true;
    }
  }

  private forget({ deploymentId }: QueuedRun): void {
    const at = this.accepted.indexOf(deploymentId);
    if (at >= 0) this.accepted.splice(at, 1);
  }

  /** Warns, or asks for the destroy that ends the environment. Answers how long nothing has to be done. */
  private async attendToExpiry(): Promise<number | null> {
    if (this.expiresAtMs === null) return null;
    const { environmentId } = this.input;
    const expiresAtMs = this.expiresAtMs;
    const moment = nextTtlMoment(Date.now(), expiresAtMs, this.warnedMs);
    switch (moment.kind) {
      case 'wait':
        return Math.max(1000, moment.untilMs - Date.now());
      case 'warn':
        this.warnedMs = moment.warnedMs;
        await records.warnExpiry({ environmentId, expiresAtMs, remainingMs: moment.remainingMs });
        this.changed = true;
        return null;
      case 'destroy':
        return this.end(expiresAtMs);
    }
  }

  /** Asks for the destroy of an end that is due. One that is refused, such as by a lock, stays due and is asked for again. */
  private async end(expiresAtMs: number): Promise<number | null> {
    if (this.endRun !== null) return null;
    const waitMs = this.askEndAtMs - Date.now();
    if (waitMs > 0) return waitMs;
    this.askEndAtMs = Date.now() + askAgainMs;
    const answer = await records.requestExpiry({
      environmentId: this.input.environmentId,
      expiresAtMs,
      told: this.refusedEndMs === expiresAtMs,
    });
    this.changed = true;
    if (this.expiresAtMs !== expiresAtMs) {
      // It was moved while the destroy was being asked for.
      if (answer.kind === 'run')
        await records.recordCancelled({
          deploymentId: answer.run.deploymentId,
          message: 'its time to live was put off',
          cause: { kind: 'putOff' },
        });
      return null;
    }
    switch (answer.kind) {
      case 'run':
        this.endRun = answer.run.deploymentId;
        await this.submit(answer.run);
        return null;
      case 'refused':
        this.refusedEndMs = expiresAtMs;
        return null;
      case 'moved':
        await this.setExpiry(answer.expiresAtMs);
        return null;
    }
  }

  private endIsOver(): void {
    this.endRun = null;
    this.askEndAtMs = Math.max(this.askEndAtMs, Date.now() + askAgainMs);
  }

  /** Says for the last time how it is, unless a message comes in meanwhile. */
  private async mayEnd(): Promise<boolean> {
    showStatus('archived');
    await condition(allHandlersFinished);
    return this.idle;
  }

  private status(): string {
    if (!this.idle) return 'running';
    return this.lock === null ? 'idle' : 'locked';
  }

  private async continueAsNew(): Promise<void> {
    await condition(allHandlersFinished);
    if (!this.idle || this.changed) return;
    const { queue, lock, expiresAtMs, warnedMs, refusedEndMs, accepted } = this;
    await continueAsNew<typeof environment>({
      ...this.input,
      state: { queue, lock, expiresAtMs, warnedMs, refusedEndMs, accepted },
    });
  }

  private details(): string {
    const lines = [`**${this.input.name}**`];
    if (this.current) lines.push(`Running: ${this.current.title}`);
    for (const run of this.beside.values()) lines.push(`Beside it: ${run.title}`);
    for (const run of this.queue) lines.push(`Queued: ${run.title}`);
    if (this.lock) lines.push(`Locked by ${this.lock.by}: ${this.lock.reason}`);
    if (this.expiresAtMs !== null) {
      const at = new Date(this.expiresAtMs).toISOString();
      lines.push(this.expiresAtMs > Date.now() ? `Destroys itself at ${at}` : `To be destroyed since ${at}`);
    }
    return lines.join('\n\n');
  }
}

/** Empty: the records have changed. Older versions sent the new values along. */
interface LifeMessage {
  readonly expiresAtMs?: number | null;
  readonly lock?: EnvironmentLock | null;
}

function isRefusal(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'refused';
}
