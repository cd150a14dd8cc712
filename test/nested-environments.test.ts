import type { Environment, Graph, NodeRun } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, nodeAt, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { cli } from './support/cli.ts';
import { startTestServer } from './support/windlass.ts';
import type { TestServer } from './support/windlass.ts';

let server: TestServer;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server?.stop();
});

const fileName = 'windlass.workflow.yml';
const inner = (path: string, definition: Record<string, unknown>): void =>
  project.write(`${path}/${fileName}`, JSON.stringify(definition));
const workflow = (path: string, more: Record<string, unknown> = {}): Record<string, unknown> => {
  return { vcs: { type: 'workflow', path }, ...more };
};
/** Of an inner file: its stacks lie beside it, two levels up. */
const stack = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => {
  return { vcs: { type: 'opentofu', path: `../stacks/${name}` }, ...more };
};
const outputsOf = (alias: string): string => `\${environments["${alias}"].outputs.value}`;

/** account → network (vpc → subnets, dns) → db; the network gets an output of the account, and db reads one of the network. */
function write(over: { readonly settings?: Record<string, unknown>; readonly network?: Record<string, unknown> } = {}) {
  project.workflow({
    ...(over.settings ? { settings: over.settings } : {}),
    environments: {
      account: node('account', { variables: { value: 'a1' } }),
      network: workflow('network', {
        needs: ['account'],
        variables: { region: 'eu' },
        inputs: { account: outputsOf('account') },
        ...over.network,
      }),
      db: node('db', { needs: ['network'], inputs: { vpc: outputsOf('network/vpc') } }),
    },
  });
  inner('network', {
    environments: {
      vpc: stack('vpc', { variables: { value: 'v1' } }),
      subnets: stack('subnets', { needs: ['vpc'], inputs: { vpc: outputsOf('vpc') } }),
      dns: stack('dns'),
    },
  });
}

