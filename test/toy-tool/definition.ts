import { plainTool } from '../../src/tools/catalogue.ts';
import type { ToolDefinition } from '../../src/tools/catalogue.ts';

/** Keeps one file outside as the stack's `stack.toy` says. */
export const toy: ToolDefinition = {
  ...plainTool,
  name: 'toy',
  types: ['toy'],
  words: [{ word: 'toy', type: 'toy', ownFormat: true }],
  keys: { toyTarget: { value: 'text', ownFormat: true } },
  steps: { both: { toyLook: 'plan' }, deploy: { toyMake: 'apply' }, destroy: { toyRemove: 'destroy' } },
  environment: { ...plainTool.environment, reserved: { names: [], beginnings: ['TOY_'] } },
  accounts: [{ name: 'TOY_BOX', shown: true }],
  managesState: false,
  detect: { file: /\.toy$/, type: 'toy', hint: '*.toy files' },
};
