import { cloudAccounts } from '../accounts.ts';
import { plainTool } from '../definition.ts';
import type { ToolDefinition } from '../definition.ts';

export const opentofu: ToolDefinition = {
  ...plainTool,
  name: 'opentofu',
  types: ['opentofu', 'terraform'],
  words: [
    { word: 'terraform', type: 'terraform' },
    { word: 'opentofu', type: 'opentofu' },
  ],
  keys: {
    terraformVersion: { value: 'version', type: 'terraform' },
    opentofuVersion: { value: 'version', type: 'opentofu' },
  },
  steps: {
    both: { terraformInit: 'init', opentofuInit: 'init', terraformPlan: 'plan', opentofuPlan: 'plan' },
    deploy: {
      terraformApply: 'apply',
      opentofuApply: 'apply',
      terraformOutput: 'outputs',
      opentofuOutput: 'outputs',
    },
    destroy: { terraformDestroy: 'destroy', opentofuDestroy: 'destroy' },
  },
  openVersions: ['RESOLVE_FROM_TERRAFORM_CODE'],
  environment: {
    reserved: {
      names: [
        ...['TF_DATA_DIR', 'TF_WORKSPACE', 'TF_INPUT', 'TF_IN_AUTOMATION', 'TF_CLI_CONFIG_FILE'],
        ...['TF_PLUGIN_CACHE_DIR', 'TF_LOG_PATH'],
      ],
      beginnings: ['TF_HTTP_'],
    },
    // With `TF_CLI_ARGS` a run may be made to skip a refresh or destroy something, and `TF_LOG` shows secrets.
    steering: {
      names: [
        'TERRAFORM_CONFIG',
        'TF_CLI_CONFIG_FILE',
        'TF_REATTACH_PROVIDERS',
        'TF_ENCRYPTION',
        'TF_APPEND_USER_AGENT',
      ],
      beginnings: ['TF_CLI_ARGS', 'TF_LOG', 'TF_PLUGIN'],
    },
    values: { names: [], beginnings: ['TF_VAR_'] },
  },
  accounts: cloudAccounts,
  leavings: {
    caches: ['.terraform'],
    states: { names: ['terraform.tfstate.d'], endings: ['.tfstate', '.tfstate.backup'] },
  },
  completes: ['.terraform.lock.hcl'],
  detect: { file: /\.(tf|tofu)(\.json)?$/, type: 'opentofu', hint: '*.tf or *.tofu files' },
  managesState: true,
  programs: [
    { name: 'tofu', variable: 'WINDLASS_TOFU', atStart: true },
    { name: 'terraform', variable: 'WINDLASS_TERRAFORM' },
  ],
  // CLI configuration to use instead of ours, for mirrors and registry credentials.
  files: ['WINDLASS_TF_CLI_CONFIG'],
  cache: 'tofu',
  exampleResource: 'terraform_data',
};
