import type { KindWithoutTool, NodeKind, NodeType } from '../../model/index.ts';
import { kindOf } from '../../model/index.ts';
import { performApproval } from './approval.ts';
import type { PerformNode } from './kind.ts';

const performers: Readonly<Record<KindWithoutTool, PerformNode>> = {
  approval: performApproval,
};

/** Who does what a node of this type does; undefined when a tool does. */
export function performerOf(type: NodeType): PerformNode | undefined {
  const listed: Readonly<Partial<Record<NodeKind, PerformNode>>> = performers;
  return listed[kindOf(type)];
}
