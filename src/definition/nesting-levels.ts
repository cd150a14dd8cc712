/** How deep workflows lie in each other, and that none lies in itself. */
import { deepestNesting } from './node-path.ts';
import { quote } from './text.ts';

/** A workflow that is being read, and how to know it again. */
export interface WorkflowLevel {
  /** For people. */
  readonly name: string;
  /** Of its node; empty for the outermost one. */
  readonly path: string;
  /** What tells it from others: its template, the place of its file. */
  readonly keys: readonly string[];
}

/** Why a workflow cannot stand where it does; null when it can. `around`: from the outermost one down. */
export function levelProblem(around: readonly WorkflowLevel[], level: WorkflowLevel): string | null {
  const same = around.findIndex(({ keys }) => keys.some((key) => level.keys.includes(key)));
  if (same >= 0) {
    const path = [...around.slice(same), level].map((each) =>
      each.path === '' ? quote(each.name) : `${quote(each.name)} (${each.path})`,
    );
    return `a workflow contains itself: ${path.join(' → ')}`;
  }
  if (around.length < deepestNesting) return null;
  return `${quote(level.path)} is a workflow at level ${around.length + 1}; at most ${deepestNesting} levels are allowed`;
}
