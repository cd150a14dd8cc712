import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const pulumi: ToolDefinition = {
  ...plainTool,
  name: 'pulumi',
  types: ['pulumi'],
  words: [{ word: 'pulumi', type: 'pulumi' }],
  keys: { pulumiVersion: { value: 'version', type: 'pulumi' } },
  steps: {
    both: { pulumiPreview: 'plan' },
    deploy: { pulumiUp: 'apply', pulumiOutput: 'outputs' },
    destroy: { pulumiDestroy: 'destroy' },
  },
  accounts: cloudAccounts,
};
