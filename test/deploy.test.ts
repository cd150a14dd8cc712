import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment, Environment, NodeRun, OutputDto, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const examples = join(__dirname, '..', 'examples');
const shopNeeds: Record<string, string[]> = {
  vpc: [],
  db: ['vpc'],
  eks: ['vpc'],
  billing: ['db', 'eks'],
  configuration: ['db', 'eks'],
  notification: ['db', 'eks'],
};

const server = useTestServer();
const projects: TestProject[] = [];
const newProject = (): TestProject => {
  const project = makeProject('deploy');
  projects.push(project);
  return project;
};

afterAll(() => {
  for (const project of projects) project.remove();
});

const millis = (text: string | null | undefined): number => Date.parse(text ?? '');
const byAlias = (nodes: readonly NodeRun[]): Map<string, NodeRun> => new Map(nodes.map((run) => [run.alias, run]));
const startedInOrder = (nodes: readonly NodeRun[], before: string, after: string): boolean => {
  const found = byAlias(nodes);
  return millis(found.get(after)?.startedAt) >= millis(found.get(before)?.finishedAt);
};
const outputsOf = async (ref: string): Promise<Record<string, unknown>> => {
  const page = await server.request<Page<OutputDto>>('GET', `/environments/${encodeURIComponent(ref)}/outputs`);
  return Object.fromEntries(page.items.map((output) => [output.name, output.value]));
};

describe('the online shop', () => {
  let shop: Environment;
  let first: Deployment;

  beforeAll(async () => {
    const project = newProject();
    cpSync(join(examples, 'online-shop'), project.directory, { recursive: true });
    shop = await makeEnvironment(server, project);
    first = await server.run(shop.id);
  });

  it('goes up in the order of its needs', async () => {
    expect(first.error).toBeNull();
    expect(first.status).toBe('succeeded');
    expect((await server.environment(shop.id)).status).toBe('active');
    const nodes = await server.nodes(first.id);
    expect(Object.keys(await server.statuses(first.id)).sort()).toEqual(Object.keys(shopNeeds).sort());
    for (const [alias, needs] of Object.entries(shopNeeds)) {
      for (const need of needs) expect([need, alias, startedInOrder(nodes, need, alias)]).toEqual([need, alias, true]);
    }
  });

  it('hands outputs to those that read them, with their types', async () => {
    const vpc = await outputsOf(`${shop.name}/vpc`);
    const eks = await outputsOf(`${shop.name}/eks`);
    expect(Array.isArray(vpc['private_subnet_ids'])).toBe(true);
    expect(eks['cluster']).toMatchObject({ node_count: 3 });
    const { name } = eks['cluster'] as { name: string };
    expect((await outputsOf(`${shop.name}/billing`))['url']).toBe(`http://billing.${name}.svc:8080`);
  });

  it('deploys again, and keeps both in its history', async () => {
    const second = await server.run(shop.id);
    expect(second).toMatchObject({ status: 'succeeded', number: 2 });
    for (const run of await server.nodes(second.id)) expect(run.counts).toEqual({ add: 0, change: 0, destroy: 0 });
    const history = await server.request<Page<Deployment>>('GET', `/environments/${shop.id}/deployments`);
    expect(history.items.map((run) => run.number)).toEqual([2, 1]);
  });

  it('comes down in reverse, and a second destroy of nothing succeeds', async () => {
    const destroy = await server.run(shop.id, { type: 'destroy' });
    expect(destroy.status).toBe('succeeded');
    const nodes = await server.nodes(destroy.id);
    for (const [alias, needs] of Object.entries(shopNeeds)) {
      for (const need of needs) expect([alias, need, startedInOrder(nodes, alias, need)]).toEqual([alias, need, true]);
    }
    expect((await server.environment(shop.id)).status).toBe('inactive');
    expect((await server.run(shop.id, { type: 'destroy' })).status).toBe('succeeded');
    expect((await server.environment(shop.id)).status).toBe('inactive');
  });
});

it('takes an env0.workflow.yml as it is, with templates by name', async () => {
  const project = newProject();
  cpSync(join(examples, 'env0-online-shop'), project.directory, { recursive: true });
  const code: Record<string, string> = {
    VPC: 'vpc',
    DB: 'db',
    EKS: 'eks',
    'Billing Service': 'billing-service',
    'Configuration Service': 'configuration-service',
    'Notification Service': 'notification-service',
  };
  for (const [name, path] of Object.entries(code)) {
    await server.createTemplate({
      name,
      type: 'opentofu',
      source: { kind: 'local', directory: project.directory, path },
    });
  }
  const shop = await makeEnvironment(server, project);
  const run = await server.run(shop.id);
  expect(run).toMatchObject({ status: 'succeeded', error: null });
  expect(new Set(Object.values(await server.statuses(run.id)))).toEqual(new Set(['succeeded']));
  const nodes = await server.nodes(run.id);
  expect(byAlias(nodes).get('billing')).toMatchObject({ name: 'Billing Service', templateName: 'Billing Service' });
  expect(startedInOrder(nodes, 'eks', 'notification')).toBe(true);
});

