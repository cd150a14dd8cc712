import type { RunNode } from '../model/orchestration.ts';

/** How far one node of a run is, as the engine sees it. */
export type NodeState =
  | 'pending'
  | 'running'
  /** Waits for somebody, and holds no place. */
  | 'waiting'
  /** Wants a place again to go on. */
  | 'returning'
  | 'succeeded'
  /** Succeeded, and its outputs are the same as before. */
  | 'unchanged'
  /** Not part of the run, and deployed. */
  | 'kept'
  /** Not part of the run, and not deployed. */
  | 'absent'
  | 'failed'
  | 'cancelled'
  /** An ancestor has gone wrong. */
  | 'skipped'
  /** A person has left it out; what needs it goes on. */
  | 'leftOut'
  /** Held back, because the run is being stopped or stops at its first failure. */
  | 'held';

/** One letter each, so that a graph of thousands fits into a small string. The letters are in histories: never change one. */
const letters: Readonly<Record<NodeState, string>> = {
  pending: 'p',
  running: 'r',
  waiting: 'w',
  returning: 'q',
  succeeded: 's',
  unchanged: 'u',
  kept: 'k',
  absent: 'x',
  failed: 'f',
  cancelled: 'c',
  skipped: 'd',
  leftOut: 'z',
  held: 'h',
};
const states = new Map(Object.entries(letters).map(([state, letter]) => [letter, state as NodeState]));

/** A graph's states as a string with one letter per node, for a history. */
export function encodeStates(list: readonly NodeState[]): string {
  return list.map((state) => letters[state]).join('');
}

/** null when a letter stands for nothing. */
export function decodeStates(text: string): NodeState[] | null {
  const decoded = [...text].flatMap((letter) => states.get(letter) ?? []);
  return decoded.length === text.length ? decoded : null;
}

/** Nodes that this run leaves as they are. Order holds through them: what needs one waits for all that it needs. */
export const passed: ReadonlySet<NodeState> = new Set(['kept', 'absent', 'leftOut']);
/** Begun and not over. */
export const begun: ReadonlySet<NodeState> = new Set(['running', 'waiting', 'returning']);
/** What needs one of these cannot run. */
export const blocking: ReadonlySet<NodeState> = new Set(['failed', 'cancelled', 'skipped', 'held']);

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

export function isOpen(state: NodeState): boolean {
  return state === 'pending' || begun.has(state);
}

export function initialState(node: RunNode): NodeState {
  if (node.action !== 'keep') return 'pending';
  return node.satisfied === true ? 'kept' : 'absent';
}

/** Runs once all others have succeeded: removed nodes. `phase` is what versions before called it. */
export function isLast(node: RunNode & { readonly phase?: 1 }): boolean {
  return node.last === true || node.phase === 1;
}