beforeEach(async () => {
  project = makeProject('nested');
  project.stack('account');
  project.stack('vpc', { inputs: ['region', 'account'] });
  project.stack('subnets', { inputs: ['region', 'vpc'] });
  project.stack('dns', { inputs: ['region'] });
  project.stack('db', { inputs: ['vpc'] });
  write();
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

const paths = ['account', 'network/vpc', 'network/subnets', 'network/dns', 'db'];
const all = (status: string): Record<string, string> => Object.fromEntries(paths.map((path) => [path, status]));
const deploy = async (request: Record<string, unknown> = {}, status = 'succeeded') => {
  const run = await server.run(environment.id, request);
  expect([run.status, run.error]).toEqual([status, null]);
  return run;
};
const output = async (alias: string): Promise<unknown> => {
  const { items } = await server.request<{ items: { alias: string; name: string; value: unknown }[] }>(
    'GET',
    `/environments/${environment.id}/outputs`,
  );
  return items.find((item) => item.alias === alias && item.name === 'all')?.value;
};
const inOrder = (nodes: readonly NodeRun[], ...aliases: readonly string[]): void => {
  const found = aliases.map((alias) => nodes.find((item) => item.alias === alias));
  found.slice(1).forEach((later, index) => {
    const [begins, ends] = [later?.startedAt ?? '', found[index]?.finishedAt ?? 'never'];
    expect([aliases[index], ends <= begins]).toEqual([aliases[index], true]);
  });
};

it('deploys the nodes of a workflow in dependency order across the levels; outputs flow in and out', async () => {
  const run = await deploy();
  expect(await server.statuses(run.id)).toEqual(all('succeeded'));
  const nodes = await server.nodes(run.id);
  inOrder(nodes, 'account', 'network/vpc', 'network/subnets', 'db');
  inOrder(nodes, 'account', 'network/dns', 'db');
  expect(await output('network/vpc')).toMatchObject({ value: 'v1', region: 'eu', account: 'a1' });
  expect(await output('network/subnets')).toMatchObject({ region: 'eu', vpc: 'v1' });
  expect(await output('db')).toMatchObject({ vpc: 'v1' });
  expect((await server.environment(environment.id)).status).toBe('active');
  expect(await server.environment(`${environment.name}/network`)).toMatchObject({ status: 'active', type: 'workflow' });
  const graph = await server.request<Graph>('GET', `/environments/${environment.id}/graph`);
  expect(graph.nodes.find(({ alias }) => alias === 'db')?.needs.toSorted()).toEqual(['network/dns', 'network/subnets']);
});

it('destroys them in reverse', async () => {
  await deploy();
  const run = await deploy({ type: 'destroy' });
  expect(await server.statuses(run.id)).toEqual(all('succeeded'));
  inOrder(await server.nodes(run.id), 'db', 'network/subnets', 'network/vpc', 'account');
  expect((await server.environment(environment.id)).status).toBe('inactive');
  expect((await server.environment(`${environment.name}/network`)).status).toBe('inactive');
});

describe('one node of a workflow', () => {
  const only = (alias: string, operation: string, more: Record<string, unknown> = {}) => ({
    partial: { operation, node: alias, ...more },
  });

  it('is deployed alone, and what reads it in any level follows', async () => {
    await deploy();
    inner('network', {
      environments: {
        vpc: stack('vpc', { variables: { value: 'v2' } }),
        subnets: stack('subnets', { needs: ['vpc'], inputs: { vpc: outputsOf('vpc') } }),
        dns: stack('dns'),
      },
    });
    const run = await server.run(`${environment.name}/network/vpc`);
    expect(await server.statuses(run.id)).toEqual({
      ...all('skipped'),
      'network/vpc': 'succeeded',
      'network/subnets': 'succeeded',
      db: 'succeeded',
    });
    expect(await output('db')).toMatchObject({ vpc: 'v2' });
  });

  it('is changed for whatever needs its workflow, also when nothing reads it', async () => {
    await deploy();
    const value = { name: 'value', value: 'd2', alias: 'network/dns' };
    const run = await deploy({ ...only('network/dns', 'single-node-deploy'), variables: [value] });
    expect(await server.statuses(run.id)).toEqual({ ...all('skipped'), 'network/dns': 'succeeded', db: 'succeeded' });
  });

  it('is meant by the name of its workflow, too', async () => {
    await deploy();
    const run = await deploy({ ...only('network', 'single-node-deploy', { trickleDown: 'none' }), force: true });
    expect(await server.statuses(run.id)).toEqual({ ...all('succeeded'), account: 'skipped', db: 'skipped' });

    const refused = await server.refused(environment.id, only('network', 'single-node-destroy'));
    expect(refused.detail).toContain('"network" is needed by "db"');
    await deploy(only('db', 'single-node-destroy'));
    const gone = await server.run(`${environment.name}/network`, { type: 'destroy' });
    expect(await server.statuses(gone.id)).toEqual({ ...all('succeeded'), account: 'skipped', db: 'skipped' });
    inOrder(await server.nodes(gone.id), 'network/subnets', 'network/vpc');
    expect(await server.environment(`${environment.name}/network`)).toMatchObject({ status: 'inactive' });
    expect((await server.environment(environment.id)).status).toBe('partlyDeployed');
  });
});

describe('a node that fails in a workflow', () => {
  beforeEach(() => {
    project.failing('subnets', true);
  });

  it('keeps what needs the workflow from running; a resume does the rest', async () => {
    const run = await server.run(environment.id);
    expect([run.status, await server.statuses(run.id)]).toEqual([
      'failed',
      { ...all('succeeded'), 'network/subnets': 'failed', db: 'skipped' },
    ]);
    const found = (await server.nodes(run.id)).find(({ alias }) => alias === 'db');
    expect(found?.reason).toMatchObject({ kind: 'failedAncestor', alias: 'network/subnets' });
    expect((await server.environment(`${environment.name}/network`)).status).toBe('failed');

    project.failing('subnets', false);
    const resumed = await deploy({ resume: { deployment: run.id } });
    expect(await server.statuses(resumed.id)).toMatchObject({ 'network/vpc': 'skipped', db: 'succeeded' });
    expect([project.lines('vpc'), project.lines('db')]).toEqual([['apply'], ['apply']]);
    expect((await server.environment(`${environment.name}/network`)).status).toBe('active');
  });

  it('stops or rolls back the whole run, as its outermost file says; that of the workflow counts for runs of its own', async () => {
    inner('network', {
      settings: { onFailure: 'continue' },
      environments: { vpc: stack('vpc'), subnets: stack('subnets', { needs: ['vpc'] }) },
    });
    project.workflow({
      settings: { onFailure: 'rollback' },
      environments: { network: workflow('network'), db: node('db', { needs: ['network'] }) },
    });
    const run = await server.run(environment.id);
    expect(run.status).toBe('rolledBack');
    expect(project.lines('vpc')).toEqual(['apply', 'destroy']);
    expect((await server.environment(`${environment.name}/network`)).status).toBe('inactive');

    const stopped = await server.run(environment.id, { onFailure: 'stop' });
    expect([stopped.status, (await server.statuses(stopped.id))['db']]).toEqual(['failed', 'skipped']);
  });

  it('can be left out while the run goes on, and can be tried again', async () => {
    project.stack('dns', { sleepSeconds: 15 });
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'network/subnets', 'failed');
    project.failing('subnets', false);
    const path = `/deployments/${run.id}/nodes/${encodeURIComponent('network/subnets')}/retry`;
    await server.request('POST', path, {});
    expect((await server.ended(run.id)).status).toBe('succeeded');
    expect(await server.statuses(run.id)).toEqual(all('succeeded'));
  });
});

describe('what the files no longer list', () => {
  const without = (settings: Record<string, unknown>): void =>
    project.workflow({ settings, environments: { account: node('account'), db: node('db') } });
  const outside = { environmentRemovalStrategy: 'destroy' };

  it('is destroyed with its workflow, in reverse and after the rest, when the file says so', async () => {
    await deploy();
    without(outside);
    const plan = await server.run(environment.id, { type: 'plan' });
    expect((await server.nodes(plan.id)).flatMap(({ alias, removal }) => (removal ? [[alias, removal]] : []))).toEqual(
      expect.arrayContaining(['vpc', 'subnets', 'dns'].map((name) => [`network/${name}`, 'destroy'])),
    );
    const run = await deploy();
    inOrder(await server.nodes(run.id), 'db', 'network/subnets', 'network/vpc');
    expect(project.lines('vpc')).toEqual(['apply', 'destroy']);
  });

  it('lives on by itself otherwise, and the workflow is put away', async () => {
    await deploy();
    without({});
    await deploy();
    const vpc = await server.environment(`${environment.name}/network/vpc`);
    expect(vpc).toMatchObject({ status: 'active', parentId: null, flags: { detached: true } });
    expect(project.lines('vpc')).toEqual(['apply']);
    const { items } = await server.request<{ items: Environment[] }>('GET', `/environments/${environment.id}/children`);
    expect(items.filter(({ flags }) => !flags.archived).map(({ alias }) => alias)).toEqual(['account', 'db']);
  });

  it('is what the file of the workflow says of its own nodes', async () => {
    await deploy();
    inner('network', {
      settings: outside,
      environments: { vpc: stack('vpc'), subnets: stack('subnets', { needs: ['vpc'] }) },
    });
    await deploy();
    expect([project.lines('dns'), project.lines('account')]).toEqual([['apply', 'destroy'], ['apply']]);
  });

  it('may have been moved into a workflow: the resources stay', async () => {
    await deploy();
    project.workflow({
      settings: outside,
      environments: {
        account: node('account'),
        net: workflow('network', { needs: ['account'], inputs: { account: outputsOf('account') } }),
        db: node('db', { needs: ['net'], inputs: { vpc: outputsOf('net/vpc') } }),
      },
    });
    const refused = await server.refused(environment.id);
    expect(refused.problems?.map(({ message }) => message)).toContainEqual(
      expect.stringContaining('"network/vpc" is gone and "net/vpc" is new'),
    );
    await deploy({ moves: { network: 'net' } });
    expect([project.lines('subnets'), project.lines('dns')]).toEqual([['apply'], ['apply']]);
    expect((await server.environment(`${environment.name}/net`)).status).toBe('active');
  });

  it('does not become a workflow while its resources are there', async () => {
    project.workflow({ environments: { network: node('account') } });
    await deploy();
    write();
    expect((await server.refused(environment.id)).detail).toContain('"network" is deployed as a stack');
    expect(project.lines('vpc')).toEqual([]);
  });
});

describe('asking for approval', () => {
  const pending = async (run: { id: string }, alias: string) => {
    const { approvalId } = await nodeAt(server, run, alias, 'waitingForApproval');
    return server.request<{ path: string }>('GET', `/approvals/${approvalId}`);
  };
  const approve = async (run: { id: string }, alias: string): Promise<void> => {
    const { approvalId } = await nodeAt(server, run, alias, 'waitingForApproval');
    await server.request('POST', `/approvals/${approvalId}/approve`, {});
  };

  it('of a workflow means each of its nodes, and a request may waive it for all of them by its name', async () => {
    write({ network: { requiresApproval: true } });
    const run = await server.start(environment.id);
    expect((await pending(run, 'network/vpc')).path).toBe(`${environment.name}/network/vpc`);
    expect((await server.environment(`${environment.name}/network`)).flags.waitingForApproval).toBe(2);
    for (const name of ['vpc', 'dns', 'subnets']) await approve(run, `network/${name}`);
    expect((await server.ended(run.id)).status).toBe('succeeded');
    await deploy({ nodeApprovals: { network: false }, force: true });
  });

  it('can be saved for a workflow', async () => {
    await server.run(environment.id, { type: 'plan' });
    const path = `/environments/${encodeURIComponent(`${environment.name}/network`)}`;
    await server.request('PATCH', path, { settings: { requiresApproval: true } });
    const run = await server.start(environment.id);
    for (const name of ['vpc', 'dns', 'subnets']) await approve(run, `network/${name}`);
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });
});

it('plans and checks for drift what is in a workflow', async () => {
  await deploy();
  project.stack('dns', { inputs: ['region'], value: 'two' });
  const plan = await deploy({ type: 'plan' });
  expect(await server.statuses(plan.id)).toEqual(all('succeeded'));
  const planned = (await server.nodes(plan.id)).find(({ alias }) => alias === 'network/dns');
  expect(planned?.counts).toEqual({ add: 1, change: 0, destroy: 1 });
  expect(project.lines('dns')).toEqual(['apply']);
  const drift = await server.run(`${environment.name}/network`, { type: 'drift' });
  expect([drift.status, await server.statuses(drift.id)]).toEqual([
    'succeeded',
    { ...all('succeeded'), account: 'skipped', db: 'skipped' },
  ]);
  expect((await server.environment(`${environment.name}/network`)).flags.drift).toBe('ok');
});

it('gives the nodes of a workflow what is stored for it, and what a request gives it', async () => {
  await deploy();
  const place = `scope=environment&scopeId=${encodeURIComponent(`${environment.name}/network`)}`;
  await server.request('POST', `/variables?${place}`, { name: 'value', value: 'stored' });
  await server.request('POST', `/variables?${place}`, { name: 'value', value: 'for dns', alias: 'dns' });
  await deploy();
  // The file says it of the vpc itself.
  expect(await output('network/vpc')).toMatchObject({ value: 'v1' });
  expect(await output('network/subnets')).toMatchObject({ value: 'stored' });
  expect(await output('network/dns')).toMatchObject({ value: 'for dns', region: 'eu' });
  const { items } = await server.request<{ items: { name: string; level: string; value: unknown }[] }>(
    'GET',
    `/environments/${encodeURIComponent(`${environment.name}/network/dns`)}/variables`,
  );
  const found = items.map(({ name, level, value }) => [name, level, value]);
  expect(found).toEqual(
    expect.arrayContaining([
      ['value', 'node', 'for dns'],
      ['region', 'workflow', 'eu'],
    ]),
  );

  await deploy({ variables: [{ name: 'value', value: 'asked', alias: 'network' }] });
  expect(await output('network/vpc')).toMatchObject({ value: 'asked' });
  expect(await output('account')).toMatchObject({ value: 'a1' });
});

describe('templates of the project', () => {
  const template = (name: string, path: string): Promise<unknown> =>
    server.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory: project.directory, path } });

  it('that are workflows are nodes of a file of env0, too', async () => {
    const [name, stackName] = [unique('Network'), unique('VPC')];
    await template(name, 'network');
    const source = { kind: 'local', directory: project.directory, path: 'stacks/db' };
    await server.createTemplate({ name: stackName, type: 'opentofu', source });
    project.write(
      'env0/env0.workflow.yml',
      JSON.stringify({
        environments: {
          net: { name: 'Net', templateName: name },
          db: { name: 'DB', templateName: stackName, needs: ['net'] },
        },
      }),
    );
    await template(`${name}-all`, 'env0');
    const shop = await server.createEnvironment({ name: unique('env0'), template: `${name}-all` });
    const run = await server.run(shop.id);
    expect(await server.statuses(run.id)).toEqual({
      'net/vpc': 'succeeded',
      'net/subnets': 'succeeded',
      'net/dns': 'succeeded',
      db: 'succeeded',
    });
    expect((await server.nodes(run.id)).map((item) => item.name)).toContain('Net/vpc');
  });

  it('cannot contain themselves, directly or through others; nothing is recorded', async () => {
    const [a, b] = [unique('A'), unique('B')];
    const write = (name: string, other: string): void =>
      project.write(`${name}/${fileName}`, JSON.stringify({ environments: { inner: { templateName: other } } }));
    write('a', b);
    write('b', a);
    await template(a, 'a');
    await template(b, 'b');
    const loop = await server.createEnvironment({ name: unique('loop'), template: a });
    expect((await server.refused(loop.id)).problems).toEqual([
      expect.objectContaining({
        message: `a workflow contains itself: "${a}" → "${b}" (inner) → "${a}" (inner/inner)`,
        file: `${b}/${fileName}`,
        line: 1,
      }),
    ]);
    const text = JSON.stringify({ environments: { shop: { templateName: a } } });
    const validated = await server.request<{ problems: { message: string }[] }>('POST', '/validate', {
      ...{ text, fileName, project: 'default' },
    });
    expect(validated.problems.map(({ message }) => message)).toEqual([expect.stringContaining('contains itself')]);
    write('a', a);
    expect((await server.refused(loop.id)).detail).toContain(`"${a}" → "${a}" (inner)`);
  });

  it('lie at most five levels deep in each other', async () => {
    for (let level = 1; level <= 6; level++) {
      const deeper = { inner: workflow(`../l${level + 1}`) };
      const last = { vpc: stack('dns') };
      inner(`l${level}`, { environments: level === 6 ? last : deeper });
    }
    await template(unique('deep'), 'l2').catch(() => undefined);
    const [deepest, fits] = [unique('l1'), unique('l2')];
    await template(deepest, 'l1');
    await template(fits, 'l2');
    const tooDeep = await server.createEnvironment({ name: deepest, template: deepest });
    expect((await server.refused(tooDeep.id)).detail).toContain(
      'is a workflow at level 6; at most 5 levels are allowed',
    );
    const deep = await server.createEnvironment({ name: fits, template: fits });
    const run = await server.run(deep.id);
    expect(await server.statuses(run.id)).toEqual({ 'inner/inner/inner/inner/vpc': 'succeeded' });
  });

  it('of another project are not there', async () => {
    const other = await server.request<{ id: string; name: string }>('POST', '/projects', { name: unique('other') });
    const name = unique('Foreign');
    const source = { kind: 'local', directory: project.directory, path: 'network' };
    await server.request('POST', `/templates?project=${other.id}`, { name, type: 'workflow', source });
    project.workflow({ environments: { network: { templateName: name } } });
    expect((await server.refused(environment.id)).detail).toContain(
      `uses the template "${name}", which does not exist`,
    );
  });
});

