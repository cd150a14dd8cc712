import type { Deployment, Environment, Page, Preview } from '../src/model/index.ts';
import { cli } from './support/cli.ts';
import { makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;
let environment: Environment;

afterEach(() => project.remove());

const run = (command: string, answers?: string) =>
  cli(server, command.replaceAll('shop', environment.name).split(' '), answers);
const write = (aliases: readonly string[], strategy: 'destroy' | 'detach' = 'destroy'): void =>
  project.workflow({
    settings: { environmentRemovalStrategy: strategy },
    environments: Object.fromEntries(aliases.map((alias) => [alias, node(alias)])),
  });
const deployments = async (): Promise<Deployment[]> =>
  (await server.request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items;
const preview = (body: Record<string, unknown>): Promise<Preview> =>
  server.request('POST', `/environments/${environment.id}/preview`, body);

/** a, b and c are deployed. */
beforeEach(async () => {
  project = makeProject('ask');
  for (const name of ['a', 'b', 'c']) project.stack(name);
  write(['a', 'b', 'c']);
  environment = await makeEnvironment(server, project);
  expect((await server.run(environment.id)).status).toBe('succeeded');
});

describe('a plan', () => {
  it('begins with what a deploy would destroy, and ends with the counts of each node and the totals', async () => {
    project.stack('a', { value: 'two' });
    write(['a', 'b']);
    const planned = await run('plan shop');
    expect(planned.code).toBe(0);
    const lines = planned.out.split('\n').map((line) => line.trim());
    const at = lines.findIndex((line) => line.startsWith('✖ c'));
    expect(lines.slice(at, at + 3)).toEqual([
      '✖ c   +0 ~0 -1   destroyed: no longer wanted',
      '· a   +1 ~0 -1',
      'Total: 1 to add, 2 to destroy · 1 sub-environment would be destroyed · 1 other without changes',
    ]);
    expect(project.lines('c')).toEqual(['apply']);

    const shown = await run('plan show shop');
    expect(shown.out).toMatch(
      /c, which a deploy would destroy {3}\+0 ~0 -1\n[^]*will be destroyed[^]*· a {3}\+1 ~0 -1\n/,
    );
    expect(shown.out).toContain('Total: 1 to add, 2 to destroy');
    const json = JSON.parse((await run('plan show shop --json')).out) as {
      nodes: { alias: string; removal: string }[];
    };
    expect(json.nodes.map(({ alias, removal }) => [alias, removal])).toEqual([
      ['c', 'destroy'],
      ['a', null],
      ['b', null],
    ]);
  });

  it('says what would be let go', async () => {
    write(['a', 'b'], 'detach');
    const planned = await run('plan shop');
    expect(planned.out).toMatch(/⊘ c +let go: no longer in the file, its resources stay/);
    expect(planned.out).toContain('Total: nothing to change · 1 sub-environment would be let go');
    expect((await server.environment(`${environment.name}/c`)).flags.detached).toBe(false);
  });

  it('takes a renamed alias as what it was when it is told', async () => {
    write(['a', 'b']);
    project.workflow({
      settings: { environmentRemovalStrategy: 'destroy' },
      environments: { a: node('a'), b: node('b'), sea: node('c') },
    });
    const planned = await run('plan shop --moved c=sea');
    expect(planned.out).toContain('Total: nothing to change · 3 others without changes');
    const deployed = await run('deploy shop --moved c=sea');
    expect(deployed.code).toBe(0);
    expect(project.lines('c')).toEqual(['apply']);
  });
});

describe('a deploy that would destroy a node', () => {
  beforeEach(() => write(['a', 'b']));

  it('needs --yes without a terminal, names what would go, and leaves no record', async () => {
    const before = await deployments();
    const refused = await run('deploy shop');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain(`deploying "${environment.name}" destroys 1 sub-environment (1 resource):`);
    expect(refused.err).toContain('  c   as a whole, 1 resource');
    expect(refused.err).toContain(`to go on: windlass deploy ${environment.name} --yes`);
    expect(await deployments()).toHaveLength(before.length);
    expect(project.lines('c')).toEqual(['apply']);
    expect((await run('deploy shop --yes')).code).toBe(0);
    expect(project.lines('c')).toEqual(['apply', 'destroy']);
  });

  it('asks a person at a terminal', async () => {
    const no = await run('deploy shop', 'no\n');
    expect([no.code, project.lines('c')]).toEqual([5, ['apply']]);
    const yes = await run('deploy shop', 'yes\n');
    expect(yes.err).toContain('  c   as a whole, 1 resource');
    expect([yes.code, project.lines('c')]).toEqual([0, ['apply', 'destroy']]);
  });

  it('destroys nothing that has come to it since it was asked about', async () => {
    project.stack('b', { sleepSeconds: 5, value: 'two' });
    write(['a', 'b', 'c']);
    const first = await server.start(environment.id);
    await nodeAt(server, first, 'b', 'running');
    const queued = await server.start(environment.id, { mayDestroy: [] });
    write(['a', 'b']);
    await server.ended(first.id);
    const ended = await server.ended(queued.id);
    expect(ended).toMatchObject({ status: 'failed', counts: { total: 0 } });
    expect(ended.error?.message).toBe('"c" would be destroyed, which was not asked about when this run was requested');
    expect(project.lines('c')).toEqual(['apply']);
  });
});

it('a deploy asks about resources that the last plan of the same code takes away', async () => {
  project.stack('a', { value: 'two' });
  expect((await run('plan shop')).code).toBe(0);
  const refused = await run('deploy shop');
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(/a {3}1 resource: terraform_data.this {3}\(as plan 2 says\)/);
  expect((await run('deploy shop --yes')).code).toBe(0);
  // Nothing has planned what comes next, so nothing is known to go.
  project.stack('a', { value: 'three' });
  expect((await run('deploy shop')).code).toBe(0);
});

describe('a rollback', () => {
  beforeEach(async () => {
    project.stack('a', { value: 'two' });
    project.stack('d');
    write(['a', 'b', 'c', 'd']);
    expect((await server.run(environment.id)).status).toBe('succeeded');
  });

  it('says which node goes back to what, and asks about what did not exist then', async () => {
    const refused = await run('rollback shop');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain(`Rolling back ${environment.name} to deployment 1`);
    expect(refused.err).toMatch(/a {3}deployment 2 \([0-9a-f]{8}\) → deployment 1 \([0-9a-f]{8}\)/);
    expect(refused.err).toContain('d   destroyed: it did not exist then, 1 resource');
    expect(project.lines('d')).toEqual(['apply']);
    expect(await deployments()).toHaveLength(2);
    const done = await run('rollback shop --yes');
    expect([done.code, project.lines('d')]).toEqual([0, ['apply', 'destroy']]);
  });

  it('is planned with --plan, and changes nothing', async () => {
    const planned = await run('rollback shop --plan');
    expect(planned.code).toBe(0);
    expect(planned.out).toContain('✖ d   +0 ~0 -1   destroyed: no longer wanted');
    expect(planned.out).toMatch(/· a {3}\+1 ~0 -1/);
    expect([project.lines('a').length, project.lines('d')]).toEqual([3, ['apply']]);
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('waits for a person with --require-approval', async () => {
    const waiting = await run('rollback shop --require-approval --yes');
    expect(waiting.code).toBe(4);
    const [last] = await deployments();
    await nodeAt(server, { id: last?.id ?? '' }, 'a', 'waitingForApproval');
    await server.request('POST', `/deployments/${last?.id ?? ''}/abort`, {});
    await server.ended(last?.id ?? '');
  });

  it('of a run in progress says what it has begun, and what has to go', async () => {
    project.stack('b', { value: 'two' });
    project.stack('e');
    project.stack('f', { sleepSeconds: 30 });
    project.workflow({
      environments: { a: node('a'), b: node('b'), c: node('c'), d: node('d'), e: node('e'), f: node('f') },
    });
    const running = await server.start(environment.id);
    for (const alias of ['b', 'e']) await nodeAt(server, running, alias, 'succeeded');
    await nodeAt(server, running, 'f', 'running');
    const refused = await run('rollback shop');
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/b {3}deployment 3 \([0-9a-f]{8}\) → deployment 2 \([0-9a-f]{8}\)/);
    expect(refused.err).toContain('e   destroyed: it did not exist then, 1 resource');
    expect((await run('rollback shop --yes')).code).toBe(0);
    expect(project.lines('e')).toEqual(['apply', 'destroy']);
  });
});

it('a preview tells the same to a program', async () => {
  write(['a', 'b']);
  const seen = await preview({});
  expect(seen.nodes.map(({ alias, action }) => [alias, action])).toEqual([
    ['c', 'destroy'],
    ['a', 'deploy'],
    ['b', 'deploy'],
  ]);
  expect(seen.destroys).toEqual([{ alias: 'c', name: 'c', whole: true, resources: 1, addresses: [], plannedIn: null }]);
  expect(seen.nodes[1]?.from).toMatchObject({ deployment: 1 });
  expect(await deployments()).toHaveLength(1);
});
