import type { EnvironmentState, EnvironmentView, QueuedRun } from '../../model/environment-messages.ts';
import { isReadOnly } from '../../model/status.ts';

/** Runs already accepted that are remembered, so that a repeated request is recognized across continue-as-new. */
const rememberedRuns = 200;

/** What is to be done about the runs that wait. */
interface Dispatch {
  readonly start: readonly QueuedRun[];
  /** Runs that only read and have to make way for another. */
  readonly preempt: readonly { readonly run: QueuedRun; readonly by: QueuedRun }[];
}

/**
 * Which runs wait, which are at work, and which are next: one at a time of those that change something, and beside it, when
 * none of them waits, those that only read. Decides alone; whoever holds it starts and drops them.
 */
export class RunQueue {
  private waiting: QueuedRun[];
  private readonly accepted: string[];
  /** The run that holds the slot. */
  private current: QueuedRun | null = null;
  /** Plans and drift checks in progress. */
  private readonly beside = new Map<string, QueuedRun>();
  private readonly preempted = new Set<string>();

  constructor(state: Pick<EnvironmentState, 'queue' | 'accepted'> | undefined) {
    this.waiting = [...(state?.queue ?? [])];
    this.accepted = [...(state?.accepted ?? [])];
  }

  get isIdle(): boolean {
    return this.current === null && this.beside.size === 0 && this.waiting.length === 0;
  }

  /** The part that is carried over continue-as-new, which only an idle workflow does. */
  state(): Pick<EnvironmentState, 'queue' | 'accepted'> {
    return { queue: this.waiting, accepted: this.accepted };
  }

  view(): Pick<EnvironmentView, 'queue' | 'running'> {
    return { queue: this.waiting, running: [...(this.current ? [this.current] : []), ...this.beside.values()] };
  }

  lines(): string[] {
    return [
      ...(this.current ? [`Running: ${this.current.title}`] : []),
      ...[...this.beside.values()].map((run) => `Beside it: ${run.title}`),
      ...this.waiting.map((run) => `Queued: ${run.title}`),
    ];
  }

  isAccepted(deploymentId: string): boolean {
    return this.accepted.includes(deploymentId);
  }

  /** Whether it waits or is at work. */
  holds(deploymentId: string): boolean {
    const { queue, running } = this.view();
    return [...queue, ...running].some((run) => run.deploymentId === deploymentId);
  }

  /** Queues a run, once. Answers the queued deploys that it makes useless, or null when the run is known already. */
  add(run: QueuedRun): readonly QueuedRun[] | null {
    const known = this.isAccepted(run.deploymentId);
    // The records say that it waits, so it must: such as one whose workflow somebody else had started meanwhile.
    if (known && (run.again !== true || this.holds(run.deploymentId))) return null;
    if (!known) this.accepted.push(run.deploymentId);
    this.accepted.splice(0, Math.max(0, this.accepted.length - rememberedRuns));
    const replaced = run.coalesce === true ? this.coalesce() : [];
    this.waiting.push(run);
    return replaced;
  }

  /** Takes queued deploys out that a newer one makes useless; never past a destroy or rollback. */
  private coalesce(): QueuedRun[] {
    const lastFixed = this.waiting.findLastIndex((run) => run.type !== 'deploy');
    const replaced = this.waiting.filter((run, index) => index > lastFixed && run.coalesce === true);
    this.waiting = this.waiting.filter((run) => !replaced.includes(run));
    return replaced;
  }

  /** Takes a run out that waits; null when it does not. */
  take(deploymentId: string): { readonly run: QueuedRun; readonly position: number } | null {
    const position = this.waiting.findIndex((run) => run.deploymentId === deploymentId);
    const [run] = position < 0 ? [] : this.waiting.splice(position, 1);
    return run === undefined ? null : { run, position };
  }

  putBack(run: QueuedRun, position: number): void {
    if (!this.holds(run.deploymentId)) this.waiting.splice(position, 0, run);
  }

  /** 0 runs now, 1 is next. */
  positionOf(deploymentId: string): number {
    const position = this.waiting
      .filter((run) => !isReadOnly(run.type))
      .findIndex((run) => run.deploymentId === deploymentId);
    return position < 0 ? 0 : position + (this.current === null ? 0 : 1);
  }

  /** Takes out of the queue what may begin now; each is at work until `ended`. */
  dispatch(): Dispatch {
    const next = this.waiting.find((run) => !isReadOnly(run.type));
    if (this.current !== null) return { start: [], preempt: [] };
    // Something that changes the environment goes first; a read beside it would see half of it.
    if (next === undefined) {
      const start = this.waiting.splice(0);
      for (const run of start) this.beside.set(run.deploymentId, run);
      return { start, preempt: [] };
    }
    if (this.beside.size > 0) {
      const preempt = [...this.beside.values()].filter((run) => !this.preempted.has(run.deploymentId));
      for (const run of preempt) this.preempted.add(run.deploymentId);
      return { start: [], preempt: preempt.map((run) => ({ run, by: next })) };
    }
    this.take(next.deploymentId);
    this.current = next;
    return { start: [next], preempt: [] };
  }

  ended(run: QueuedRun): void {
    if (this.current === run) this.current = null;
    this.beside.delete(run.deploymentId);
    this.preempted.delete(run.deploymentId);
  }

  /** The records know no such run: it may be sent again. */
  forget({ deploymentId }: QueuedRun): void {
    const at = this.accepted.indexOf(deploymentId);
    if (at >= 0) this.accepted.splice(at, 1);
  }
}
