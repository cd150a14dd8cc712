import type { SkipReason } from '../model/deployment.ts';
import type { GraphState, NodeUpdate, RunNode } from '../model/orchestration.ts';
import { begun, blocking, decodeStates, encodeStates, initialState, isLast, isOpen, passed } from './node-states.ts';
import type { GraphCounts, NodeState } from './node-states.ts';
import { skipReason } from './skip-reason.ts';

/**
 * Which nodes of a run may start, and what the end of one means for the others. Pure and deterministic; starts nothing.
 * Every change costs time in proportion to the edges it touches, except `retry` and `skip`, which look at the whole graph.
 */
export class GraphRun {
  private readonly nodes: readonly RunNode[];
  private readonly maxParallel: number;
  private readonly dependents: number[][];
  private readonly states: NodeState[];
  private readonly causes = new Map<number, number>();
  /** Needs of each node that are not over yet. */
  private readonly missing: number[];
  /** Every node after all it needs. */
  private readonly order: readonly number[];
  private ready: number[] = [];
  private updates: NodeUpdate[] = [];
  /** Nodes that want to go on, in the order in which they asked. */
  private returning: number[];
  /** Nodes that hold a place. */
  private busyCount = 0;
  private runningCount = 0;
  private failedCount = 0;
  private openBeforeLast = 0;

  constructor(nodes: readonly RunNode[], options: { readonly maxParallel: number; readonly state?: GraphState }) {
    this.nodes = nodes;
    this.maxParallel = options.maxParallel;
    this.dependents = nodes.map(() => []);
    nodes.forEach((node, index) => {
      for (const need of new Set(node.needs)) this.dependentsOf(need).push(index);
    });
    this.order = this.topological();
    this.states = options.state === undefined ? nodes.map(initialState) : statesOf(options.state);
    for (const [index, cause] of Object.entries(options.state?.causes ?? {})) this.causes.set(Number(index), cause);
    this.missing = nodes.map(() => 0);
    this.returning = this.states.flatMap((state, index) => (state === 'returning' ? [index] : []));
    this.recount();
    if (options.state === undefined) this.settleKept();
  }

  /** Nodes that may start now, at most as many as there are free places; each must be given to `start`. */
  startable(): number[] {
    // Who has begun goes before who has not, so that no node that was approved waits behind hundreds that are new.
    const free = this.freePlaces - this.returning.length;
    if (free <= 0) return [];
    const chosen: number[] = [];
    const later: number[] = [];
    for (const index of this.ready) {
      if (this.stateOf(index) !== 'pending') continue;
      if (chosen.length < free && this.mayRun(index)) chosen.push(index);
      else later.push(index);
    }
    this.ready = later;
    return chosen;
  }

  start(index: number): void {
    this.expect(index, ['pending']);
    this.set(index, 'running');
  }

  /** True when `wait` would be taken. */
  canWait(index: number): boolean {
    return this.stateOf(index) === 'running';
  }

  /** The node waits for somebody, and gives its place to others. */
  wait(index: number): void {
    this.expect(index, ['running']);
    this.set(index, 'waiting');
  }

  /** True when `ask` would be taken. */
  canAsk(index: number): boolean {
    return this.stateOf(index) === 'waiting';
  }

  /** The node could go on, and wants a place for it. */
  ask(index: number): void {
    this.expect(index, ['waiting']);
    this.set(index, 'returning');
    this.returning.push(index);
  }

  /** Nodes that may go on now, at most as many as there are free places; each must be given to `proceed`. */
  returnable(): number[] {
    return this.returning.slice(0, Math.max(0, this.freePlaces));
  }

  proceed(index: number): void {
    this.expect(index, ['returning']);
    this.set(index, 'running');
  }

  succeed(index: number, changedOutputs: boolean): void {
    this.expect(index, begun);
    this.set(index, changedOutputs ? 'succeeded' : 'unchanged');
    this.satisfyDependents(index);
  }

  fail(index: number): void {
    this.expect(index, begun);
    this.set(index, 'failed');
    this.skipDependents(index);
  }

  /** The node was stopped or refused; its dependents cannot run. */
  cancel(index: number): void {
    this.expect(index, begun);
    this.set(index, 'cancelled');
    this.skipDependents(index);
  }

  /** True when `retry` would be taken. */
  canRetry(index: number): boolean {
    const state = this.stateOf(index);
    return state === 'failed' || state === 'cancelled';
  }

  /** A failed or cancelled node runs again; what was skipped or held back because of it waits for it again. */
  retry(index: number): void {
    this.expect(index, ['failed', 'cancelled']);
    this.set(index, 'pending');
    this.updates.push({ index, status: 'pending' });
    this.releaseHeld();
    this.reviveSkipped();
  }

  /** True when `skip` would be taken. */
  canSkip(index: number): boolean {
    return ['failed', 'cancelled', 'pending'].includes(this.stateOf(index));
  }

