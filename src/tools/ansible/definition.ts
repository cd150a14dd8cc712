import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const ansible: ToolDefinition = {
  ...plainTool,
  name: 'ansible',
  types: ['ansible'],
  words: [{ word: 'ansible', type: 'ansible' }],
  keys: { ansibleVersion: { value: 'version', type: 'ansible' } },
  steps: {
    both: { ansibleGalaxy: 'init', ansibleCheck: 'plan' },
    deploy: { ansiblePlaybook: 'apply' },
    destroy: { ansiblePlaybook: 'destroy' },
  },
  accounts: cloudAccounts,
};
