import type { RunNode } from '../model/orchestration.ts';

/**
 * How far one node of a run is. One letter each, so that a graph of thousands fits into a small string:
 * p pending · r running · w waits for somebody, holds no place · q wants a place again to go on ·
 * s succeeded · u succeeded, outputs unchanged · k kept and deployed · x kept, not deployed · f failed · c cancelled · d skipped because of an ancestor · z left out by a person, dependents go on · h held back by a stop
 */
export type Letter = 'p' | 'r' | 'w' | 'q' | 's' | 'u' | 'k' | 'x' | 'f' | 'c' | 'd' | 'z' | 'h';

/** Nodes that this run leaves as they are. Order holds through them: what needs one waits for all that it needs. */
export const passed: ReadonlySet<Letter> = new Set(['k', 'x', 'z']);
/** Begun and not over. */
export const begun: ReadonlySet<Letter> = new Set(['r', 'w', 'q']);
export const blocking: ReadonlySet<Letter> = new Set(['f', 'c', 'd', 'h']);

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

export function isOpen(letter: Letter): boolean {
  return letter === 'p' || begun.has(letter);
}

export function initialLetter(node: RunNode, saved: string | undefined): Letter {
  if (saved !== undefined) return saved as Letter;
  if (node.action !== 'keep') return 'p';
  return node.satisfied === true ? 'k' : 'x';
}