it('deploys one stack without a workflow file', async () => {
  const project = newProject();
  project.stack('alone', { value: 'single' });
  const name = unique('alone');
  await server.createTemplate({
    name,
    type: 'opentofu',
    source: { kind: 'local', directory: project.directory, path: 'stacks/alone' },
  });
  const environment = await server.createEnvironment({ name, template: name });
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded' });
  expect(await outputsOf(environment.id)).toMatchObject({ value: 'single' });
  expect((await server.environment(environment.id)).status).toBe('active');
  expect(await server.run(environment.id, { type: 'destroy' })).toMatchObject({ status: 'succeeded' });
  expect(project.lines('alone')).toEqual(['apply', 'destroy']);
  expect((await server.environment(environment.id)).status).toBe('inactive');
});

it('never runs more nodes at once than maxParallel says', async () => {
  const project = newProject();
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const name of names) project.stack(name, { sleepSeconds: 1 });
  project.workflow({
    settings: { maxParallel: 2 },
    environments: Object.fromEntries(names.map((name) => [name, node(name)])),
  });
  const environment = await makeEnvironment(server, project);
  const run = await server.run(environment.id);
  expect(run.status).toBe('succeeded');
  const spans = (await server.nodes(run.id)).map((item) => [millis(item.startedAt), millis(item.finishedAt)] as const);
  const atOnce = spans.map(([start]) => spans.filter(([from, to]) => from <= start && start < to).length);
  expect(Math.max(...atOnce)).toBe(2);
});

describe('the queue', () => {
  it('gives the same deployment for the same idempotency key, also at once', async () => {
    const project = newProject();
    project.stack('one');
    project.workflow({ environments: { one: node('one') } });
    const environment = await makeEnvironment(server, project);
    const path = `/environments/${environment.id}/deployments`;
    // While the first is being worked on, a repeat is told to come again.
    const ask = (): Promise<Deployment> =>
      server.until(async () => {
        const { status, body } = await server.raw<Deployment>('POST', path, {}, { 'idempotency-key': 'same' });
        return status === 409 ? null : body;
      });
    const answers = await Promise.all([ask(), ask(), ask()]);
    const ids = new Set(answers.map((answer) => answer.id));
    expect(ids.size).toBe(1);
    for (const id of ids) await server.ended(id);
    expect(ids).toContain((await ask()).id);
    expect((await server.request<Page<Deployment>>('GET', path)).items).toHaveLength(1);
    expect(project.lines('one')).toEqual(['apply']);
  });

  it('runs in the order of the requests, one at a time, and drops what is cancelled', async () => {
    const project = newProject();
    project.stack('one', { sleepSeconds: 2 });
    project.workflow({ environments: { one: node('one') } });
    const environment = await makeEnvironment(server, project);
    const first = await server.start(environment.id);
    const second = await server.start(environment.id, { type: 'destroy' });
    const third = await server.start(environment.id);
    const fourth = await server.start(environment.id, { type: 'destroy' });
    expect(await server.request<Deployment>('GET', `/deployments/${fourth.id}`)).toMatchObject({ status: 'queued' });
    const dropped = await server.request<Deployment>('POST', `/deployments/${second.id}/cancel`, {});
    expect(dropped.status).toBe('cancelled');
    const [one, three, four] = await Promise.all([first, third, fourth].map((run) => server.ended(run.id)));
    expect([one?.status, three?.status, four?.status]).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(millis(three?.startedAt)).toBeGreaterThanOrEqual(millis(one?.finishedAt));
    expect(millis(four?.startedAt)).toBeGreaterThanOrEqual(millis(three?.finishedAt));
    expect(await server.nodes(second.id)).toEqual([]);
    expect(project.lines('one')).toEqual(['apply', 'destroy']);
  });

  it('refuses runs of a locked environment with who and why, and takes them again afterwards', async () => {
    const project = newProject();
    project.stack('one');
    project.workflow({ environments: { one: node('one') } });
    const environment = await makeEnvironment(server, project);
    await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'audit week' });
    const refused = await server.raw<{ detail: string }>('POST', `/environments/${environment.id}/deployments`, {});
    expect(refused.status).toBe(423);
    expect(refused.body.detail).toContain('audit week');
    await server.request('DELETE', `/environments/${environment.id}/lock`);
    expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded' });
  });
});

it('recognizes nodes whose code, inputs and state are unchanged, with redeploy: onInputChange', async () => {
  const project = newProject();
  project.stack('a');
  project.stack('b', { inputs: ['from'] });
  project.workflow({
    environments: {
      a: node('a', { redeploy: 'onInputChange', variables: { value: '${VALUE}' } }),
      b: node('b', {
        needs: ['a'],
        redeploy: 'onInputChange',
        inputs: { from: '${environments.a.outputs.value}' },
      }),
    },
  });
  const environment = await makeEnvironment(server, project);
  const deploy = (value: string, more: Record<string, unknown> = {}): Promise<Deployment> =>
    server.run(environment.id, { variables: [{ name: 'VALUE', kind: 'environment', value }], ...more });
  const ran = async (run: Deployment): Promise<Record<string, boolean>> =>
    Object.fromEntries((await server.nodes(run.id)).map((item) => [item.alias, item.ran]));

  expect(await ran(await deploy('x'))).toEqual({ a: true, b: true });
  expect(await ran(await deploy('x'))).toEqual({ a: false, b: false });
  expect(await ran(await deploy('y'))).toEqual({ a: true, b: true });
  expect(await ran(await deploy('y', { force: true }))).toEqual({ a: true, b: true });
  project.stack('c');
  project.write('stacks/b/main.tf', `${'# a comment is another commit\n'}${'output "more" { value = 1 }\n'}`);
  expect((await ran(await deploy('y')))['b']).toBe(true);
});
