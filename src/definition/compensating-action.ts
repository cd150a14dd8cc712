import { isReadOnly } from '../model/index.ts';
import type { NodeAction } from '../model/index.ts';

/** What takes back what a run has begun to do to a node: the version from before, or a destroy when there was none. */
export function compensatingAction(node: {
  readonly action: NodeAction;
  readonly beganChange: boolean;
  readonly deployedBefore: boolean;
}): Extract<NodeAction, 'deploy' | 'destroy' | 'keep'> {
  const { action, beganChange, deployedBefore } = node;
  if (!beganChange || action === 'keep' || isReadOnly(action)) return 'keep';
  return deployedBefore ? 'deploy' : action === 'destroy' ? 'keep' : 'destroy';
}