  /** Leaves a node out by a person's word: what waits for it proceeds as if it had succeeded. */
  skip(index: number, by: string): void {
    this.expect(index, ['failed', 'cancelled', 'pending']);
    this.set(index, 'leftOut');
    this.updates.push({ index, status: 'skipped', reason: { kind: 'skippedByUser', message: `left out by ${by}` } });
    this.holdLast(index);
    this.releaseHeld();
    this.reviveSkipped();
  }

  /** Nothing that is still pending will run, unless a failed node is retried or left out. */
  holdPending(reason: SkipReason): void {
    this.states.forEach((state, index) => {
      if (state !== 'pending') return;
      this.set(index, 'held');
      this.updates.push({ index, status: reason.kind === 'stopped' ? 'cancelled' : 'skipped', reason });
    });
    this.ready = [];
  }

  /** Status changes that nobody recorded yet: keeps, skips, retries. Empties the list. */
  takeUpdates(): NodeUpdate[] {
    const taken = this.updates;
    this.updates = [];
    return taken;
  }

  private get freePlaces(): number {
    return this.maxParallel - this.busyCount;
  }

  /** Nodes that have begun and are not over, those that wait for somebody among them. */
  get running(): number {
    return this.runningCount;
  }

  get failed(): number {
    return this.failedCount;
  }

  /** Nothing runs and nothing can start any more. */
  get finished(): boolean {
    return this.runningCount === 0 && !this.states.includes('pending');
  }

  runningIndexes(): number[] {
    return this.states.flatMap((state, index) => (begun.has(state) ? [index] : []));
  }

  counts(): GraphCounts {
    const count = (...wanted: NodeState[]): number => this.states.filter((state) => wanted.includes(state)).length;
    return {
      total: this.states.length,
      succeeded: count('succeeded', 'unchanged'),
      failed: count('failed'),
      cancelled: count('cancelled', 'held'),
      skipped: count('skipped', 'kept', 'absent', 'leftOut'),
      running: count('running', 'waiting', 'returning'),
      pending: count('pending'),
    };
  }

  state(): GraphState {
    return { letters: encodeStates(this.states), causes: Object.fromEntries(this.causes) };
  }

  private stateOf(index: number): NodeState {
    const state = this.states[index];
    if (state === undefined) throw new RangeError(`the graph has no node ${index}`);
    return state;
  }

