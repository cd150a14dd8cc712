import type { NodeAction, SkipReason } from '../model/deployment.ts';
import type { NodeState } from './node-states.ts';

/** What keeps a node alive that was to be destroyed, in words. */
const whyKept: Partial<Record<NodeState, string>> = {
  cancelled: 'was stopped',
  leftOut: 'was left out and may still need it',
};

/** Why a node does not run because of another one, `alias`, which has come to `cause`. */
export function skipReason(action: NodeAction, alias: string, cause: NodeState): SkipReason {
  if (action === 'destroy') {
    const why = whyKept[cause];
    return {
      kind: 'keptAlive',
      alias,
      message: `kept, because "${alias}" ${why ?? 'could not be brought to its end'}`,
    };
  }
  switch (cause) {
    case 'absent':
      return {
        kind: 'disabledAncestor',
        alias,
        message: `needs "${alias}", which is not deployed and not part of this run`,
      };
    case 'cancelled':
      return { kind: 'stopped', alias, message: `needs "${alias}", which was stopped` };
    default:
      return { kind: 'failedAncestor', alias, message: `needs "${alias}", which failed` };
  }
}
