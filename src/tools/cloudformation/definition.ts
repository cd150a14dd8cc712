import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const cloudformation: ToolDefinition = {
  ...plainTool,
  name: 'cloudformation',
  types: ['cloudformation'],
  words: [{ word: 'cloudformation', type: 'cloudformation' }],
  steps: {
    both: { cfCreateChangeSet: 'plan' },
    deploy: { cfDeploy: 'apply', cfOutput: 'outputs' },
    destroy: { cfListStackResources: 'plan', cfDeleteStack: 'destroy' },
  },
  accounts: cloudAccounts,
};
