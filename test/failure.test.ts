import type { Deployment, Environment, NodeRun } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
});

/** a → b → c, and d → e beside them. */
async function twoBranches(settings: Record<string, unknown> = {}, seconds: Record<string, number> = {}) {
  const project = makeProject('failure');
  projects.push(project);
  for (const name of ['a', 'b', 'c', 'd', 'e']) project.stack(name, { sleepSeconds: seconds[name] ?? 0 });
  project.workflow({
    settings,
    environments: {
      a: node('a'),
      b: node('b', { needs: ['a'], variables: { fail: { type: 'boolean', value: false } } }),
      c: node('c', { needs: ['b'] }),
      d: node('d'),
      e: node('e', { needs: ['d'] }),
    },
  });
  return { project, environment: await makeEnvironment(server, project) };
}

const failB = { variables: [{ name: 'fail', type: 'boolean', value: true, alias: 'b' }] };
const find = async (run: Deployment, alias: string): Promise<NodeRun> => {
  const found = (await server.nodes(run.id)).find((item) => item.alias === alias && !item.compensation);
  if (!found) throw new Error(`the run has no ${alias}`);
  return found;
};
const control = (run: Deployment, path: string): Promise<Deployment> =>
  server.request('POST', `/deployments/${run.id}/${path}`, {});

describe('a node that fails', () => {
  let environment: Environment;
  let project: TestProject;
  let run: Deployment;

  beforeAll(async () => {
    ({ environment, project } = await twoBranches());
    run = await server.run(environment.id, failB);
  });

  it('skips what depends on it and names itself as the reason, while other branches go on', async () => {
    expect(run.status).toBe('failed');
    expect(await server.statuses(run.id)).toEqual({
      a: 'succeeded',
      b: 'failed',
      c: 'skipped',
      d: 'succeeded',
      e: 'succeeded',
    });
    expect((await find(run, 'c')).reason).toMatchObject({ kind: 'failedAncestor', alias: 'b' });
    expect((await server.environment(environment.id)).status).toBe('failed');
    expect((await server.environment(`${environment.name}/b`)).status).toBe('failed');
    expect(project.lines('c')).toEqual([]);
  });

  it('says what failed, where, and of which class', async () => {
    const { error } = await find(run, 'b');
    expect(error?.message).toMatch(/local-exec|terraform_data\.this/);
    expect(['provider', 'tool']).toContain(error?.class);
    expect(error?.where).toMatch(/main\.tf:\d+/);
  });

  it('leaves no lock behind', async () => {
    const state = await server.request<{ lock: unknown } | null>(
      'GET',
      `/environments/${encodeURIComponent(`${environment.name}/b`)}/state`,
    );
    expect(state?.lock ?? null).toBeNull();
  });

  it('is resumed with the snapshot: only what failed or was skipped runs', async () => {
    // The file is broken by now; the snapshot does not care, and still has the variable that made it fail.
    project.write('windlass.workflow.yml', 'environments: [broken');
    const again = await server.ended((await control(run, 'resume')).id);
    expect(again).toMatchObject({ status: 'failed', basedOn: run.id });
    expect(await server.statuses(again.id)).toMatchObject({ a: 'skipped', b: 'failed', c: 'skipped', d: 'skipped' });
    expect(project.lines('a')).toEqual(['apply']);
  });
});

it('is resumed with the refreshed file when asked', async () => {
  const { environment, project } = await twoBranches();
  project.failing('b', true);
  const failed = await server.run(environment.id);
  expect(failed.status).toBe('failed');
  project.failing('b', false);
  project.stack('f');
  project.workflow({
    environments: {
      a: node('a'),
      b: node('b', { needs: ['a'] }),
      c: node('c', { needs: ['b'] }),
      d: node('d'),
      e: node('e', { needs: ['d'] }),
      f: node('f', { needs: ['c'] }),
    },
  });
  const asked = await server.request<Deployment>('POST', `/deployments/${failed.id}/resume`, { refresh: true });
  const again = await server.ended(asked.id);
  expect(again.status).toBe('succeeded');
  expect(await server.statuses(again.id)).toEqual({
    a: 'skipped',
    b: 'succeeded',
    c: 'succeeded',
    d: 'skipped',
    e: 'skipped',
    f: 'succeeded',
  });
  expect((await server.environment(environment.id)).status).toBe('active');
});

