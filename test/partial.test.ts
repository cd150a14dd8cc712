import type { Deployment, Environment, NodeRun, OutputDto, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;
let environment: Environment;

/** a → b → c, and d on a; b and d read a's output. */
beforeEach(async () => {
  project = makeProject('partial');
  project.stack('a');
  project.stack('b', { inputs: ['from'] });
  project.stack('c');
  project.stack('d', { inputs: ['from'] });
  const inputs = { from: '${environments.a.outputs.value}' };
  project.workflow({
    environments: {
      a: node('a'),
      b: node('b', { needs: ['a'], inputs }),
      c: node('c', { needs: ['b'] }),
      d: node('d', { needs: ['a'], inputs }),
    },
  });
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

const single = (operation: string, name: string, more: Record<string, unknown> = {}): Promise<Deployment> =>
  server.run(environment.id, { partial: { operation, node: name, ...more } });
const valueOf = (value: string) => ({ variables: [{ name: 'value', value, alias: 'a' }] });
const reasonOf = async (run: Deployment, alias: string): Promise<NodeRun['reason']> =>
  (await server.nodes(run.id)).find((item) => item.alias === alias)?.reason ?? null;

it('run-from-here runs the node and everything downstream of it', async () => {
  await server.run(environment.id);
  const run = await single('run-from-here', 'b');
  expect(run.status).toBe('succeeded');
  expect(await server.statuses(run.id)).toEqual({ a: 'skipped', b: 'succeeded', c: 'succeeded', d: 'skipped' });
  expect((await reasonOf(run, 'd'))?.kind).toBe('notSelected');
  expect((await server.environment(environment.id)).status).toBe('active');
});

it('run-from-here skips what needs a node that is neither deployed nor part of the run', async () => {
  const run = await single('run-from-here', 'b');
  expect(await server.statuses(run.id)).toMatchObject({ b: 'skipped', c: 'skipped' });
  expect(await reasonOf(run, 'b')).toMatchObject({ kind: 'disabledAncestor', alias: 'a' });
});

describe('a deploy of a single node', () => {
  beforeEach(async () => {
    expect((await server.run(environment.id)).status).toBe('succeeded');
  });
  const deployA = (trickleDown: string | undefined, value: string): Promise<Deployment> =>
    server.run(environment.id, {
      partial: { operation: 'single-node-deploy', node: 'a', ...(trickleDown === undefined ? {} : { trickleDown }) },
      ...valueOf(value),
    });

  it('leaves dependents alone with trickleDown: none', async () => {
    const run = await deployA('none', 'two');
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'skipped', c: 'skipped', d: 'skipped' });
  });

  it('runs only dependents whose inputs may have changed, by default', async () => {
    const changed = await deployA(undefined, 'two');
    expect(await server.statuses(changed.id)).toMatchObject({ a: 'succeeded', b: 'succeeded', d: 'succeeded' });
    const same = await deployA(undefined, 'two');
    expect(await server.statuses(same.id)).toEqual({ a: 'succeeded', b: 'skipped', c: 'skipped', d: 'skipped' });
    expect((await reasonOf(same, 'b'))?.message).toContain('no output');
  });

  it('runs all dependents with trickleDown: all', async () => {
    const run = await deployA('all', 'one');
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded', c: 'succeeded', d: 'succeeded' });
  });

  it('is asked for by the path of the node, too', async () => {
    const run = await server.run(`${environment.name}/d`);
    expect(run.environmentId).toBe(environment.id);
    expect(await server.statuses(run.id)).toEqual({ a: 'skipped', b: 'skipped', c: 'skipped', d: 'succeeded' });
  });

  it('excludes a run of the parent: both are in one queue', async () => {
    project.stack('d', { inputs: ['from'], sleepSeconds: 2, value: 'slow' });
    const node_ = await server.start(`${environment.name}/d`);
    const whole = await server.start(environment.id);
    const [first, second] = await Promise.all([server.ended(node_.id), server.ended(whole.id)]);
    expect(Date.parse(second.startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(first.finishedAt ?? ''));
  });

  it('takes variables for this run and this node', async () => {
    await server.run(`${environment.name}/d`, { variables: [{ name: 'value', value: 'patched', alias: 'd' }] });
    const outputs = await server.request<Page<OutputDto>>(
      'GET',
      `/environments/${encodeURIComponent(`${environment.name}/d`)}/outputs`,
    );
    expect(outputs.items.find((output) => output.name === 'value')?.value).toBe('patched');
  });

  it('names the nodes there are when the asked one is not', async () => {
    const refused = await server.refused(environment.id, {
      partial: { operation: 'single-node-deploy', node: 'nope' },
    });
    expect(refused.status).toBe(422);
    expect(refused.detail).toContain('the graph has no node "nope"; it has "a", "b", "c", "d"');
  });
});

describe('a destroy of a single node', () => {
  beforeEach(async () => {
    expect((await server.run(environment.id)).status).toBe('succeeded');
  });

  it('is refused while live dependents exist, and names them', async () => {
    const refused = await server.refused(environment.id, { partial: { operation: 'single-node-destroy', node: 'a' } });
    expect(refused.status).toBe(422);
    expect(refused.detail).toContain('"a" is needed by "b", "d"');
    expect(project.lines('a')).toEqual(['apply']);
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('is done by force, and the rest is kept', async () => {
    const forced = await single('single-node-destroy', 'a', { force: true });
    expect(forced.status).toBe('succeeded');
    expect(project.lines('a')).toEqual(['apply', 'destroy']);
    expect(project.lines('b')).toEqual(['apply']);
    expect((await server.environment(`${environment.name}/a`)).status).toBe('inactive');
    expect((await server.environment(environment.id)).status).toBe('partlyDeployed');
    expect((await server.run(environment.id)).status).toBe('succeeded');
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('by force does not keep what read its outputs from being destroyed later', async () => {
    await single('single-node-destroy', 'a', { force: true });
    // b and d read an output of a, which is gone: they go with what they were deployed with.
    const whole = await server.run(environment.id, { type: 'destroy' });
    expect([whole.status, await server.statuses(whole.id)]).toEqual([
      'succeeded',
      { b: 'succeeded', c: 'succeeded', d: 'succeeded' },
    ]);
  });

  it('is done when nothing depends on it, by the path of the node', async () => {
    const run = await server.run(`${environment.name}/c`, { type: 'destroy' });
    expect(run.status).toBe('succeeded');
    expect(project.lines('c')).toEqual(['apply', 'destroy']);
    const again = await single('single-node-destroy', 'c');
    expect(again.status).toBe('succeeded');
  });

  it('of a node that was never deployed finds nothing to do', async () => {
    const other = await makeEnvironment(server, project);
    project.failing('a', true);
    expect((await server.run(other.id)).status).toBe('failed');
    const run = await server.run(other.id, { partial: { operation: 'single-node-destroy', node: 'd' } });
    const node = (await server.nodes(run.id)).find((item) => item.alias === 'd');
    expect([run.status, node?.status, node?.reason?.message]).toEqual([
      'succeeded',
      'skipped',
      'it was never deployed, so nothing is to be destroyed',
    ]);
  });
});

describe('a run of one node that failed', () => {
  beforeEach(async () => {
    expect((await server.run(environment.id)).status).toBe('succeeded');
    project.failing('a', true);
  });
  const redeploy = { partial: { operation: 'single-node-deploy', node: 'a' }, ...valueOf('two') };

  it('is rolled back alone', async () => {
    const failed = await server.run(environment.id, redeploy);
    expect(failed.status).toBe('failed');
    project.failing('a', false);
    const asked = await server.request<{ id: string }>('POST', `/deployments/${failed.id}/rollback`, {});
    const back = await server.ended(asked.id);
    expect(back.status).toBe('succeeded');
    expect(await server.statuses(back.id)).toEqual({ a: 'succeeded', b: 'skipped', c: 'skipped', d: 'skipped' });
    expect((await reasonOf(back, 'c'))?.message).toMatch(/^unchanged since deployment \d+$/);
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it.each([false, true])('is resumed alone, with the file read again: %s', async (refresh) => {
    project.failing('b', true);
    const failed = await server.run(environment.id, {
      partial: { operation: 'single-node-deploy', node: 'b' },
      variables: [{ name: 'value', value: 'two', alias: 'b' }],
    });
    expect(await server.statuses(failed.id)).toEqual({ a: 'skipped', b: 'failed', c: 'skipped', d: 'skipped' });
    project.failing('b', false);
    const asked = await server.request<{ id: string }>('POST', `/deployments/${failed.id}/resume`, { refresh });
    const again = await server.ended(asked.id);
    expect(again.status).toBe('succeeded');
    expect(await server.statuses(again.id)).toEqual({ a: 'skipped', b: 'succeeded', c: 'succeeded', d: 'skipped' });
  });
});

describe('an alias that no node has', () => {
  it('is refused before anything runs, with the nearest one', async () => {
    const refused = await server.refused(environment.id, { variables: [{ name: 'value', value: 'x', alias: 'aa' }] });
    expect(refused.detail).toContain(`"${environment.name}" has no node "aa"; did you mean "a"?`);
  });

  it('is refused at once when the run acts on what is there', async () => {
    await server.run(environment.id);
    const asked = await server.raw<{ detail: string }>('POST', `/environments/${environment.id}/deployments`, {
      type: 'destroy',
      nodeApprovals: { bb: true },
    });
    expect(asked.status).toBe(400);
    expect(JSON.stringify(asked.body)).toContain('has no node \\"bb\\"');
  });
});

describe('a plan of the whole graph', () => {
  it('plans what can be known and says of the rest that it cannot be known yet', async () => {
    const plan = await server.run(environment.id, { type: 'plan' });
    expect(plan.status).toBe('succeeded');
    const nodes = new Map((await server.nodes(plan.id)).map((item) => [item.alias, item]));
    expect(nodes.get('a')).toMatchObject({ status: 'succeeded', counts: { add: 1, change: 0, destroy: 0 } });
    expect(nodes.get('c')).toMatchObject({ status: 'succeeded', counts: { add: 1, change: 0, destroy: 0 } });
    for (const alias of ['b', 'd']) {
      expect(nodes.get(alias)?.status).toBe('skipped');
      expect(nodes.get(alias)?.reason?.message).toMatch(/cannot be known yet: .*"value" of "a"/);
    }
    expect(project.lines('a')).toEqual([]);
    expect((await server.environment(environment.id)).status).toBe('neverDeployed');
  });

  it('does not get in the way of another plan at the same time', async () => {
    const runs = await Promise.all([1, 2, 3].map(() => server.start(environment.id, { type: 'plan' })));
    for (const { id } of runs) {
      await server.ended(id);
      expect((await server.nodes(id)).flatMap((item) => item.error ?? [])).toEqual([]);
      expect(await server.statuses(id)).toEqual({ a: 'succeeded', b: 'skipped', c: 'succeeded', d: 'skipped' });
    }
  });

  it('changes nothing of what is deployed, and leaves the state as it is', async () => {
    await server.run(environment.id);
    const state = () => server.request('GET', `/environments/${encodeURIComponent(`${environment.name}/a`)}/state`);
    const before = await state();
    const plan = await server.run(environment.id, { type: 'plan', ...valueOf('other') });
    const counts = Object.fromEntries((await server.nodes(plan.id)).map((item) => [item.alias, item.counts]));
    expect(counts['a']).toEqual({ add: 1, change: 0, destroy: 1 });
    expect(counts['c']).toEqual({ add: 0, change: 0, destroy: 0 });
    expect(await state()).toEqual(before);
    expect((await server.environment(environment.id)).status).toBe('active');
    const json = await server.request<{ resource_changes: { address: string }[] }>(
      'GET',
      `/deployments/${plan.id}/nodes/a/plan`,
    );
    expect(json.resource_changes.map((change) => change.address)).toEqual(['terraform_data.this']);
    expect(await server.text(`/deployments/${plan.id}/nodes/a/plan?format=text`)).toContain('must be replaced');
  });
});
