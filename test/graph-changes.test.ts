import type { Environment, NodeRun, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];
const newProject = (): TestProject => {
  const project = makeProject('changes');
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

describe('a graph that changes', () => {
  async function deployed(names: readonly string[], settings: Record<string, unknown> = {}) {
    const project = newProject();
    for (const name of names) project.stack(name);
    const write = (aliases: Record<string, Record<string, unknown>>): void =>
      project.workflow({ settings, environments: aliases });
    write(
      Object.fromEntries(
        names.map((name, index) => [name, node(name, index > 0 ? { needs: [names[index - 1]] } : {})]),
      ),
    );
    const environment = await makeEnvironment(server, project);
    expect((await server.run(environment.id)).status).toBe('succeeded');
    return { project, environment, write };
  }
  const children = async (environment: Environment): Promise<Environment[]> =>
    (await server.request<Page<Environment>>('GET', `/environments/${environment.id}/children?detached=true`)).items;

  it('leaves a disabled node as it is; dependents run when it is deployed and are skipped when it is not', async () => {
    const { project, environment, write } = await deployed(['a', 'b']);
    project.stack('c');
    project.stack('d');
    write({
      a: node('a', { disabled: true }),
      b: node('b', { needs: ['a'] }),
      c: node('c', { disabled: true }),
      d: node('d', { needs: ['c'] }),
    });
    const run = await server.run(environment.id);
    expect(await server.statuses(run.id)).toEqual({ a: 'skipped', b: 'succeeded', c: 'skipped', d: 'skipped' });
    const nodes = byAlias(await server.nodes(run.id));
    expect(nodes.get('a')?.reason?.kind).toBe('disabled');
    expect(nodes.get('d')?.reason).toMatchObject({ kind: 'disabledAncestor', alias: 'c' });
    expect(project.lines('d')).toEqual([]);
  });

  it('holds the order through a disabled node, also when the whole comes down', async () => {
    const { project, environment, write } = await deployed(['a', 'b', 'c']);
    project.stack('a', { sleepSeconds: 2, value: 'two' });
    write({
      a: node('a'),
      b: node('b', { needs: ['a'], disabled: true }),
      c: node('c', { needs: ['b'] }),
    });
    const run = await server.run(environment.id);
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'skipped', c: 'succeeded' });
    expect(startedInOrder(await server.nodes(run.id), 'a', 'c')).toBe(true);
    expect((await server.environment(environment.id)).status).toBe('active');

    project.failing('a', true);
    project.stack('a', { value: 'three' });
    const failed = await server.run(environment.id);
    expect(await server.statuses(failed.id)).toEqual({ a: 'failed', b: 'skipped', c: 'skipped' });
    expect(byAlias(await server.nodes(failed.id)).get('c')?.reason).toMatchObject({
      kind: 'failedAncestor',
      alias: 'a',
    });

    project.failing('a', false);
    const alone = { partial: { operation: 'single-node-destroy', node: 'b', force: true } };
    expect((await server.run(environment.id, alone)).status).toBe('succeeded');
    const gone = await server.run(environment.id, { type: 'destroy' });
    expect(await server.statuses(gone.id)).toEqual({ a: 'succeeded', c: 'succeeded' });
    expect(startedInOrder(await server.nodes(gone.id), 'c', 'a')).toBe(true);
    expect((await server.environment(environment.id)).status).toBe('inactive');
  });

  it('refuses types that nothing can run before anything runs, all in one answer with their places', async () => {
    const project = newProject();
    project.stack('a');
    project.write(
      'windlass.workflow.yml',
      [
        'environments:',
        '  a: {vcs: {type: opentofu, path: stacks/a}}',
        '  chart: {vcs: {type: helm, path: stacks/a}, needs: [a]}',
        '  web: {vcs: {type: pulumi, path: stacks/a}}',
      ].join('\n'),
    );
    const environment = await makeEnvironment(server, project);
    const refused = await server.refused(environment.id);
    expect(refused.problems).toEqual([
      expect.objectContaining({ line: 3, column: 23, message: expect.stringContaining('"chart" has the type helm') }),
      expect.objectContaining({ line: 4, column: 21, message: expect.stringContaining('"web" has the type pulumi') }),
    ]);
    expect(project.lines('a')).toEqual([]);
  });

  it('asks for approval of the destroy of a removed node as the file said and the setting says today', async () => {
    const project = newProject();
    for (const name of ['a', 'b', 'c']) project.stack(name);
    const settings = { environmentRemovalStrategy: 'destroy' };
    project.workflow({
      settings,
      environments: { a: node('a'), b: node('b', { requiresApproval: true }), c: node('c') },
    });
    const environment = await makeEnvironment(server, project);
    // Waived for this run alone.
    expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
    project.workflow({ settings, environments: { a: node('a') } });
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'b', 'waitingForApproval');
    await nodeAt(server, run, 'c', 'succeeded');
    expect(project.lines('b')).toEqual(['apply']);
    await server.request('POST', `/deployments/${run.id}/abort`, {});
    await server.ended(run.id);
  });

  it('shows what the file gives a node among the variables in force, with secrets hidden', async () => {
    const project = newProject();
    project.stack('a', { inputs: ['zone', 'key'] });
    project.workflow({
      environments: {
        a: node('a', {
          variables: { value: 'from the file', zone: '${ZONE}', key: { value: 'k-1', sensitive: true } },
        }),
      },
    });
    const environment = await makeEnvironment(server, project);
    for (const body of [
      { name: 'ZONE', kind: 'environment', value: 'eu' },
      { name: 'value', value: 'stored' },
    ])
      await server.request('POST', `/variables?scope=environment&scopeId=${environment.id}`, body);
    expect((await server.run(environment.id)).status).toBe('succeeded');
    const page = await server.request<Page<{ name: string; value: unknown; level: string; overrides: string[] }>>(
      'GET',
      `/environments/${encodeURIComponent(`${environment.name}/a`)}/variables`,
    );
    expect(page.items.map(({ name, value, level, overrides }) => [name, value, level, overrides])).toEqual([
      ['ZONE', 'eu', 'environment', []],
      ['key', null, 'file', []],
      ['value', 'from the file', 'file', ['environment']],
      ['zone', 'eu', 'file', []],
    ]);
    const outputs = await server.request<Page<{ name: string; value: unknown }>>(
      'GET',
      `/environments/${encodeURIComponent(`${environment.name}/a`)}/outputs`,
    );
    expect(outputs.items.find((output) => output.name === 'value')?.value).toBe('from the file');
  });

  it('destroys a node removed from the file with the code that last deployed it, before what it needed', async () => {
    const { project, environment, write } = await deployed(['a', 'b', 'c'], { environmentRemovalStrategy: 'destroy' });
    project.write('stacks/b/main.tf', 'this is not HCL any more');
    write({ a: node('a') });
    const run = await server.run(environment.id);
    expect(run).toMatchObject({ status: 'succeeded' });
    const nodes = await server.nodes(run.id);
    expect(nodes.map(({ alias, action, status }) => [alias, action, status]).sort()).toEqual([
      ['a', 'deploy', 'succeeded'],
      ['b', 'destroy', 'succeeded'],
      ['c', 'destroy', 'succeeded'],
    ]);
    expect(startedInOrder(nodes, 'a', 'c')).toBe(true);
    expect(startedInOrder(nodes, 'c', 'b')).toBe(true);
    expect([project.lines('b'), project.lines('c')]).toEqual([
      ['apply', 'destroy'],
      ['apply', 'destroy'],
    ]);
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('detaches removed nodes by default, and they live on by themselves', async () => {
    const { project, environment, write } = await deployed(['a', 'b']);
    write({ a: node('a') });
    const run = await server.run(environment.id);
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded' });
    expect(project.lines('b')).toEqual(['apply']);
    expect((await children(environment)).map((child) => child.alias)).not.toContain('b');
    const alone = await server.environment(`${environment.name}/b`);
    expect(alone).toMatchObject({ status: 'active', flags: { detached: true } });
    expect((await server.run(alone.id, { type: 'destroy' })).status).toBe('succeeded');
    expect(project.lines('b')).toEqual(['apply', 'destroy']);
  });

  it('asks before it takes a renamed alias for a new node, and moves it when told', async () => {
    const { project, environment, write } = await deployed(['a', 'b'], { environmentRemovalStrategy: 'destroy' });
    const before = (await children(environment)).find((child) => child.alias === 'b');
    write({ a: node('a'), bee: node('b', { needs: ['a'] }) });
    const refused = await server.refused(environment.id);
    expect(refused.hint).toContain(`windlass deploy ${environment.name} --moved b=bee`);
    expect(refused.detail).toContain('"b" is gone and "bee" is new');
    expect(project.lines('b')).toEqual(['apply']);

    const moved = await server.run(environment.id, { moves: { b: 'bee' } });
    expect(await server.statuses(moved.id)).toEqual({ a: 'succeeded', bee: 'succeeded' });
    expect(project.lines('b')).toEqual(['apply']);
    expect((await children(environment)).find((child) => child.alias === 'bee')?.id).toBe(before?.id);
  });

  it('runs each node of a diamond with a direct and a transitive edge to the same node once', async () => {
    const project = newProject();
    for (const name of ['a', 'b', 'c']) project.stack(name);
    project.workflow({
      environments: { a: node('a'), b: node('b', { needs: ['a'] }), c: node('c', { needs: ['a', 'b', 'a'] }) },
    });
    const environment = await makeEnvironment(server, project);
    const run = await server.run(environment.id);
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded', c: 'succeeded' });
    for (const name of ['a', 'b', 'c']) expect([name, project.lines(name)]).toEqual([name, ['apply']]);
    const gone = await server.run(environment.id, { type: 'destroy' });
    expect(gone.status).toBe('succeeded');
    const nodes = await server.nodes(gone.id);
    expect(startedInOrder(nodes, 'c', 'b') && startedInOrder(nodes, 'b', 'a')).toBe(true);
    for (const name of ['a', 'b', 'c']) expect([name, project.lines(name)]).toEqual([name, ['apply', 'destroy']]);
  });
});
