/** What may be asked of a run that is under way, and what is refused because of where it is. */
import type { ControlRequest, StopMode } from '../model/orchestration.ts';

/** Where a run is when something is asked of it. */
export interface RunSituation {
  readonly ended: boolean;
  readonly compensating: boolean;
  readonly stop: StopMode | null;
  /** The node that is meant; null when the run has none of that name, or no graph yet. */
  readonly node: NodeSituation | null;
}

export interface NodeSituation {
  readonly canRetry: boolean;
  readonly canSkip: boolean;
  /** Its child has not ended, as far as the run has heard. */
  readonly open: boolean;
}

/** A stop gives way only to one that goes as far. */
const reach: Readonly<Record<StopMode, number>> = { cancel: 0, abort: 1, rollback: 2 };

/** Why a request cannot be acted on; null when it can. */
export function controlRefusal(request: ControlRequest, situation: RunSituation): string | null {
  if (situation.ended) return 'the run has ended';
  if (situation.compensating) return 'the run is being rolled back and cannot be changed any more';
  switch (request.kind) {
    case 'retry':
    case 'skip':
      return nodeRefusal(request, situation);
    case 'pause':
    case 'continue':
      return situation.stop === null ? null : 'the run is being stopped';
    case 'cancel':
    case 'abort':
    case 'rollback':
      return situation.stop !== null && reach[request.kind] < reach[situation.stop]
        ? `the run is being stopped already (${situation.stop})`
        : null;
  }
}

type NodeRequest = Extract<ControlRequest, { kind: 'retry' | 'skip' }>;

function nodeRefusal(request: NodeRequest, { stop, node }: RunSituation): string | null {
  if (stop !== null) return 'the run is being stopped';
  if (node === null) return `this run has no node "${request.alias}"`;
  const waitsForRepair = node.open && [undefined, 'paused'].includes(request.recorded);
  const possible = request.kind === 'retry' ? node.canRetry || waitsForRepair : node.canSkip;
  return possible || isEnding(request, node) ? null : `"${request.alias}" is not in a state for ${request.kind}`;
}

/** The records say that the node has ended, and the run is about to hear of it. */
export function isEnding({ recorded }: NodeRequest, { open }: Pick<NodeSituation, 'open'>): boolean {
  return recorded !== undefined && ['failed', 'cancelled', 'aborted'].includes(recorded) && open;
}
