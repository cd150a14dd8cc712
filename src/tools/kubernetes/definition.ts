import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const kubernetes: ToolDefinition = {
  ...plainTool,
  name: 'kubernetes',
  types: ['kubernetes'],
  words: [
    { word: 'k8s', type: 'kubernetes' },
    { word: 'kubernetes', type: 'kubernetes', ownFormat: true },
  ],
  steps: { both: { k8sDiff: 'plan' }, deploy: { k8sApply: 'apply' }, destroy: { k8sDelete: 'destroy' } },
  accounts: cloudAccounts,
};
