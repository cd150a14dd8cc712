import type { SkipReason } from '../model/deployment.ts';
import type { GraphState, NodeUpdate, RunNode } from '../model/orchestration.ts';

/**
 * How far one node of a run is. One letter each, so that a graph of thousands fits into a small string:
 * p pending · r running · s succeeded · u succeeded, outputs unchanged · k kept and deployed · x kept, not deployed ·
 * f failed · c cancelled · d skipped because of an ancestor · z left out by a person, dependents go on · h held back by a stop
 */
type Letter = 'p' | 'r' | 's' | 'u' | 'k' | 'x' | 'f' | 'c' | 'd' | 'z' | 'h';

const satisfied: ReadonlySet<Letter> = new Set(['s', 'u', 'k', 'z']);
const blocking: ReadonlySet<Letter> = new Set(['f', 'c', 'd', 'x', 'h']);

/** Counts for summaries. */
export interface GraphCounts {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  readonly running: number;
  readonly pending: number;
}

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
  /** Needs of each node that are not satisfied yet. */
  private readonly missing: number[];
  private ready: number[] = [];
  private updates: NodeUpdate[] = [];
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
    this.letters = nodes.map((node, index) => initialLetter(node, options.state?.letters[index]));
    for (const [index, cause] of Object.entries(options.state?.causes ?? {})) this.causes.set(Number(index), cause);
    this.missing = nodes.map(() => 0);
    this.recount();
    if (options.state === undefined) this.settleKept();
  }

  /** Nodes that may start now, at most as many as there are free places; each must be given to `start`. */
  startable(): number[] {
    const free = this.maxParallel - this.runningCount;
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

  succeed(index: number, changedOutputs: boolean): void {
    this.expect(index, ['r']);
    this.set(index, changedOutputs ? 's' : 'u');
    this.satisfyDependents(index);
  }

  fail(index: number): void {
    this.expect(index, ['r']);
    this.set(index, 'f');
    this.skipDependents(index);
  }

  /** The node was stopped or refused; its dependents cannot run. */
  cancel(index: number): void {
    this.expect(index, ['r']);
    this.set(index, 'c');
    this.skipDependents(index);
  }

  /** True when `retry` would be taken. */
  canRetry(index: number): boolean {
    const letter = this.letterOf(index);
    return letter === 'f' || letter === 'c';
  }

  /** A failed or cancelled node runs again; what was skipped because of it waits for it again. */
  retry(index: number): void {
    this.expect(index, ['f', 'c']);
    this.set(index, 'p');
    this.updates.push({ index, status: 'pending' });
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
    this.reviveSkipped();
  }

  /** Nothing that is still pending will run. */
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
    return this.letters.flatMap((letter, index) => (letter === 'r' ? [index] : []));
  }

  counts(): GraphCounts {
    const count = (...wanted: Letter[]): number => this.letters.filter((letter) => wanted.includes(letter)).length;
    return {
      total: this.letters.length,
      succeeded: count('s', 'u'),
      failed: count('f'),
      cancelled: count('c', 'h'),
      skipped: count('d', 'k', 'x', 'z'),
      running: count('r'),
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

  private expect(index: number, letters: readonly Letter[]): void {
    const letter = this.letterOf(index);
    if (!letters.includes(letter)) {
      throw new RangeError(`"${this.nodeOf(index).alias}" is at ${letter}, not at ${letters.join(' or ')}`);
    }
  }

  private set(index: number, letter: Letter): void {
    const before = this.letterOf(index);
    if (before === 'r') this.runningCount--;
    if (letter === 'r') this.runningCount++;
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
    this.runningCount = 0;
    this.failedCount = 0;
    this.openInFirstPhase = 0;
    this.ready = [];
    this.letters.forEach((letter, index) => {
      if (letter === 'r') this.runningCount++;
      if (letter === 'f') this.failedCount++;
      if (this.nodeOf(index).phase !== 1 && isOpen(letter)) this.openInFirstPhase++;
      this.missing[index] = new Set(this.nodeOf(index).needs).size - this.satisfiedNeeds(index);
      if (letter === 'p' && this.missing[index] === 0) this.ready.push(index);
    });
  }

  private satisfiedNeeds(index: number): number {
    let count = 0;
    for (const need of new Set(this.nodeOf(index).needs)) if (satisfied.has(this.letterOf(need))) count++;
    return count;
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
    for (const index of [...this.ready]) this.leaveOutUnchanged(index);
  }

  private satisfyDependents(index: number): void {
    const waiting = [index];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const dependent of this.dependentsOf(next)) {
        const missing = (this.missing[dependent] ?? 0) - 1;
        this.missing[dependent] = missing;
        if (missing !== 0 || this.letterOf(dependent) !== 'p') continue;
        this.ready.push(dependent);
        if (this.leaveOutUnchanged(dependent)) waiting.push(dependent);
      }
    }
  }

  /** A trickled node whose needs changed nothing it could see is left as it is. */
  private leaveOutUnchanged(index: number): boolean {
    const node = this.nodeOf(index);
    if (node.onlyOnChange !== true || node.needs.some((need) => this.letterOf(need) === 's')) return false;
    this.set(index, 'k');
    this.updates.push({
      index,
      status: 'skipped',
      reason: { kind: 'notSelected', message: 'no output it reads from has changed' },
    });
    return true;
  }

  private skipDependents(index: number): void {
    const waiting = [index];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const dependent of this.dependentsOf(next)) {
        if (this.letterOf(dependent) !== 'p') continue;
        const cause = this.causes.get(next) ?? next;
        this.set(dependent, 'd');
        this.causes.set(dependent, cause);
        this.updates.push({ index: dependent, status: 'skipped', reason: this.skipReason(dependent, cause) });
        waiting.push(dependent);
      }
    }
    this.holdSecondPhase(index);
  }

  /** Removed nodes are destroyed only after every deploy succeeded. */
  private holdSecondPhase(cause: number): void {
    if (this.nodeOf(cause).phase === 1 || this.letterOf(cause) === 'x') return;
    this.nodes.forEach((node, index) => {
      if (node.phase !== 1 || this.letterOf(index) !== 'p') return;
      this.set(index, 'd');
      this.causes.set(index, cause);
      this.updates.push({ index, status: 'skipped', reason: this.skipReason(index, cause) });
    });
  }

  private skipReason(index: number, cause: number): SkipReason {
    const alias = this.nodeOf(cause).alias;
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
        return this.nodeOf(index).action === 'destroy'
          ? { kind: 'keptAlive', alias, message: `kept, because "${alias}" could not be brought to its end` }
          : { kind: 'failedAncestor', alias, message: `needs "${alias}", which failed` };
    }
  }

  /** Takes back every skip whose cause is gone. */
  private reviveSkipped(): void {
    for (const index of this.topological()) {
      if (this.letterOf(index) !== 'd') continue;
      const node = this.nodeOf(index);
      const blockedByNeed = node.needs.some((need) => blocking.has(this.letterOf(need)));
      const blockedByPhase = node.phase === 1 && this.firstPhaseWentWrong();
      if (blockedByNeed || blockedByPhase) continue;
      this.set(index, 'p');
      this.updates.push({ index, status: 'pending' });
    }
    this.recount();
    for (const index of [...this.ready]) if (this.leaveOutUnchanged(index)) this.satisfyDependents(index);
  }

  private firstPhaseWentWrong(): boolean {
    return this.letters.some(
      (letter, index) => this.nodeOf(index).phase !== 1 && ['f', 'c', 'd', 'h'].includes(letter),
    );
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

function isOpen(letter: Letter): boolean {
  return letter === 'p' || letter === 'r';
}

function initialLetter(node: RunNode, saved: string | undefined): Letter {
  if (saved !== undefined) return saved as Letter;
  if (node.action !== 'keep') return 'p';
  return node.satisfied === true ? 'k' : 'x';
}

/** The nearest dependents that are undone too, also through nodes that are kept as they are. */
function undoneFirst(
  from: number,
  dependents: readonly number[][],
  undo: ReadonlyMap<number, RunNode['action']>,
): number[] {
  const found: number[] = [];
  const seen = new Set<number>();
  const waiting = [...(dependents[from] ?? [])];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if ((undo.get(next) ?? 'keep') !== 'keep') found.push(next);
    else waiting.push(...(dependents[next] ?? []));
  }
  return found;
}

/**
 * The graph that undoes part of a run: what needed a node is undone before it.
 * Indexes stay those of the run; nodes that are not undone are kept and hold nobody up.
 */
export function compensationGraph(nodes: readonly RunNode[], undo: ReadonlyMap<number, RunNode['action']>): RunNode[] {
  const dependents: number[][] = nodes.map(() => []);
  nodes.forEach((node, index) => {
    for (const need of node.needs) dependents[need]?.push(index);
  });
  return nodes.map((node, index) => {
    const action = undo.get(index) ?? 'keep';
    if (action === 'keep')
      return {
        alias: node.alias,
        needs: [],
        action,
        satisfied: true,
        keptBecause: { kind: 'notSelected', message: 'nothing to undo' },
      };
    return {
      alias: node.alias,
      // A destroy in the run already stands in reverse: what it needed is undone first all the same.
      needs: undoneFirst(index, dependents, undo),
      action,
      ...(node.timeoutSeconds === undefined ? {} : { timeoutSeconds: node.timeoutSeconds }),
    };
  });
}
