import { existsSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Deployment, Environment } from '../src/model/index.ts';
import { whatIsTold, withoutChance } from './support/broken-input.ts';
import type { Told } from './support/broken-input.ts';
import { commitAll } from './support/git.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { startTestServer } from './support/windlass.ts';
import type { TestServer } from './support/windlass.ts';

interface Row {
  readonly it: string;
  readonly does: () => Promise<string>;
  /** Exactly what a user reads. */
  readonly shows: readonly string[];
}

let server: TestServer;
let told: Told;
let project: TestProject;
/** Two shell nodes, b after a, deployed once. */
let shop: Environment;
let shopProject: TestProject;
let deployed: Deployment;
let closedPort: number;

const shell = (deployScript: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  vcs: { type: 'shell', path: '.', deployScript, destroyScript: 'true' },
  ...more,
});
const tofu = (text: string): Record<string, unknown> => {
  project.write('stacks/db/main.tf', text);
  return node('db');
};

async function portNobodyListensOn(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

beforeAll(async () => {
  server = await startTestServer();
  told = whatIsTold(server);
  closedPort = await portNobodyListensOn();
  shopProject = makeProject('shop');
  shopProject.workflow({ environments: { a: shell('true'), b: shell('true', { needs: ['a'] }) } });
  shop = await makeEnvironment(server, shopProject, { name: 'shop' });
  deployed = await server.run(shop.id);
  expect(deployed.status).toBe('succeeded');
});
afterAll(async () => {
  await server?.stop();
  shopProject?.remove();
});
beforeEach(() => {
  project = makeProject('broken');
});
afterEach(() => project.remove());

/** Deploys a new environment of the workflow in the project's directory. */
const deploy = async (definition?: Record<string, unknown>, request: Record<string, unknown> = {}): Promise<string> => {
  if (definition !== undefined) project.workflow(definition);
  const environment = await makeEnvironment(server, project);
  names[environment.name] = '<name>';
  return told.run(environment.id, request);
};
/** The same of a template with another source. */
const deployFrom = async (source: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<string> => {
  const name = `from-${++count}`;
  const body = { name, type: 'workflow', source, ...more };
  const made = await server.raw('POST', '/templates', body);
  if (made.status !== 201) return told.call('POST', '/templates', body);
  return told.run((await server.createEnvironment({ name, template: name })).id);
};
let count = 0;
const names: Record<string, string> = {};
const variables = (...list: Record<string, unknown>[]): Record<string, unknown> => ({ variables: list });
const key = async (permissions: string[], expiresAt?: string): Promise<Record<string, string>> => {
  const made = await server.request<{ token: string }>('POST', '/keys', {
    name: 'guest',
    permissions,
    ...(expiresAt ? { expiresAt } : {}),
  });
  return { authorization: `Bearer ${made.token}` };
};

const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefghij'[i]}, `.repeat(9).slice(0, -2)}]`),
  'environments: {db: {templateName: *j}}',
].join('\n');

const files: readonly Row[] = [
  { it: 'an empty file', does: () => told.file(''), shows: [] },
  {
    it: 'a bracket that is never closed',
    does: () => told.file('environments:\n  db: {templateName: DB\n'),
    shows: [],
  },
  {
    it: 'a key that stands twice',
    does: () => told.file('environments:\n  db: {templateName: A}\n  db: {templateName: B}\n'),
    shows: [],
  },
  { it: 'a YAML bomb', does: () => told.file(bomb), shows: [] },
  {
    it: 'a key with a typing error',
    does: () => told.file('environments:\n  db: {templateName: DB, need: [vpc]}\n'),
    shows: [],
  },
  {
    it: 'a cycle',
    does: () => told.file('environments:\n  a: {templateName: T, needs: [b]}\n  b: {templateName: T, needs: [a]}\n'),
    shows: [],
  },
  {
    it: 'a need that is not there',
    does: () => told.file('environments:\n  vpc: {templateName: T}\n  db: {templateName: T, needs: [vcp]}\n'),
    shows: [],
  },
  {
    it: 'an output of a node that is not there',
    does: () =>
      told.file('environments:\n  db:\n    templateName: T\n    variables: {id: "${environments.vpc.outputs.id}"}\n'),
    shows: [],
  },
  {
    it: 'a duration that is none',
    does: () => told.file('environments:\n  db: {templateName: T, ttl: soon}\n'),
    shows: [],
  },
  {
    it: 'a cron that never fires',
    does: () => told.file('settings: {schedule: {deploy: "61 * * * *"}}\nenvironments:\n  db: {templateName: T}\n'),
    shows: [],
  },
  {
    it: 'a template that the project lacks',
    does: () => told.file('environments:\n  db: {templateName: shpo}\n', { project: 'default' }),
    shows: [],
  },
  {
    it: 'a path outside of the repository',
    does: () => told.file('environments:\n  db: {vcs: {type: opentofu, path: ../../etc}}\n'),
    shows: [],
  },
];

const local = (more: Record<string, unknown> = {}) => ({ kind: 'local', directory: project.directory, ...more });
const template = (more: Record<string, unknown> = {}) => ({
  name: 'broken',
  type: 'workflow',
  source: local(),
  ...more,
});
const shopRun = (body: Record<string, unknown>) => told.call('POST', '/environments/shop/deployments', body);

const calls: readonly Row[] = [
  { it: 'malformed JSON', does: () => told.call('POST', '/templates', '{"name": "x",\n "type": workflow}'), shows: [] },
  { it: 'an empty body', does: () => told.call('POST', '/templates', ''), shows: [] },
  {
    it: 'another content type',
    does: () => told.call('POST', '/templates', 'name: x', { 'content-type': 'application/yaml' }),
    shows: [],
  },
  {
    it: 'a body that is too large',
    does: () => told.call('POST', '/templates', JSON.stringify({ name: 'x'.repeat(1_100_000) })),
    shows: [],
  },
  {
    it: 'a body that is too deep',
    does: () => told.call('POST', '/templates', '['.repeat(100) + ']'.repeat(100)),
    shows: [],
  },
  { it: 'an unknown key in a body', does: () => shopRun({ typ: 'destroy' }), shows: [] },
  { it: 'an unknown value in a body', does: () => shopRun({ type: 'remove' }), shows: [] },
  { it: 'no key', does: () => told.call('GET', '/environments', undefined, { authorization: null }), shows: [] },
  {
    it: 'a key that is none',
    does: () => told.call('GET', '/environments', undefined, { authorization: 'Bearer hello' }),
    shows: [],
  },
  {
    it: 'a key that expired',
    does: async () => {
      const expiresAt = new Date(Date.now() + 300).toISOString();
      const headers = await key(['view'], expiresAt);
      return server.until(async () => {
        const answer = await told.call('GET', '/environments', undefined, headers);
        return answer.startsWith('401') && answer;
      });
    },
    shows: [],
  },
  {
    it: 'a key that would be expired',
    does: () => told.call('POST', '/keys', { name: 'old', expiresAt: '2020-01-01T00:00:00Z' }),
    shows: [],
  },
  {
    it: 'a missing permission',
    does: async () => told.call('POST', '/environments/shop/deployments', {}, await key(['view'])),
    shows: [],
  },
  {
    it: 'a permission that is none',
    does: () => told.call('POST', '/keys', { name: 'x', permissions: ['fly'] }),
    shows: [],
  },
  { it: 'a route that is none', does: () => told.call('GET', '/environment'), shows: [] },
  { it: 'a method that is none', does: () => told.call('PUT', '/environments', {}), shows: [] },
  { it: 'a cursor that is none', does: () => told.call('GET', '/deployments?cursor=hello'), shows: [] },
  { it: 'an environment that is not there', does: () => told.call('GET', '/environments/shpo'), shows: [] },
  {
    it: 'a template that is not there',
    does: () => told.call('POST', '/environments', { name: 'x', template: 'shpo' }),
    shows: [],
  },
  {
    it: 'a name that is taken',
    does: () => told.call('POST', '/environments', { name: 'shop', template: 'shop' }),
    shows: [],
  },
  { it: 'a template in use', does: () => told.call('DELETE', '/templates/shop'), shows: [] },
  { it: 'a project that is not empty', does: () => told.call('DELETE', '/projects/default'), shows: [] },
  { it: 'an environment that is deployed', does: () => told.call('DELETE', '/environments/shop'), shows: [] },
  {
    it: 'a relative directory',
    does: () => told.call('POST', '/templates', template({ source: local({ directory: 'infra' }) })),
    shows: [],
  },
  {
    it: 'a path outside of the directory',
    does: () => told.call('POST', '/templates', template({ source: local({ path: '../..' }) })),
    shows: [],
  },
  {
    it: 'a repository that is a command',
    does: () => told.call('POST', '/templates', template({ source: { kind: 'git', repository: 'ext::sh -c id' } })),
    shows: [],
  },
  {
    it: 'a repository with a password',
    does: () =>
      told.call(
        'POST',
        '/templates',
        template({ source: { kind: 'git', repository: 'https://me:pw@example.org/x.git' } }),
      ),
    shows: [],
  },
  {
    it: 'a cron that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 25 * * *' }),
    shows: [],
  },
  {
    it: 'a time zone that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 5 * * *', timezone: 'Europe/Atlantis' }),
    shows: [],
  },
  {
    it: 'a schedule of a node',
    does: () => told.call('PUT', '/environments/shop%2Fa/schedule', { deploy: '0 5 * * *' }),
    shows: [],
  },
  {
    it: 'a time to live over the maximum',
    does: async () => {
      await server.request('PATCH', '/projects/default', { settings: { maximumTtlHours: 8 } });
      try {
        return await told.call('PUT', '/environments/shop/ttl', { kind: 'hours', hours: 24 });
      } finally {
        await server.request('PATCH', '/projects/default', { settings: {} });
      }
    },
    shows: [],
  },
  {
    it: 'an environment that is locked',
    does: async () => {
      await server.request('POST', '/environments/shop/lock', { reason: 'the fair is on' });
      const answer = await shopRun({});
      await server.request('DELETE', '/environments/shop/lock');
      return answer;
    },
    shows: [],
  },
  {
    it: 'an idempotency key for another call',
    does: async () => {
      const headers = { 'idempotency-key': 'once' };
      await server.request('POST', '/environments/shop/deployments', { type: 'plan', comment: 'one' }, headers);
      return told.call('POST', '/environments/shop/deployments', { type: 'plan', comment: 'two' }, headers);
    },
    shows: [],
  },
  {
    it: 'a partial run of a node that is not there',
    does: () => told.run('shop', { partial: { operation: 'run-from-here', node: 'c' } }),
    shows: [],
  },
  {
    it: 'a node taken away below another',
    does: () => told.run('shop', { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'a' } }),
    shows: [],
  },
  {
    it: 'a rollback to a deployment that is not there',
    does: () => shopRun({ type: 'rollback', rollbackTo: 'dpl_none' }),
    shows: [],
  },
  {
    it: 'a resume of what succeeded',
    does: () => told.call('POST', `/deployments/${deployed.id}/resume`, {}),
    shows: [],
  },
  {
    it: 'a retry in a run that is over',
    does: () => told.call('POST', `/deployments/${deployed.id}/nodes/a/retry`, {}),
    shows: [],
  },
  { it: 'a move of a node that is not there', does: () => told.run('shop', { moves: { c: 'd' } }), shows: [] },
  {
    it: 'a variable with a name that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: '1 x', value: 'x' }),
    shows: [],
  },
  {
    it: 'a pattern that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: 'x', value: 'x', regex: '(' }),
    shows: [],
  },
  {
    it: 'a value of another type',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', type: 'number', value: 'big' }),
    shows: [],
  },
  {
    it: 'a value that is not allowed',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', value: 'xl', allowed: ['s', 'm'] }),
    shows: [],
  },
];

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
    shows: [],
  },
  {
    it: 'a revision that is not there',
    does: async () => {
      project.workflow({ environments: { a: shell('true') } });
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, revision: 'mian' });
    },
    shows: [],
  },
  {
    it: 'a revision that is an option of git',
    does: async () => {
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, revision: '--upload-pack=id' });
    },
    shows: [],
  },
  {
    it: 'a path that the repository lacks',
    does: async () => {
      project.write('live/shop/x', 'x');
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, path: 'live/shpo' });
    },
    shows: [],
  },
  {
    it: 'credentials that are not there',
    does: () =>
      deployFrom({ kind: 'git', repository: `http://127.0.0.1:${closedPort}/shop.git`, credentials: 'GIT_TOKEN' }),
    shows: [],
  },
  {
    it: 'a directory that is not there',
    does: () => deployFrom({ kind: 'local', directory: '/nowhere/to/be/found' }),
    shows: [],
  },
  { it: 'a directory without a workflow file', does: () => deploy(), shows: [] },
  {
    it: 'a workflow file with a mistake',
    does: () => {
      project.write('windlass.workflow.yml', 'environments:\n  db:\n    templateName: DB\n    needs: vpc\n');
      return deploy();
    },
    shows: [],
  },
  {
    it: 'a YAML bomb in the repository',
    does: () => {
      project.write('windlass.workflow.yml', bomb);
      return deploy();
    },
    shows: [],
  },
  {
    it: 'a workflow file that leads out',
    does: () => {
      symlinkSync('/etc/passwd', join(project.directory, 'windlass.workflow.yml'));
      return deploy();
    },
    shows: [],
  },
  {
    it: 'a template that is missing',
    does: () => deploy({ environments: { db: { templateName: 'shpo' } } }),
    shows: [],
  },
  {
    it: 'a tool that has no runner yet',
    does: () => deploy({ environments: { db: { vcs: { type: 'terragrunt', path: '.' } } } }),
    shows: [],
  },
  {
    it: 'a script that fails',
    does: () => deploy({ environments: { db: shell('echo no room left >&2; exit 7') } }),
    shows: [],
  },
  {
    it: 'a script that takes too long',
    does: () => deploy({ environments: { db: shell('sleep 60', { timeout: '2s' }) } }),
    shows: [],
  },
  {
    it: 'a stack in a directory that is not there',
    does: () => deploy({ environments: { db: node('db') } }),
    shows: [],
  },
  {
    it: 'a stack without code',
    does: () => {
      project.write('stacks/db/README.md', 'soon');
      return deploy({ environments: { db: node('db') } });
    },
    shows: [],
  },
  {
    it: 'a link that leads out of the source',
    does: () => {
      project.write('stacks/db/main.tf', 'output "x" { value = file("secret") }\n');
      symlinkSync('/etc/passwd', join(project.directory, 'stacks/db/secret'));
      return deploy({ environments: { db: node('db') } });
    },
    shows: [],
  },
  {
    it: 'a stack that does not parse',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = 1 +\n}\n') } }),
    shows: [],
  },
  {
    it: 'a stack with a reference to nothing',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = var.size\n}\n') } }),
    shows: [],
  },
  {
    it: 'a stack whose variable has no value',
    does: () =>
      deploy({
        environments: { db: tofu('variable "size" {\n  type = number\n}\noutput "x" { value = var.size }\n') },
      }),
    shows: [],
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
    shows: [],
  },
  {
    it: 'a required variable without a value',
    does: () => withVariable('size', { required: true }, () => sized(undefined)),
    shows: [],
  },
  {
    it: 'a value that does not match',
    does: () => withVariable('size', { regex: '^[sml]$' }, () => sized('xl')),
    shows: [],
  },
  {
    it: 'a value that is not one of those allowed',
    does: () => withVariable('size', { allowed: ['s', 'm'] }, () => sized('xl')),
    shows: [],
  },
  { it: 'a text for a number', does: () => withVariable('size', { type: 'number' }, () => sized('xl')), shows: [] },
  {
    it: 'another value for a read-only variable',
    does: () => withVariable('size', { value: 's', readOnly: true }, () => sized('m')),
    shows: [],
  },
  {
    it: 'a variable for a node that is not there',
    does: () => deploy({ environments: { a: shell('true') } }, variables({ name: 'size', value: 's', alias: 'b' })),
    shows: [],
  },
  {
    it: 'a rollback without an earlier success',
    does: () => deploy({ environments: { a: shell('true') } }, { type: 'rollback' }),
    shows: [],
  },
  {
    it: 'a custom flow with a mistake',
    does: () => {
      project.write(
        'windlass.flow.yml',
        'version: 2\ndeploy:\n  steps:\n    setupVarables:\n      after:\n        - echo x\n',
      );
      return deploy({ environments: { a: shell('true') } });
    },
    shows: [],
  },
];

describe.each([
  ['a workflow file', files],
  ['a call', calls],
  ['a run', runs],
])('%s', (_group, rows) => {
  it.each(rows.map((row) => [row.it, row] as const))('%s', async (_name, { does, shows }) => {
    const text = withoutChance(await does(), {
      ...names,
      [project.directory]: '<source>',
      [server.dataDirectory]: '<data>',
      [`:${closedPort}`]: ':<port>',
    });
    if (process.env['DUMP'])
      require('node:fs').appendFileSync(process.env['DUMP'], JSON.stringify([_name, text.split('\n')]) + '\n');
    expect(text.split('\n')).toEqual(shows);
  });
});

it('left no trace of what it refused', () => {
  expect(existsSync(join(server.dataDirectory, 'id'))).toBe(false);
});
