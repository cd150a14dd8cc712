import type { NodeType } from '../../model/index.ts';

/** The programs that run these stacks. */
export type ToolName = 'tofu' | 'terraform';

export const programOf = (type: NodeType): ToolName => (type === 'terraform' ? 'terraform' : 'tofu');
