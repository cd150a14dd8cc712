import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  bomb,
  closedPort,
  deploy,
  deployFrom,
  project,
  server,
  shell,
  testBrokenInput,
  tofu,
  variables,
} from './support/broken-shop.ts';
import type { Row } from './support/broken-shop.ts';
import { commitAll } from './support/git.ts';
import { node } from './support/project.ts';

const environmentVariable = (name: string, more: Record<string, unknown>) =>
  server.request('POST', '/variables?scope=project', { name, ...more }).then((made) => (made as { id: string }).id);
/** With a variable of the project that lives as long as the run. */
async function withVariable(name: string, more: Record<string, unknown>, run: () => Promise<string>): Promise<string> {
  const id = await environmentVariable(name, more);
  try {
    return await run();
  } finally {
    await server.request('DELETE', `/variables/${id}`);
  }
}
const sized = (value: unknown) =>
  deploy({ environments: { a: shell('true') } }, value === undefined ? {} : variables({ name: 'size', value }));

const runs: readonly Row[] = [
  {
    it: 'a git server that does not answer',
    does: () => deployFrom({ kind: 'git', repository: `http://127.0.0.1:${closedPort}/shop.git` }),
    shows: [
      'failed',
      'provider: git repository http://127.0.0.1:<port>/shop.git cannot be read: 127.0.0.1:<port> does not answer',
      '→ Check the address and port, and that this machine may reach it (proxy, firewall, VPN).',
    ],
  },
  {
    it: 'a revision that is not there',
    does: async () => {
      project.workflow({ environments: { a: shell('true') } });
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, revision: 'mian' });
    },
    shows: ['422 git repository <source> has no branch, tag or commit "mian"', '→ There are, among others: main.'],
  },
  {
    it: 'a revision that is an option of git',
    does: async () => {
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, revision: '--upload-pack=id' });
    },
    shows: [
      '400 The template cannot be used: source.revision: cannot begin with "-"',
      '  source.revision: cannot begin with "-"',
    ],
  },
  {
    it: 'a path that the repository lacks',
    does: async () => {
      project.write('live/shop/x', 'x');
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, path: 'live/shpo' });
    },
    shows: ['422 there is no directory "live/shpo" in the source', '→ Check the path and the revision of the source.'],
  },
  {
    it: 'credentials that are not there',
    does: () =>
      deployFrom({ kind: 'git', repository: `http://127.0.0.1:${closedPort}/shop.git`, credentials: 'GIT_TOKEN' }),
    shows: [
      '422 the repository http://127.0.0.1:<port>/shop.git names the credentials "GIT_TOKEN", but no environment variable has that name',
      '→ set it: windlass variable set GIT_TOKEN --kind environment --sensitive',
    ],
  },
  {
    it: 'a directory that is not there',
    does: () => deployFrom({ kind: 'local', directory: '/nowhere/to/be/found' }),
    shows: [
      'failed',
      'definition: local directory /nowhere/to/be/found does not exist',
      '→ Give an absolute directory that exists on every machine that runs a worker.',
    ],
  },
  {
    it: 'a directory without a workflow file',
    does: () => deploy(),
    shows: [
      '422 there is no windlass.workflow.yml or windlass.workflow.yaml or env0.workflow.yml or env0.workflow.yaml in "." of the template "<name>"',
      '→ check the path of the template, or make a file with `windlass init`',
    ],
  },
  {
    it: 'a workflow file with a mistake',
    does: () => {
      project.write('windlass.workflow.yml', 'environments:\n  db:\n    templateName: DB\n    needs: vpc\n');
      return deploy();
    },
    shows: [
      '422 windlass.workflow.yml has a problem: needs of sub-environment "db" has to be a list, such as [vpc], not text',
      '  windlass.workflow.yml:4:12: needs of sub-environment "db" has to be a list, such as [vpc], not text',
      '→ correct the file and deploy again; nothing was run',
    ],
  },
  {
    it: 'a YAML bomb in the repository',
    does: () => {
      project.write('windlass.workflow.yml', bomb);
      return deploy();
    },
    shows: [
      '422 windlass.workflow.yml has a problem: the aliases of the file stand for more than 100000 values; write fewer of them',
      '  windlass.workflow.yml:6:8: the aliases of the file stand for more than 100000 values; write fewer of them',
      '→ correct the file and deploy again; nothing was run',
    ],
  },
  {
    it: 'a workflow file that leads out',
    does: () => {
      symlinkSync('/etc/passwd', join(project.directory, 'windlass.workflow.yml'));
      return deploy();
    },
    shows: [
      '422 local directory <source>: the link windlass.workflow.yml leads outside (to /etc/passwd)',
      '→ Let links stay inside the source, or replace the link by what it points to.',
    ],
  },
  {
    it: 'a template that is missing',
    does: () => deploy({ environments: { db: { templateName: 'shpo' } } }),
    shows: [
      '422 sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
      '  windlass.workflow.yml:4:23: sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
      '→ correct the file, or make the template it names (windlass template create), then deploy again; nothing was run',
    ],
  },
  {
    it: 'a tool that has no runner yet',
    does: () => deploy({ environments: { db: { vcs: { type: 'terragrunt', path: '.' } } } }),
    shows: [
      '422 sub-environment "db" has the type terragrunt, which this version of Windlass cannot run; it runs opentofu, terraform and shell',
      '  windlass.workflow.yml:5:17: sub-environment "db" has the type terragrunt, which this version of Windlass cannot run; it runs opentofu, terraform and shell',
      '→ correct the file, or make the template it names (windlass template create), then deploy again; nothing was run',
    ],
  },
  {
    it: 'a script that fails',
    does: () => deploy({ environments: { db: shell('echo no room left >&2; exit 7') } }),
    shows: [
      'failed',
      '[db]',
      'tool: the deploy script: the tool ended with code 7: no room left',
      '→ The log has everything the tool said.',
    ],
  },
  {
    it: 'a script that takes too long',
    does: () => deploy({ environments: { db: shell('sleep 60', { timeout: '2s' }) } }),
    shows: [
      'failed',
      '[db]',
      'timeout: the deploy script did not end in time and was stopped',
      '→ Give the node a longer timeout, or find out what it waits for in the log.',
    ],
  },
  {
    it: 'a stack in a directory that is not there',
    does: () => deploy({ environments: { db: node('db') } }),
    shows: [
      '422 sub-environment "db": there is no directory "stacks/db" in the source',
      '  windlass.workflow.yml:3:5: sub-environment "db": there is no directory "stacks/db" in the source',
      '→ correct the path, or push the directory to the revision that is used; nothing was run',
    ],
  },
  {
    it: 'a stack without code',
    does: () => {
      project.write('stacks/db/README.md', 'soon');
      return deploy({ environments: { db: node('db') } });
    },
    shows: [
      'failed',
      '[db]',
      'definition: the directory "stacks/db" has no .tf or .tofu files',
      '→ Correct the path of the template, or push the files to the revision it uses.',
    ],
  },
  {
    it: 'a link that leads out of the source',
    does: () => {
      project.write('stacks/db/main.tf', 'output "x" { value = file("secret") }\n');
      symlinkSync('/etc/passwd', join(project.directory, 'stacks/db/secret'));
      return deploy({ environments: { db: node('db') } });
    },
    shows: [
      '422 local directory <source>: the link stacks/db/secret leads outside (to /etc/passwd)',
      '→ Let links stay inside the source, or replace the link by what it points to.',
    ],
  },
  {
    it: 'a stack that does not parse',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = 1 +\n}\n') } }),
    shows: [
      'failed',
      '[db]',
      'definition: Invalid expression: Expected the start of an expression, but found an invalid expression token. (stacks/db/main.tf:2)',
      '→ Correct the code or the variables, then resume the run.',
    ],
  },
  {
    it: 'a stack with a reference to nothing',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = var.size\n}\n') } }),
    shows: [
      'failed',
      '[db]',
      'definition: Reference to undeclared input variable: An input variable with the name "size" has not been declared. This variable can be declared with a variable "size" {} block. (stacks/db/main.tf:2)',
      '→ Correct the code or the variables, then resume the run.',
    ],
  },
  {
    it: 'a stack whose variable has no value',
    does: () =>
      deploy({
        environments: { db: tofu('variable "size" {\n  type = number\n}\noutput "x" { value = var.size }\n') },
      }),
    shows: [
      'failed',
      '[db]',
      'definition: No value for required variable: The root module input variable "size" is not set, and has no default value. (stacks/db/main.tf:1)',
      '→ Give it a value: windlass variable set size=VALUE --environment NAME, or under inputs or variables of the node in the workflow file; then resume the run.',
    ],
  },
  {
    it: 'an output that the stack does not have',
    does: () =>
      deploy({
        environments: {
          db: tofu('output "id" { value = 1 }\n'),
          app: shell('true', { needs: ['db'], inputs: { id: '${environments.db.outputs.idd}' } }),
        },
      }),
    shows: [
      'failed',
      '[app]',
      'definition: input "id" reads the output "idd" of "db", which has no such output',
      '  : input "id" reads the output "idd" of "db", which has no such output',
      '→ check the output in the stack that makes it, deploy that stack, then resume',
    ],
  },
  {
    it: 'a required variable without a value',
    does: () => withVariable('size', { required: true }, () => sized(undefined)),
    shows: [
      '422 sub-environment "a": variable "size" is required (project level) and has no value at any level; set it with windlass variable set size',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" is required (project level) and has no value at any level; set it with windlass variable set size',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a value that does not match',
    does: () => withVariable('size', { regex: '^[sml]$' }, () => sized('xl')),
    shows: [
      '422 sub-environment "a": variable "size" does not fit: the value "xl" has to match "^[sml]$" (project level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" does not fit: the value "xl" has to match "^[sml]$" (project level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a value that is not one of those allowed',
    does: () => withVariable('size', { allowed: ['s', 'm'] }, () => sized('xl')),
    shows: [
      '422 sub-environment "a": variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a text for a number',
    does: () => withVariable('size', { type: 'number' }, () => sized('xl')),
    shows: [
      '422 sub-environment "a": variable "size" has to be a number, but is other text (set at the deployment level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" has to be a number, but is other text (set at the deployment level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'another value for a read-only variable',
    does: () => withVariable('size', { value: 's', readOnly: true }, () => sized('m')),
    shows: [
      '422 sub-environment "a": variable "size" is read-only at the project level; the deployment level may not change its value',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" is read-only at the project level; the deployment level may not change its value',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a rollback without an earlier success',
    does: () => deploy({ environments: { a: shell('true') } }, { type: 'rollback' }),
    shows: [
      '409 "<name>" has no earlier successful deployment to go back to',
      '→ destroy it instead, or name a deployment with --to',
    ],
  },
  {
    it: 'a custom flow with a mistake',
    does: () => {
      project.write('env0.yml', 'version: 2\ndeploy:\n  steps:\n    setupVarables:\n      after:\n        - echo x\n');
      return deploy({ environments: { a: shell('true') } });
    },
    shows: [
      'failed',
      '[a]',
      'definition: the custom flow env0.yml cannot be used: unknown key "setupVarables" in deploy.steps; did you mean "setupVariables"?',
      '  env0.yml:4:5: unknown key "setupVarables" in deploy.steps; did you mean "setupVariables"?',
      '→ correct the file, then deploy again',
    ],
  },
];

testBrokenInput('a run', runs);
