import type { SkipReason } from '../model/deployment.ts';
import type { GraphState, NodeUpdate, RunNode } from '../model/orchestration.ts';
import { begun, blocking, initialLetter, isOpen, passed } from './graph-letters.ts';
import type { GraphCounts, Letter } from './graph-letters.ts';

/**
 * Which nodes of a run may start, and what the end of one means for the others. Pure and deterministic; starts nothing.
 * Every change costs time in proportion to the edges it touches, except `retry` and `skip`, which look at the whole graph.
 */
export class GraphRun {
  private readonly nodes: readonly RunNode[];
  private readonly maxParallel: number;
  private readonly dependents: number[][];
  private readonly letters: Letter[];
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
  private openInFirstPhase = 0;

  constructor(nodes: readonly RunNode[], options: { readonly maxParallel: number; readonly state?: GraphState }) {
    this.nodes = nodes;
    this.maxParallel = options.maxParallel;
    this.dependents = nodes.map(() => []);
    nodes.forEach((node, index) => {
      for (const need of new Set(node.needs)) this.dependentsOf(need).push(index);
    });
    this.order = this.topological();
    this.letters = nodes.map((node, index) => initialLetter(node, options.state?.letters[index]));
    for (const [index, cause] of Object.entries(options.state?.causes ?? {})) this.causes.set(Number(index), cause);
    this.missing = nodes.map(() => 0);
    this.returning = this.letters.flatMap((letter, index) => (letter === 'q' ? [index] : []));
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
      if (this.letterOf(index) !== 'p') continue;
      if (chosen.length < free && this.phaseOpen(index)) chosen.push(index);
      else later.push(index);
    }
    this.ready = later;
    return chosen;
  }

  start(index: number): void {
    this.expect(index, ['p']);
    this.set(index, 'r');
  }

  /** True when `wait` would be taken. */
  canWait(index: number): boolean {
    return this.letterOf(index) === 'r';
  }

  /** The node waits for somebody, and gives its place to others. */
  wait(index: number): void {
    this.expect(index, ['r']);
    this.set(index, 'w');
  }

  /** True when `ask` would be taken. */
  canAsk(index: number): boolean {
    return this.letterOf(index) === 'w';
  }

  /** The node could go on, and wants a place for it. */
  ask(index: number): void {
    this.expect(index, ['w']);
    this.set(index, 'q');
    this.returning.push(index);
  }

  /** Nodes that may go on now, at most as many as there are free places; each must be given to `proceed`. */
  returnable(): number[] {
    return this.returning.slice(0, Math.max(0, this.freePlaces));
  }

  proceed(index: number): void {
    this.expect(index, ['q']);
    this.set(index, 'r');
  }

  succeed(index: number, changedOutputs: boolean): void {
    this.expect(index, begun);
    this.set(index, changedOutputs ? 's' : 'u');
    this.satisfyDependents(index);
  }

  fail(index: number): void {
    this.expect(index, begun);
    this.set(index, 'f');
    this.skipDependents(index);
  }

  /** The node was stopped or refused; its dependents cannot run. */
  cancel(index: number): void {
    this.expect(index, begun);
    this.set(index, 'c');
    this.skipDependents(index);
  }

  /** True when `retry` would be taken. */
  canRetry(index: number): boolean {
    const letter = this.letterOf(index);
    return letter === 'f' || letter === 'c';
  }

  /** A failed or cancelled node runs again; what was skipped or held back because of it waits for it again. */
  retry(index: number): void {
    this.expect(index, ['f', 'c']);
    this.set(index, 'p');
    this.updates.push({ index, status: 'pending' });
    this.releaseHeld();
    this.reviveSkipped();
  }

  /** True when `skip` would be taken. */
  canSkip(index: number): boolean {
    return ['f', 'c', 'p'].includes(this.letterOf(index));
  }

  /** Leaves a node out by a person's word: what waits for it proceeds as if it had succeeded. */
  skip(index: number, by: string): void {
    this.expect(index, ['f', 'c', 'p']);
    this.set(index, 'z');
    this.updates.push({ index, status: 'skipped', reason: { kind: 'skippedByUser', message: `left out by ${by}` } });
    this.holdSecondPhase(index);
    this.releaseHeld();
    this.reviveSkipped();
  }

  /** Nothing that is still pending will run, unless a failed node is retried or left out. */
  holdPending(reason: SkipReason): void {
    this.letters.forEach((letter, index) => {
      if (letter !== 'p') return;
      this.set(index, 'h');
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
    return this.runningCount === 0 && !this.letters.includes('p');
  }

  runningIndexes(): number[] {
    return this.letters.flatMap((letter, index) => (begun.has(letter) ? [index] : []));
  }

  counts(): GraphCounts {
    const count = (...wanted: Letter[]): number => this.letters.filter((letter) => wanted.includes(letter)).length;
    return {
      total: this.letters.length,
      succeeded: count('s', 'u'),
      failed: count('f'),
      cancelled: count('c', 'h'),
      skipped: count('d', 'k', 'x', 'z'),
      running: count('r', 'w', 'q'),
      pending: count('p'),
    };
  }

  state(): GraphState {
    return { letters: this.letters.join(''), causes: Object.fromEntries(this.causes) };
  }

  private letterOf(index: number): Letter {
    const letter = this.letters[index];
    if (letter === undefined) throw new RangeError(`the graph has no node ${index}`);
    return letter;
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

  private expect(index: number, expected: Iterable<Letter>): void {
    const letter = this.letterOf(index);
    const letters = [...expected];
    if (!letters.includes(letter)) {
      throw new RangeError(`"${this.nodeOf(index).alias}" is at ${letter}, not at ${letters.join(' or ')}`);
    }
  }

  private set(index: number, letter: Letter): void {
    const before = this.letterOf(index);
    if (before === 'r') this.busyCount--;
    if (letter === 'r') this.busyCount++;
    if (begun.has(before)) this.runningCount--;
    if (begun.has(letter)) this.runningCount++;
    if (before === 'q') this.returning = this.returning.filter((other) => other !== index);
    if (before === 'f') this.failedCount--;
    if (letter === 'f') this.failedCount++;
    if (this.nodeOf(index).phase !== 1) {
      if (isOpen(before)) this.openInFirstPhase--;
      if (isOpen(letter)) this.openInFirstPhase++;
    }
    this.letters[index] = letter;
    this.causes.delete(index);
  }

  /** Nodes of the second phase wait for all of the first, and run only when none of them went wrong. */
  private phaseOpen(index: number): boolean {
    return this.nodeOf(index).phase !== 1 || this.openInFirstPhase === 0;
  }

  private recount(): void {
    this.busyCount = 0;
    this.runningCount = 0;
    this.failedCount = 0;
    this.openInFirstPhase = 0;
    this.ready = [];
    this.letters.forEach((letter, index) => {
      if (letter === 'r') this.busyCount++;
      if (begun.has(letter)) this.runningCount++;
      if (letter === 'f') this.failedCount++;
      if (this.nodeOf(index).phase !== 1 && isOpen(letter)) this.openInFirstPhase++;
    });
    for (const index of this.order) {
      let missing = 0;
      for (const need of new Set(this.nodeOf(index).needs)) if (!this.isOver(need)) missing++;
      this.missing[index] = missing;
    }
    this.letters.forEach((letter, index) => {
      if (letter === 'p' && this.missing[index] === 0) this.ready.push(index);
    });
  }

  /** Nobody has to wait for it any longer; needs what it needs to be counted already. */
  private isOver(index: number): boolean {
    const letter = this.letterOf(index);
    return letter === 's' || letter === 'u' || (passed.has(letter) && this.missing[index] === 0);
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
    this.ready = this.ready.filter((index) => this.letterOf(index) === 'p');
    for (const index of [...this.ready]) if (this.leaveOutUnchanged(index)) this.satisfyDependents(index);
  }

  private satisfyDependents(index: number): void {
    const waiting = [index];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const dependent of this.dependentsOf(next)) {
        const missing = (this.missing[dependent] ?? 0) - 1;
        this.missing[dependent] = missing;
        if (missing !== 0) continue;
        const letter = this.letterOf(dependent);
        if (letter === 'p') this.ready.push(dependent);
        if (passed.has(letter) || (letter === 'p' && this.leaveOutUnchanged(dependent))) waiting.push(dependent);
      }
    }
  }

  /** A trickled node whose needs changed nothing it could see is left as it is. */
  private leaveOutUnchanged(index: number): boolean {
    const node = this.nodeOf(index);
    if (node.onlyOnChange !== true) return false;
    if ([...node.needs, ...(node.reads ?? [])].some((need) => this.letterOf(need) === 's')) return false;
    this.set(index, 'k');
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
        const letter = this.letterOf(dependent);
        // What is deployed carries its dependents, though something it was made with is not there.
        if (letter !== 'p' && (!passed.has(letter) || (next === index && this.letterOf(index) === 'x'))) continue;
        seen.add(dependent);
        if (letter === 'p') this.setSkipped(dependent, index);
        waiting.push(dependent);
      }
    }
    this.holdSecondPhase(index);
  }

  private setSkipped(index: number, cause: number): void {
    this.set(index, 'd');
    this.causes.set(index, cause);
    this.updates.push({ index, status: 'skipped', reason: this.skipReason(index, cause) });
  }

  /** Removed nodes are destroyed only after every deploy succeeded. */
  private holdSecondPhase(cause: number): void {
    if (this.nodeOf(cause).phase === 1 || this.letterOf(cause) === 'x') return;
    this.nodes.forEach((node, index) => {
      if (node.phase === 1 && this.letterOf(index) === 'p') this.setSkipped(index, cause);
    });
  }

  private skipReason(index: number, cause: number): SkipReason {
    const alias = this.nodeOf(cause).alias;
    if (this.nodeOf(index).action === 'destroy') {
      const why = { c: 'was stopped', z: 'was left out and may still need it' }[this.letterOf(cause) as string];
      return {
        kind: 'keptAlive',
        alias,
        message: `kept, because "${alias}" ${why ?? 'could not be brought to its end'}`,
      };
    }
    switch (this.letterOf(cause)) {
      case 'x':
        return {
          kind: 'disabledAncestor',
          alias,
          message: `needs "${alias}", which is not deployed and not part of this run`,
        };
      case 'c':
        return { kind: 'stopped', alias, message: `needs "${alias}", which was stopped` };
      default:
        return { kind: 'failedAncestor', alias, message: `needs "${alias}", which failed` };
    }
  }

  /** What the first failure held back; whether it is held again is decided anew. */
  private releaseHeld(): void {
    this.letters.forEach((letter, index) => {
      if (letter !== 'h') return;
      this.set(index, 'p');
      this.updates.push({ index, status: 'pending' });
    });
  }

  /** Takes back every skip whose cause is gone; what is still skipped names a cause that still holds. */
  private reviveSkipped(): void {
    /** Why a dependent that is to run may not, for each node that is not over and will not be. */
    const causes = new Map<number, number>();
    const goneWrong = this.firstGoneWrong();
    for (const index of this.order) {
      const letter = this.letterOf(index);
      if (blocking.has(letter) && letter !== 'd') causes.set(index, index);
      if (letter !== 'd' && !passed.has(letter)) continue;
      const node = this.nodeOf(index);
      const inherited = node.needs.flatMap((need) => causes.get(need) ?? [])[0];
      if (letter !== 'd') {
        if (inherited !== undefined) causes.set(index, inherited);
        continue;
      }
      const cause =
        node.needs.find((need) => this.letterOf(need) === 'x') ??
        inherited ??
        (node.phase === 1 ? goneWrong : undefined);
      if (cause === undefined) {
        this.set(index, 'p');
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
    const found = this.letters.findIndex(
      (letter, index) => this.nodeOf(index).phase !== 1 && ['f', 'c', 'h', 'z'].includes(letter),
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
