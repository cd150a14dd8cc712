import type { NodeOutcome, NodeSnapshot, RunNodeInput } from '../../model/index.ts';
import type { NodeBegin, NodeKey } from '../../store/index.ts';
import type { ActivityDeps } from '../deps.ts';

/** A node whose records have been begun: nothing is left to be recovered, and it is not over. */
export interface BegunNode {
  readonly deps: ActivityDeps;
  readonly input: RunNodeInput;
  readonly key: NodeKey;
  readonly begin: NodeBegin;
  readonly snapshot: NodeSnapshot;
}

/**
 * Does what a kind of node does for one action, and records the ending or the wait. May be called again at any point after
 * a crash, with the same input.
 */
export type PerformNode = (node: BegunNode) => Promise<NodeOutcome>;
