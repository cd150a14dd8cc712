import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const helm: ToolDefinition = {
  ...plainTool,
  name: 'helm',
  types: ['helm'],
  words: [{ word: 'helm', type: 'helm' }],
  keys: { helmChartName: { value: 'text' }, isHelmRepository: { value: 'flag' } },
  steps: { both: { helmDiff: 'plan' }, deploy: { helmUpgrade: 'apply' }, destroy: { helmUninstall: 'destroy' } },
  accounts: cloudAccounts,
};
