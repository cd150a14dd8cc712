import type { NodeKind } from '../../model/index.ts';
import { performApproval } from './approval.ts';
import type { PerformNode } from './kind.ts';

/** Kinds of nodes that need no tool. `stack` is run by the runners; the rest cannot be run by this version. */
export const performers: Readonly<Partial<Record<NodeKind, PerformNode>>> = {
  approval: performApproval,
};
