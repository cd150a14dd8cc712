/** What a long run carries over to its next workflow run, held against the records. */
import { decodeStates } from '../definition/index.ts';
import type { NodeState } from '../definition/index.ts';
import type { DeploymentState } from '../model/index.ts';
import type { NodeMark, RunRow } from '../store/index.ts';

/**
 * Why a carried state cannot be that of this run; null when it can. What lets other nodes go on counts (see
 * definition/node-states.ts), and how the run is stopped; a node that is said to be less far than it is
 * answers so by itself.
 */
export function stateProblem(
  state: DeploymentState,
  run: Pick<RunRow, 'status' | 'stop_mode'>,
  marks: readonly NodeMark[],
): string | null {
  if (state.compensating !== (run.status === 'rollingBack'))
    return state.compensating ? 'it is not being rolled back' : 'it is being rolled back';
  if (state.stop !== null && run.stop_mode === null && run.status !== 'stopping' && run.status !== 'rollingBack')
    return 'it is not being stopped';
  const forward = new Map(marks.filter((mark) => !mark.compensation).map((mark) => [mark.index, mark]));
  const undone = new Map(marks.filter((mark) => mark.compensation).map((mark) => [mark.index, mark]));
  const states = decodeStates(state.graph.letters);
  if (states === null) return 'its states cannot be read';
  for (const [index, nodeState] of states.entries()) {
    const mark = (state.compensating ? undone : forward).get(index);
    if (!matchesRecord(nodeState, mark))
      return `node ${index} is ${mark?.status ?? 'not part of it'}, not as it is said to be`;
  }
  return null;
}

function matchesRecord(state: NodeState, mark: NodeMark | undefined): boolean {
  switch (state) {
    case 'succeeded':
    case 'unchanged':
      return mark?.status === 'succeeded' || (mark?.action === 'plan' && mark.status === 'skipped');
    case 'leftOut':
      return mark?.reason === 'skippedByUser' || mark?.status === 'succeeded';
    // Kept: nothing of it is run. A node that is not undone has no record of an undoing.
    case 'kept':
      return mark === undefined || mark.action === 'keep' || mark.status === 'skipped';
    default:
      return true;
  }
}
