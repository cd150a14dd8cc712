import { z } from 'zod';
import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

/** Settings of a template of this type. */
export const shellSettings = {
  deployScript: z.string().max(20_000).optional().describe('shell: what deploys; `./deploy.sh` when that file exists'),
  destroyScript: z.string().max(20_000).optional(),
  planScript: z.string().max(20_000).optional().describe('shell: exit 0 nothing to do, 2 changes'),
  driftScript: z.string().max(20_000).optional(),
};

export const shell: ToolDefinition = {
  ...plainTool,
  name: 'shell',
  types: ['shell'],
  words: [{ word: 'shell', type: 'shell', ownFormat: true }],
  settings: shellSettings,
  keys: {
    deployScript: { value: 'script', ownFormat: true },
    destroyScript: { value: 'script', ownFormat: true },
    planScript: { value: 'script', ownFormat: true },
    driftScript: { value: 'script', ownFormat: true },
  },
  accounts: cloudAccounts,
  detect: { file: /^deploy\.sh$/, type: 'shell' },
};
