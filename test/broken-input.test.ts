import { symlinkSync } from 'node:fs';
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
  {
    it: 'an empty file',
    does: () => told.file(''),
    shows: [
      'windlass.workflow.yml:1:1: the file is empty; begin with "environments: {vpc: {templateName: VPC}}", or make a file with windlass init',
    ],
  },
  {
    it: 'a bracket that is never closed',
    does: () => told.file('environments:\n  db: {templateName: DB\n'),
    shows: ['windlass.workflow.yml:3:1: a "{" before here is not closed with "}"'],
  },
  {
    it: 'a key that stands twice',
    does: () => told.file('environments:\n  db: {templateName: A}\n  db: {templateName: B}\n'),
    shows: ['windlass.workflow.yml:3:3: "db" is already set in line 2; a key may stand once'],
  },
  {
    it: 'a YAML bomb',
    does: () => told.file(bomb),
    shows: [
      'windlass.workflow.yml:6:8: the aliases of the file stand for more than 100000 values; write fewer of them',
    ],
  },
  {
    it: 'a key with a typing error',
    does: () => told.file('environments:\n  db: {templateName: DB, need: [vpc]}\n'),
    shows: ['windlass.workflow.yml:2:26: unknown key "need" in sub-environment "db"; did you mean "needs"?'],
  },
  {
    it: 'a cycle',
    does: () => told.file('environments:\n  a: {templateName: T, needs: [b]}\n  b: {templateName: T, needs: [a]}\n'),
    shows: ['windlass.workflow.yml:3:32: cycle: a → b → a'],
  },
  {
    it: 'a need that is not there',
    does: () => told.file('environments:\n  vpc: {templateName: T}\n  db: {templateName: T, needs: [vcp]}\n'),
    shows: ['windlass.workflow.yml:3:33: unknown sub-environment "vcp" in needs; did you mean "vpc"?'],
  },
  {
    it: 'an output of a node that is not there',
    does: () =>
      told.file('environments:\n  db:\n    templateName: T\n    variables: {id: "${environments.vpc.outputs.id}"}\n'),
    shows: [
      'windlass.workflow.yml:4:21: variable "id" of sub-environment "db" reads an output of another sub-environment; move it to inputs',
    ],
  },
  {
    it: 'a duration that is none',
    does: () => told.file('environments:\n  db: {templateName: T, ttl: soon}\n'),
    shows: [
      'windlass.workflow.yml:2:30: ttl of sub-environment "db": "soon" is not a duration: write whole numbers with a unit, such as 30s, 10m, 2h or 1d',
    ],
  },
  {
    it: 'a cron that never fires',
    does: () => told.file('settings: {schedule: {deploy: "61 * * * *"}}\nenvironments:\n  db: {templateName: T}\n'),
    shows: [
      'windlass.workflow.yml:1:31: schedule.deploy: "61 * * * *" is not a cron expression: "61" is no minute (0-59)',
    ],
  },
  {
    it: 'a template that the project lacks',
    does: () => told.file('environments:\n  db: {templateName: shpo}\n', { project: 'default' }),
    shows: [
      'windlass.workflow.yml:2:22: sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
    ],
  },
  {
    it: 'a path outside of the repository',
    does: () => told.file('environments:\n  db: {vcs: {type: opentofu, path: ../../etc}}\n'),
    shows: ['windlass.workflow.yml:2:36: vcs of sub-environment "db": the path "../../etc" leads out of its source'],
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
  {
    it: 'malformed JSON',
    does: () => told.call('POST', '/templates', '{"name": "x",\n "type": workflow}'),
    shows: [
      "400 The body is not JSON: line 2, column 10: Unexpected token 'w', ...",
      "  2:10: Unexpected token 'w', ...",
    ],
  },
  {
    it: 'an empty body',
    does: () => told.call('POST', '/templates', ''),
    shows: ['400 The body is empty', '→ send a JSON object'],
  },
  {
    it: 'another content type',
    does: () => told.call('POST', '/templates', 'name: x', { 'content-type': 'application/yaml' }),
    shows: [
      '415 The content type "application/yaml" is not supported',
      '→ send JSON with the header Content-Type: application/json',
    ],
  },
  {
    it: 'a body that is too large',
    does: () => told.call('POST', '/templates', JSON.stringify({ name: 'x'.repeat(1_100_000) })),
    shows: ['413 The body is larger than 1 MiB'],
  },
  {
    it: 'a body that is too deep',
    does: () => told.call('POST', '/templates', '['.repeat(100) + ']'.repeat(100)),
    shows: ['400 The body is nested deeper than 64 levels'],
  },
  {
    it: 'an unknown key in a body',
    does: () => shopRun({ typ: 'destroy' }),
    shows: [
      '400 The body is not valid: Unrecognized key: "typ"',
      '  : Unrecognized key: "typ"',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'an unknown value in a body',
    does: () => shopRun({ type: 'remove' }),
    shows: [
      '400 The body is not valid: type: Invalid option: expected one of "deploy"|"destroy"|"plan"|"drift"|"rollback"',
      '  type: Invalid option: expected one of "deploy"|"destroy"|"plan"|"drift"|"rollback"',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'no key',
    does: () => told.call('GET', '/environments', undefined, { authorization: null }),
    shows: ['401 This call needs a key', '→ send it as: Authorization: Bearer wlk_…'],
  },
  {
    it: 'a key that is none',
    does: () => told.call('GET', '/environments', undefined, { authorization: 'Bearer hello' }),
    shows: ['401 this is not a Windlass key: they look like wlk_…'],
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
    shows: ['401 the key "guest" expired at <time>'],
  },
  {
    it: 'a key that would be expired',
    does: () => told.call('POST', '/keys', { name: 'old', expiresAt: '2020-01-01T00:00:00Z' }),
    shows: ['400 The key would be expired already', '  expiresAt: is in the past'],
  },
  {
    it: 'a missing permission',
    does: async () => told.call('POST', '/environments/shop/deployments', {}, await key(['view'])),
    shows: [
      '403 guest may not do this: the permission "execute" in <prj> is missing',
      '→ ask an administrator for a key that has it: windlass key create --permission',
    ],
  },
  {
    it: 'a permission that is none',
    does: () => told.call('POST', '/keys', { name: 'x', permissions: ['fly'] }),
    shows: [
      '400 there is no permission "fly"; there are * and organization.manage, project.manage, view, plan, execute, approve, abort, rollback, each also as permission@project-id',
    ],
  },
  {
    it: 'a route that is none',
    does: () => told.call('GET', '/environment'),
    shows: [
      '404 There is nothing at /api/v1/environment',
      '→ near it: GET /api/v1/environments, POST /api/v1/environments, GET /api/v1/environments/{ref}',
    ],
  },
  {
    it: 'a method that is none',
    does: () => told.call('PUT', '/environments', {}),
    shows: ['405 PUT is not possible on /environments', '→ possible: GET, POST, HEAD, OPTIONS'],
  },
  {
    it: 'a cursor that is none',
    does: () => told.call('GET', '/deployments?cursor=hello'),
    shows: [
      '400 the cursor is not one of this list',
      '→ pass `next` of the page before as it was answered, or leave it out to begin anew',
    ],
  },
  {
    it: 'an environment that is not there',
    does: () => told.call('GET', '/environments/shpo'),
    shows: ['404 there is no environment "shpo"', '→ there are: "shop" (<env>)'],
  },
  {
    it: 'a template that is not there',
    does: () => told.call('POST', '/environments', { name: 'x', template: 'shpo' }),
    shows: ['404 there is no template "shpo"', '→ there are: "shop" (<tpl>)'],
  },
  {
    it: 'a name that is taken',
    does: () => told.call('POST', '/environments', { name: 'shop', template: 'shop' }),
    shows: [
      '409 the project already has an environment "shop"',
      '→ choose another name, or archive the other one after it was destroyed',
    ],
  },
  {
    it: 'a template in use',
    does: () => told.call('DELETE', '/templates/shop'),
    shows: [
      '409 the template is used by "shop"',
      '→ destroy and archive these environments first, or give them another template',
    ],
  },
  {
    it: 'a project that is not empty',
    does: () => told.call('DELETE', '/projects/default'),
    shows: [
      '409 The project "default" is not empty: it has environment "a", environment "b", environment "shop", template "shop"',
      '→ destroy and archive its environments and delete its templates first',
    ],
  },
  {
    it: 'an environment that is deployed',
    does: () => told.call('DELETE', '/environments/shop'),
    shows: [
      '409 "shop" may still have resources: "shop" (active), "a" (active), "b" (active)',
      '→ destroy it first: windlass destroy shop; or forget them with ?force=true',
    ],
  },
  {
    it: 'a relative directory',
    does: () => told.call('POST', '/templates', template({ source: local({ directory: 'infra' }) })),
    shows: [
      '400 The template cannot be used: source.directory has to be an absolute directory',
      '  source.directory: has to be an absolute directory',
    ],
  },
  {
    it: 'a path outside of the directory',
    does: () => told.call('POST', '/templates', template({ source: local({ path: '../..' }) })),
    shows: [
      '400 The template cannot be used: source.path the path "../.." leads out of its source',
      '  source.path: the path "../.." leads out of its source',
    ],
  },
  {
    it: 'a repository that is a command',
    does: () => told.call('POST', '/templates', template({ source: { kind: 'git', repository: 'ext::id' } })),
    shows: [
      '400 The template cannot be used: source.repository the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path',
      '  source.repository: the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path',
    ],
  },
  {
    it: 'a repository with a password',
    does: () =>
      told.call(
        'POST',
        '/templates',
        template({ source: { kind: 'git', repository: 'https://me:pw@example.org/x.git' } }),
      ),
    shows: [
      '400 The template cannot be used: source.repository holds a user name or password; keep the token in a sensitive environment variable and name that in source.credentials',
      '  source.repository: holds a user name or password; keep the token in a sensitive environment variable and name that in source.credentials',
    ],
  },
  {
    it: 'a cron that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 25 * * *' }),
    shows: [
      '400 The schedule is not usable: "0 25 * * *" is not a cron expression: "25" is no hour (0-23)',
      '  deploy: "0 25 * * *" is not a cron expression: "25" is no hour (0-23)',
    ],
  },
  {
    it: 'a time zone that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 5 * * *', timezone: 'Europe/Atlantis' }),
    shows: [
      '400 The schedule is not usable: "Europe/Atlantis" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"',
      '  timezone: "Europe/Atlantis" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"',
    ],
  },
  {
    it: 'a schedule of a node',
    does: () => told.call('PUT', '/environments/shop%2Fa/schedule', { deploy: '0 5 * * *' }),
    shows: ['409 "shop/a" is a node of "shop"; a schedule is set on the whole environment', '→ ask for "shop"'],
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
    shows: [
      '400 the time to live is longer than the maximum of 8 hours',
      '  ttl: the time to live is longer than the maximum of 8 hours',
    ],
  },
  {
    it: 'an environment that is locked',
    does: async () => {
      await server.request('POST', '/environments/shop/lock', { reason: 'the fair is on' });
      const answer = await shopRun({});
      await server.request('DELETE', '/environments/shop/lock');
      return answer;
    },
    shows: [
      '423 "shop" is locked by administrator since <time>: the fair is on',
      '→ unlock it first: windlass environment unlock shop',
    ],
  },
  {
    it: 'an idempotency key for another call',
    does: async () => {
      const headers = { 'idempotency-key': 'once' };
      await server.request('POST', '/environments/shop/deployments', { type: 'plan', comment: 'one' }, headers);
      return told.call('POST', '/environments/shop/deployments', { type: 'plan', comment: 'two' }, headers);
    },
    shows: [
      '422 the idempotency key "once" was used for another request',
      '→ use a new key for every new request, and the same only to repeat one',
    ],
  },
  {
    it: 'a partial run of a node that is not there',
    does: () => told.run('shop', { partial: { operation: 'run-from-here', node: 'c' } }),
    shows: [
      'failed',
      'definition: the graph has no node "c"; it has "a", "b"',
      '  : the graph has no node "c"; it has "a", "b"',
    ],
  },
  {
    it: 'a node taken away below another',
    does: () => told.run('shop', { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'a' } }),
    shows: [
      'failed',
      'definition: "a" is needed by "b", which would be left without it; destroy them first, or use --force',
      '  : "a" is needed by "b", which would be left without it; destroy them first, or use --force',
    ],
  },
  {
    it: 'a rollback to a deployment that is not there',
    does: () => shopRun({ type: 'rollback', rollbackTo: 'dpl_none' }),
    shows: ['404 there is no deployment "dpl_none"', '→ there are: <runs>'],
  },
  {
    it: 'a resume of what succeeded',
    does: () => told.call('POST', `/deployments/${deployed.id}/resume`, {}),
    shows: ['409 Deployment 1 of "shop" succeeded: nothing is left to resume', '→ deploy again instead'],
  },
  {
    it: 'a retry in a run that is over',
    does: () => told.call('POST', `/deployments/${deployed.id}/nodes/a/retry`, {}),
    shows: [
      '409 Deployment 1 of "shop" is over; "a" cannot be tried again in it',
      '→ resume the deployment, or deploy the node: windlass deploy shop/a',
    ],
  },
  {
    it: 'a move of a node that is not there',
    does: () => told.run('shop', { moves: { c: 'd' } }),
    shows: ['failed', 'definition: cannot move "c" to "d": the first must be deployed and the second in the file'],
  },
  {
    it: 'a variable with a name that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: '1 x', value: 'x' }),
    shows: [
      '400 The body is not valid: name: starts with a letter or _, then letters, digits, "_", "-" or "."',
      '  name: starts with a letter or _, then letters, digits, "_", "-" or "."',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'a pattern that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: 'x', value: 'x', regex: '(' }),
    shows: [
      '400 The variable does not fit: variable "x" cannot be checked: "(" is not a regular expression: Unterminated group (project level)',
      '  value: variable "x" cannot be checked: "(" is not a regular expression: Unterminated group (project level)',
    ],
  },
  {
    it: 'a value of another type',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', type: 'number', value: 'big' }),
    shows: [
      '400 The variable does not fit: variable "size" has to be a number, but is other text (set at the project level)',
      '  value: variable "size" has to be a number, but is other text (set at the project level)',
    ],
  },
  {
    it: 'a value that is not allowed',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', value: 'xl', allowed: ['s', 'm'] }),
    shows: [
      '400 The variable does not fit: variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '  value: variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
    ],
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
    shows: [
      'failed',
      "provider: git repository http://127.0.0.1:<port>/shop.git cannot be read: its host does not answer (fatal: unable to access 'http://127.0.0.1:<port>/shop.git/': Failed to connect to 127.0.0.1 port <port>: Couldn't connect to server)",
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
    shows: [
      'failed',
      'definition: git repository <source> has no branch, tag or commit "mian"',
      '→ There are, among others: main.',
    ],
  },
  {
    it: 'a revision that is an option of git',
    does: async () => {
      commitAll(project.directory);
      return deployFrom({ kind: 'git', repository: project.directory, revision: '--upload-pack=id' });
    },
    shows: [
      '400 The template cannot be used: source.revision cannot begin with "-"',
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
    shows: [
      'failed',
      'definition: there is no directory "live/shpo" in the source',
      '→ Check the path and the revision of the source.',
    ],
  },
  {
    it: 'credentials that are not there',
    does: () =>
      deployFrom({ kind: 'git', repository: `http://127.0.0.1:${closedPort}/shop.git`, credentials: 'GIT_TOKEN' }),
    shows: [
      'failed',
      'credentials: the repository http://127.0.0.1:<port>/shop.git names the credentials "GIT_TOKEN", but no environment variable has that name',
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
      'failed',
      'definition: there is no windlass.workflow.yml or windlass.workflow.yaml or env0.workflow.yml or env0.workflow.yaml in "." of the template "<name>"',
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
      'failed',
      'definition: windlass.workflow.yml has a problem: needs of sub-environment "db" has to be a list, such as [vpc], not text',
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
      'failed',
      'definition: windlass.workflow.yml has a problem: the aliases of the file stand for more than 100000 values; write fewer of them',
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
      'failed',
      'definition: local directory <source>: the link windlass.workflow.yml leads outside (to /etc/passwd)',
      '→ Let links stay inside the source, or replace the link by what it points to.',
    ],
  },
  {
    it: 'a template that is missing',
    does: () => deploy({ environments: { db: { templateName: 'shpo' } } }),
    shows: [
      'failed',
      'definition: sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
      '  windlass.workflow.yml:4:23: sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
    ],
  },
  {
    it: 'a tool that has no runner yet',
    does: () => deploy({ environments: { db: { vcs: { type: 'terragrunt', path: '.' } } } }),
    shows: [
      'failed',
      'definition: sub-environment "db" has the type terragrunt, which this version of Windlass cannot run; it runs opentofu, terraform and shell',
      '  windlass.workflow.yml:5:17: sub-environment "db" has the type terragrunt, which this version of Windlass cannot run; it runs opentofu, terraform and shell',
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
      'failed',
      '[db]',
      'definition: the source has no directory "stacks/db"',
      '→ Correct the path of the template, or push the directory to the revision it uses.',
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
      'failed',
      'definition: local directory <source>: the link stacks/db/secret leads outside (to /etc/passwd)',
      '→ Let links stay inside the source, or replace the link by what it points to.',
    ],
  },
  {
    it: 'a stack that does not parse',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = 1 +\n}\n') } }),
    shows: [
      'failed',
      '[db]',
      'definition: Invalid expression: Expected the start of an expression, but found an invalid expression token. (main.tf:2)',
      '→ Correct the code or the variables, then resume the run.',
    ],
  },
  {
    it: 'a stack with a reference to nothing',
    does: () => deploy({ environments: { db: tofu('output "x" {\n  value = var.size\n}\n') } }),
    shows: [
      'failed',
      '[db]',
      'definition: Reference to undeclared input variable: An input variable with the name "size" has not been declared. This variable can be declared with a variable "size" {} block. (main.tf:2)',
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
      'definition: No value for required variable: The root module input variable "size" is not set, and has no default value. Use a -var or -var-file command line argument to provide a value for this variable. (main.tf:1)',
      '→ Correct the code or the variables, then resume the run.',
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
      'failed',
      'definition: sub-environment "a": variable "size" is required (project level) and has no value at any level; set it with windlass variable set size',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" is required (project level) and has no value at any level; set it with windlass variable set size',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a value that does not match',
    does: () => withVariable('size', { regex: '^[sml]$' }, () => sized('xl')),
    shows: [
      'failed',
      'definition: sub-environment "a": variable "size" does not fit: the value "xl" has to match "^[sml]$" (project level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" does not fit: the value "xl" has to match "^[sml]$" (project level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a value that is not one of those allowed',
    does: () => withVariable('size', { allowed: ['s', 'm'] }, () => sized('xl')),
    shows: [
      'failed',
      'definition: sub-environment "a": variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a text for a number',
    does: () => withVariable('size', { type: 'number' }, () => sized('xl')),
    shows: [
      'failed',
      'definition: sub-environment "a": variable "size" has to be a number, but is other text (set at the deployment level)',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" has to be a number, but is other text (set at the deployment level)',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'another value for a read-only variable',
    does: () => withVariable('size', { value: 's', readOnly: true }, () => sized('m')),
    shows: [
      'failed',
      'definition: sub-environment "a": variable "size" is read-only at the project level; the deployment level may not change its value',
      '  windlass.workflow.yml:3:5: sub-environment "a": variable "size" is read-only at the project level; the deployment level may not change its value',
      '→ see where each value comes from: windlass variable list --environment <env> --effective',
    ],
  },
  {
    it: 'a rollback without an earlier success',
    does: () => deploy({ environments: { a: shell('true') } }, { type: 'rollback' }),
    shows: [
      'failed',
      'definition: "<name>" has no earlier successful deployment to go back to',
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
    expect(text.split('\n')).toEqual(shows);
  });
});
