/** Whether a node would run with what it ran with last. */
import { inputHash } from '../../definition/index.ts';
import type { EffectiveVariable, NodeBegin, NodeSnapshot } from '../../model/index.ts';
import type { NodeValues } from '../../node/index.ts';
import type { ActivityDeps } from '../deps.ts';

/** What a node runs with, as one hash: the same hash and the same state mean nothing to do. */
export function unchangedHash(snapshot: NodeSnapshot, values: NodeValues): string {
  const { type, commit, source, config, workspace } = snapshot;
  const variables = values.variables.map(({ name, kind, value }: EffectiveVariable) => [kind, name, value]);
  return inputHash({ type, commit, path: source.path, config, workspace, variables });
}

export async function isUnchanged(
  deps: Pick<ActivityDeps, 'state'>,
  begin: NodeBegin,
  snapshot: NodeSnapshot,
  hash: string,
): Promise<boolean> {
  if (begin.request.force || begin.environment_status !== 'active' || begin.journal?.open === true) return false;
  if (snapshot.redeploy === 'always') return false;
  if (snapshot.redeploy === 'never') return true;
  const state = await deps.state.latest(begin.environment_id);
  return begin.input_hash === `${hash}:${state?.serial ?? '-'}`;
}