it('is resumed after it failed before it knew its nodes, once the file is right', async () => {
  const { environment, project } = await twoBranches({}, { a: 5 });
  const first = await server.start(environment.id);
  await nodeAt(server, first, 'a', 'running');
  // The file is right when the run is asked for, and wrong when its turn comes.
  const queued = await server.start(environment.id);
  project.write('windlass.workflow.yml', 'environments: {a: {}}');
  await server.ended(first.id);
  const failed = await server.ended(queued.id);
  expect(failed).toMatchObject({ status: 'failed', counts: { total: 0 } });
  const snapshot = await server.raw<{ detail: string }>('POST', `/deployments/${failed.id}/resume`, { refresh: false });
  expect([snapshot.status, snapshot.body.detail]).toEqual([409, expect.stringContaining('before it knew its nodes')]);
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
  const asked = await server.request<Deployment>('POST', `/deployments/${failed.id}/resume`, {});
  expect((await server.ended(asked.id)).status).toBe('succeeded');
  expect(await server.statuses(asked.id)).toEqual({ a: 'succeeded', b: 'succeeded' });
});

it('stops with onFailure: stop — what runs finishes, nothing new starts', async () => {
  const { environment, project } = await twoBranches({ onFailure: 'stop' }, { d: 4 });
  const run = await server.run(environment.id, failB);
  expect(run.status).toBe('failed');
  expect(await server.statuses(run.id)).toEqual({
    a: 'succeeded',
    b: 'failed',
    c: 'skipped',
    d: 'succeeded',
    e: 'skipped',
  });
  expect(project.lines('e')).toEqual([]);
});

it('rolls back with onFailure: rollback — what the run made is destroyed in reverse', async () => {
  const { environment, project } = await twoBranches({ onFailure: 'rollback' });
  const run = await server.run(environment.id, failB);
  expect(run.status).toBe('rolledBack');
  for (const name of ['a', 'd']) expect([name, project.lines(name)]).toEqual([name, ['apply', 'destroy']]);
  expect((await server.environment(environment.id)).status).toBe('inactive');
  const undone = (await server.nodes(run.id)).filter((item) => item.compensation);
  expect(undone.map((item) => [item.action, item.status])).toEqual(undone.map(() => ['destroy', 'succeeded']));
});

