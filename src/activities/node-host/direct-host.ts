/** The records of nodes in the database of this process. */
import type { NodeHost } from '../../node/index.ts';
import { isDatabaseUnavailable } from '../../store/index.ts';
import { beginVerified } from './begin.ts';
import type { HostDeps } from './records.ts';

export function createDirectHost(deps: HostDeps): NodeHost {
  return {
    begin: (input, caller) => beginVerified(deps, input, caller),
    isAway: isDatabaseUnavailable,
  };
}