it('is shown as what it is made of', async () => {
  project.failing('dns', true);
  await server.run(environment.id);
  const { name } = environment;
  const status = (await cli(server, ['status', name])).out;
  expect(status).toMatch(/✖ network +failed +2 of 3 active/);
  expect(status).toMatch(/┊ {2}✔ network\/vpc +active/);
  expect(status).toMatch(/┊ {2}└─ ✔ network\/subnets +active/);
  expect(status).toContain(`windlass logs ${name}/network/dns`);
  const graph = (await cli(server, ['graph', name])).out.split('\n').map((line) => line.replace(/(?<=\S) {3}.*/, ''));
  expect(graph.slice(2, 8)).toEqual([
    'account',
    '└─ network',
    '   ┊  network/dns',
    '   ┊  network/vpc',
    '   ┊  └─ network/subnets',
    '   └─ db',
  ]);
  expect((await cli(server, ['graph', name, '--format', 'mermaid'])).out).toMatch(
    /subgraph n\d+\["network · failed"\]/,
  );
  expect((await cli(server, ['environment', 'outputs', `${name}/network`])).out).toMatch(
    /network\/vpc +value +text +v1/,
  );
  expect((await cli(server, ['status', `${name}/network`])).out).toContain('network/vpc');
  expect((await cli(server, ['logs', `${name}/network`])).out).toContain('this create fails on purpose');
});
