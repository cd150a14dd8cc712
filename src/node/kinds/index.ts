import type { NodeType } from '../../model/index.ts';
import { needsTool } from '../../model/index.ts';
import { performApproval } from './approval.ts';
import { addedPerformer } from './catalogue.ts';
import type { PerformNode } from './kind.ts';

/** A line for each kind of the catalogue. */
const performers: Readonly<Record<string, PerformNode>> = {
  approval: performApproval,
};

/** Who does what a node of this type does; undefined when a tool does. */
export function performerOf(type: NodeType): PerformNode | undefined {
  if (needsTool(type)) return undefined;
  // The catalogue cannot name the type, under which whoever adds a kind writes its performer.
  return performers[type] ?? (addedPerformer(type) as PerformNode | undefined);
}
