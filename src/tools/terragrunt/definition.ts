import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const terragrunt: ToolDefinition = {
  ...plainTool,
  name: 'terragrunt',
  types: ['terragrunt'],
  words: [{ word: 'terragrunt', type: 'terragrunt' }],
  keys: {
    terragruntVersion: { value: 'version', type: 'terragrunt' },
    terragruntTfBinary: { value: 'text', oneOf: ['terraform', 'opentofu'] },
  },
  accounts: cloudAccounts,
};
