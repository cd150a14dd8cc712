/** The records of nodes in the database of this process. */
import type { NodeHost } from '../../node/index.ts';
import { isDatabaseUnavailable } from '../../store/index.ts';
import type { ActivityDeps } from '../deps.ts';
import { beginBorneOut } from './begin.ts';

export function createDirectHost(deps: ActivityDeps): NodeHost {
  return {
    begin: (input, caller) => beginBorneOut(deps, input, caller),
    isAway: isDatabaseUnavailable,
  };
}
