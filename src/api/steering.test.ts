import { parseWorkflowFile } from '../definition/index.ts';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

let harness: Harness;
let deployer: string;
let manager: string;
beforeAll(async () => {
  harness = await startHarness();
  await harness.environment('shop', { type: 'opentofu' });
  deployer = await harness.key(['execute']);
  manager = await harness.key(['execute', 'project.manage']);
});
afterAll(() => harness.close());

const names = [
  ...[
    'PATH',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'DYLD_INSERT_LIBRARIES',
    'BASH_ENV',
    'ENV',
    'NODE_OPTIONS',
    'PYTHONSTARTUP',
  ],
  ...[
    'GIT_SSH_COMMAND',
    'GIT_CONFIG_COUNT',
    'TF_CLI_ARGS',
    'TF_CLI_ARGS_apply',
    'TF_LOG',
    'TF_LOG_PROVIDER',
    'TF_REATTACH_PROVIDERS',
  ],
];
const call = (path: string, body: object, token: string) =>
  harness.call<{ detail: string; problems: { path: string }[] }>('POST', path, { body, token });
const set = (name: string, token: string) =>
  call('variables?scope=environment&scopeId=shop', { name, kind: 'environment', value: 'x' }, token);

it.each(names)('%s, which decides what tools run, takes the permission to manage the project', async (name) => {
  const refused = await set(name, deployer);
  expect(refused.status).toBe(403);
  expect(refused.body.detail).toContain(`may not set "${name}": it decides what tools run`);
  const variables = [
    { name: 'SIZE', kind: 'environment', value: '1' },
    { name, kind: 'environment', value: 'x' },
  ];
  const asked = await call('environments/shop/deployments', { variables }, deployer);
  expect([asked.status, asked.body.problems]).toEqual([403, [expect.objectContaining({ path: 'variables[1]' })]]);
  expect((await call('environments/shop/deployments', { variables }, manager)).status).toBe(202);
  const made = await harness.call<{ id: string }>('POST', 'variables?scope=environment&scopeId=shop', {
    token: manager,
    body: { name, kind: 'environment', value: 'x' },
  });
  expect(made.status).toBe(201);
  const id = made.body.id;
  expect((await harness.call('PATCH', `variables/${id}`, { token: deployer, body: { value: 'y' } })).status).toBe(403);
  expect((await harness.call('DELETE', `variables/${id}`, { token: deployer })).status).toBe(403);
});

it.each(['SIZE', 'TF_VAR_size', 'AWS_REGION', 'NODE_ENV', 'GIT_AUTHOR_NAME', 'MY_PATH', 'path'])(
  '%s tells a stack something, which whoever deploys may do',
  async (name) => {
    expect((await set(name, deployer)).status).toBe(201);
  },
);

it('as a tool variable any name is free', async () => {
  const body = { name: 'PATH', kind: 'tool', value: 'x' };
  expect((await call('variables?scope=environment&scopeId=shop', body, deployer)).status).toBe(201);
});

it('in a workflow file it is for nodes whose code is beside the file, not for templates of the project', () => {
  const file = (what: string): string =>
    `environments:\n  db:\n    ${what}\n    variables:\n      TF_CLI_ARGS: { kind: environment, value: -no-color }\n`;
  const parse = (what: string) => parseWorkflowFile(file(what), { fileName: 'windlass.workflow.yml' });
  expect(parse('vcs: { type: opentofu, path: db }').problems).toEqual([]);
  const [problem] = parse('templateName: shared').problems;
  expect(problem).toMatchObject({ line: 5, column: 7 });
  expect(problem?.message).toContain('may not set "TF_CLI_ARGS": it decides what tools run');
});
