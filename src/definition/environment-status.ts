import type { EnvironmentStatus } from '../model/index.ts';

/** How many nodes of a graph are how far. */
export interface NodeTally {
  readonly total: number;
  readonly active: number;
  readonly failed: number;
  readonly destroyed: number;
  /** Not deployed, and disabled in the file: the graph is whole without them. */
  readonly unwanted: number;
}

/** What a graph is when nothing runs on it. `failedNow`: a node failed in the run that has just ended. */
export function workflowStatus(nodes: NodeTally, failedNow: boolean): EnvironmentStatus {
  if (nodes.failed > 0 || failedNow) return 'failed';
  if (nodes.active === 0) return nodes.destroyed > 0 ? 'inactive' : 'neverDeployed';
  return nodes.active + nodes.unwanted >= nodes.total ? 'active' : 'partlyDeployed';
}
