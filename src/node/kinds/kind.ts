import type { NodeBegin, NodeOutcome, RunNodeInput } from '../../model/index.ts';
import type { NodeRecords } from '../host.ts';

/** A node whose records have been begun: nothing is left to be recovered, and it is not over. */
export interface BegunNode {
  readonly input: RunNodeInput;
  readonly begin: NodeBegin;
  readonly records: NodeRecords;
}

/**
 * Does what a kind of node does for one action, and records the ending or the wait. May be called again at any point after
 * a crash, with the same input.
 */
export type PerformNode = (node: BegunNode) => Promise<NodeOutcome>;