describe('repair in flight', () => {
  it('retries a failed node while its siblings run; what was skipped because of it proceeds', async () => {
    const { environment, project } = await twoBranches({}, { d: 6 });
    project.failing('b', true);
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'c', 'skipped');
    project.failing('b', false);
    await control(run, 'nodes/b/retry');
    expect(await server.ended(run.id)).toMatchObject({ status: 'succeeded' });
    expect(new Set(Object.values(await server.statuses(run.id)))).toEqual(new Set(['succeeded']));
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('skips a failed node; what waited on it proceeds', async () => {
    const { environment, project } = await twoBranches({}, { d: 6 });
    project.failing('b', true);
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'c', 'skipped');
    await control(run, 'nodes/b/skip');
    const ended = await server.ended(run.id);
    expect(await server.statuses(run.id)).toMatchObject({ b: 'skipped', c: 'succeeded', e: 'succeeded' });
    expect((await find(run, 'b')).reason?.kind).toBe('skippedByUser');
    // It is half-made, so neither the run nor the environment is well.
    expect(ended).toMatchObject({ status: 'failed', error: { message: '"b" failed half-way and was left out' } });
    expect((await server.environment(environment.id)).status).toBe('failed');
  });

  it('ends well when a node was left out that had not begun; the environment is partly deployed', async () => {
    const { environment } = await twoBranches({}, { a: 3 });
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'a', 'running');
    await control(run, 'nodes/b/skip');
    expect((await server.ended(run.id)).status).toBe('succeeded');
    expect(await server.statuses(run.id)).toMatchObject({ a: 'succeeded', b: 'skipped', c: 'succeeded' });
    expect((await server.environment(environment.id)).status).toBe('partlyDeployed');
    expect((await server.run(environment.id)).status).toBe('succeeded');
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('refuses to retry what has not failed, and anything once the run is over', async () => {
    const { environment } = await twoBranches({}, { d: 3 });
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'c', 'succeeded');
    const early = await server.raw<{ detail: string }>('POST', `/deployments/${run.id}/nodes/b/retry`, {});
    expect(early.status).toBe(409);
    expect(early.body.detail).toContain('"b" is not in a state for retry');
    await server.ended(run.id);
    const late = await server.raw<{ detail: string }>('POST', `/deployments/${run.id}/nodes/b/retry`, {});
    expect(late.status).toBe(409);
    expect(late.body.detail).toContain('is over');
  });

  it('tries again by itself as the retry rule says', async () => {
    const { environment, project } = await twoBranches();
    project.workflow({
      environments: { b: node('b', { retry: { maximum: 20, interval: '1s', backoff: 1 } }) },
    });
    project.failing('b', true);
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'b', 'retrying');
    project.failing('b', false);
    expect(await server.ended(run.id)).toMatchObject({ status: 'succeeded' });
    expect((await find(run, 'b')).try).toBeGreaterThan(1);
  });

  it.each(['stop', 'rollback', 'continue'])(
    'waits with its end while it is paused: what failed can be repaired, with onFailure: %s',
    async (onFailure) => {
      const { environment, project } = await twoBranches({ onFailure }, { a: 2 });
      project.failing('d', true);
      const run = await server.start(environment.id);
      await nodeAt(server, run, 'a', 'running');
      await control(run, 'pause');
      await Promise.all([nodeAt(server, run, 'a', 'succeeded'), nodeAt(server, run, 'd', 'failed')]);
      await nodeAt(server, run, 'e', 'skipped');
      project.failing('d', false);
      await control(run, 'nodes/d/retry');
      expect((await server.request<Deployment>('GET', `/deployments/${run.id}`)).status).toBe('running');
      await control(run, 'continue');
      expect((await server.ended(run.id)).status).toBe('succeeded');
      expect(new Set(Object.values(await server.statuses(run.id)))).toEqual(new Set(['succeeded']));
    },
  );

  it('ends as it is when it is continued without a repair', async () => {
    const { environment, project } = await twoBranches({ onFailure: 'stop' }, { a: 2 });
    project.failing('d', true);
    const run = await server.start(environment.id);
    await nodeAt(server, run, 'a', 'running');
    await control(run, 'pause');
    await Promise.all([nodeAt(server, run, 'a', 'succeeded'), nodeAt(server, run, 'd', 'failed')]);
    await control(run, 'continue');
    expect((await server.ended(run.id)).status).toBe('failed');
    expect(await server.statuses(run.id)).toMatchObject({ b: 'skipped', c: 'skipped', d: 'failed', e: 'skipped' });
  });

  it('pauses: what runs goes on, nothing new starts until it is continued', async () => {
    const { environment, project } = await twoBranches({}, { a: 2, d: 2 });
    const run = await server.start(environment.id);
    await Promise.all([nodeAt(server, run, 'a', 'running'), nodeAt(server, run, 'd', 'running')]);
    expect((await control(run, 'pause')).paused).toBe(true);
    await Promise.all([nodeAt(server, run, 'a', 'succeeded'), nodeAt(server, run, 'd', 'succeeded')]);
    expect(await server.statuses(run.id)).toMatchObject({ b: 'pending', e: 'pending' });
    expect(project.lines('b')).toEqual([]);
    expect((await control(run, 'continue')).paused).toBe(false);
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });
});

it('keeps alive what a node needs that could not be destroyed; other branches come down; a resume is a destroy', async () => {
  const { environment, project } = await twoBranches();
  await server.run(environment.id);
  project.failing('c', true, 'destroy');
  const run = await server.run(environment.id, { type: 'destroy' });
  expect(run.status).toBe('failed');
  expect(await server.statuses(run.id)).toEqual({
    a: 'skipped',
    b: 'skipped',
    c: 'failed',
    d: 'succeeded',
    e: 'succeeded',
  });
  expect((await find(run, 'a')).reason).toMatchObject({ kind: 'keptAlive', alias: 'c' });
  expect((await server.environment(environment.id)).status).toBe('failed');
  project.failing('c', false, 'destroy');
  const resumed = await server.ended((await control(run, 'resume')).id);
  expect(resumed).toMatchObject({ type: 'destroy', status: 'succeeded' });
  expect(await server.statuses(resumed.id)).toMatchObject({ a: 'succeeded', b: 'succeeded', c: 'succeeded' });
  expect(await server.environment(environment.id)).toMatchObject({ status: 'inactive', expiresAt: null });
});

it('never applies an old plan again after an apply that failed half-way', async () => {
  const { environment, project } = await twoBranches();
  await server.run(environment.id);
  project.failing('b', true);
  project.stack('b', { value: 'two' });
  const failed = await server.run(environment.id);
  expect(failed.status).toBe('failed');
  project.failing('b', false);
  const again = await server.run(environment.id);
  expect(again.status).toBe('succeeded');
  // The failed create is tainted: the new plan replaces it.
  expect((await find(again, 'b')).counts).toMatchObject({ add: 1, destroy: 1 });
});