  private nodeOf(index: number): RunNode {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`the graph has no node ${index}`);
    return node;
  }

  private dependentsOf(index: number): number[] {
    const list = this.dependents[index];
    if (list === undefined) throw new RangeError(`a node needs number ${index}, which the graph does not have`);
    return list;
  }

  private expect(index: number, expected: Iterable<NodeState>): void {
    const state = this.stateOf(index);
    const states = [...expected];
    if (!states.includes(state)) {
      throw new RangeError(`"${this.nodeOf(index).alias}" is at ${state}, not at ${states.join(' or ')}`);
    }
  }

  private set(index: number, state: NodeState): void {
    const before = this.stateOf(index);
    if (before === 'running') this.busyCount--;
    if (state === 'running') this.busyCount++;
    if (begun.has(before)) this.runningCount--;
    if (begun.has(state)) this.runningCount++;
    if (before === 'returning') this.returning = this.returning.filter((other) => other !== index);
    if (before === 'failed') this.failedCount--;
    if (state === 'failed') this.failedCount++;
    if (!isLast(this.nodeOf(index))) {
      if (isOpen(before)) this.openBeforeLast--;
      if (isOpen(state)) this.openBeforeLast++;
    }
    this.states[index] = state;
    this.causes.delete(index);
  }

  /** Nodes of the second phase wait for all of the first, and run only when none of them went wrong. */
  private mayRun(index: number): boolean {
    return !isLast(this.nodeOf(index)) || this.openBeforeLast === 0;
  }

  private recount(): void {
    this.busyCount = 0;
    this.runningCount = 0;
    this.failedCount = 0;
    this.openBeforeLast = 0;
    this.ready = [];
    this.states.forEach((state, index) => {
      if (state === 'running') this.busyCount++;
      if (begun.has(state)) this.runningCount++;
      if (state === 'failed') this.failedCount++;
      if (!isLast(this.nodeOf(index)) && isOpen(state)) this.openBeforeLast++;
    });
    for (const index of this.order) {
      let missing = 0;
      for (const need of new Set(this.nodeOf(index).needs)) if (!this.isOver(need)) missing++;
      this.missing[index] = missing;
    }
    this.states.forEach((state, index) => {
      if (state === 'pending' && this.missing[index] === 0) this.ready.push(index);
    });
  }

  /** Nobody has to wait for it any longer; needs what it needs to be counted already. */
  private isOver(index: number): boolean {
    const state = this.stateOf(index);
    return state === 'succeeded' || state === 'unchanged' || (passed.has(state) && this.missing[index] === 0);
  }

  /** Records why kept nodes are kept, and what that means for those that need them. */
  private settleKept(): void {
    this.nodes.forEach((node, index) => {
      if (node.action !== 'keep') return;
      this.updates.push({
        index,
        status: 'skipped',
        reason: node.keptBecause ?? { kind: 'notSelected', message: 'not part of this run' },
      });
      if (node.satisfied !== true) this.skipDependents(index);
    });
    this.ready = this.ready.filter((index) => this.stateOf(index) === 'pending');
    for (const index of [...this.ready]) if (this.leaveOutUnchanged(index)) this.satisfyDependents(index);
  }

  private satisfyDependents(index: number): void {
    const waiting = [index];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const dependent of this.dependentsOf(next)) {
        const missing = (this.missing[dependent] ?? 0) - 1;
        this.missing[dependent] = missing;
        if (missing !== 0) continue;
        const state = this.stateOf(dependent);
        if (state === 'pending') this.ready.push(dependent);
        if (passed.has(state) || (state === 'pending' && this.leaveOutUnchanged(dependent))) waiting.push(dependent);
      }
    }
  }

  /** A trickled node whose needs changed nothing it could see is left as it is. */
  private leaveOutUnchanged(index: number): boolean {
    const node = this.nodeOf(index);
    if (node.onlyOnChange !== true) return false;
    if ([...node.needs, ...(node.reads ?? [])].some((need) => this.stateOf(need) === 'succeeded')) return false;
    this.set(index, 'kept');
    this.updates.push({
      index,
      status: 'skipped',
      reason: { kind: 'notSelected', message: 'no output it reads from has changed' },
    });
    return true;
  }

  /** Skips all that needs the node, also through nodes that are left as they are: they only hold the order. */
  private skipDependents(index: number): void {
    const waiting = [index];
    const seen = new Set(waiting);
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const dependent of this.dependentsOf(next)) {
        if (seen.has(dependent)) continue;
        const state = this.stateOf(dependent);
        // What is deployed carries its dependents, though something it was made with is not there.
        if (state !== 'pending' && (!passed.has(state) || (next === index && this.stateOf(index) === 'absent')))
          continue;
        seen.add(dependent);
        if (state === 'pending') this.setSkipped(dependent, index);
        waiting.push(dependent);
      }
    }
    this.holdLast(index);
  }

  private setSkipped(index: number, cause: number): void {
    this.set(index, 'skipped');
    this.causes.set(index, cause);
    this.updates.push({
      index,
      status: 'skipped',
      reason: skipReason(this.nodeOf(index).action, this.nodeOf(cause).alias, this.stateOf(cause)),
    });
  }

  /** Removed nodes are destroyed only after every deploy succeeded. */
  private holdLast(cause: number): void {
    if (isLast(this.nodeOf(cause)) || this.stateOf(cause) === 'absent') return;
    this.nodes.forEach((node, index) => {
      if (isLast(node) && this.stateOf(index) === 'pending') this.setSkipped(index, cause);
    });
  }

  /** What the first failure held back; whether it is held again is decided anew. */
  private releaseHeld(): void {
    this.states.forEach((state, index) => {
      if (state !== 'held') return;
      this.set(index, 'pending');
      this.updates.push({ index, status: 'pending' });
    });
  }

  /** Takes back every skip whose cause is gone; what is still skipped names a cause that still holds. */
  private reviveSkipped(): void {
    /** Why a dependent that is to run may not, for each node that is not over and will not be. */
    const causes = new Map<number, number>();
    const goneWrong = this.firstGoneWrong();
    for (const index of this.order) {
      const state = this.stateOf(index);
      if (blocking.has(state) && state !== 'skipped') causes.set(index, index);
      if (state !== 'skipped' && !passed.has(state)) continue;
      const node = this.nodeOf(index);
      const inherited = node.needs.flatMap((need) => causes.get(need) ?? [])[0];
      if (state !== 'skipped') {
        if (inherited !== undefined) causes.set(index, inherited);
        continue;
      }
      const cause =
        node.needs.find((need) => this.stateOf(need) === 'absent') ??
        inherited ??
        (isLast(node) ? goneWrong : undefined);
      if (cause === undefined) {
        this.set(index, 'pending');
        this.updates.push({ index, status: 'pending' });
        continue;
      }
      causes.set(index, cause);
      if (this.causes.get(index) !== cause) this.setSkipped(index, cause);
    }
    this.recount();
    for (const index of [...this.ready]) if (this.leaveOutUnchanged(index)) this.satisfyDependents(index);
  }

  /** A node of the first phase that keeps removed nodes from being destroyed. */
  private firstGoneWrong(): number | undefined {
    const found = this.states.findIndex(
      (state, index) => !isLast(this.nodeOf(index)) && ['failed', 'cancelled', 'held', 'leftOut'].includes(state),
    );
    return found === -1 ? undefined : found;
  }

  private topological(): number[] {
    const open = this.nodes.map((node) => new Set(node.needs).size);
    const order = this.nodes.flatMap((_, index) => (open[index] === 0 ? [index] : []));
    for (let position = 0; position < order.length; position++) {
      for (const dependent of this.dependentsOf(order[position] ?? 0)) {
        const left = (open[dependent] ?? 0) - 1;
        open[dependent] = left;
        if (left === 0) order.push(dependent);
      }
    }
    return order;
  }
}

function statesOf({ letters }: GraphState): NodeState[] {
  const states = decodeStates(letters);
  if (states === null) throw new RangeError('the states of a graph cannot be read');
  return states;
}
