import type { Approval, Deployment, Environment, OutputDto, Page } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
});

/** fast → slow → last. */
async function chain(seconds: number) {
  const project = makeProject('stop');
  projects.push(project);
  project.stack('fast');
  project.stack('slow', { sleepSeconds: seconds });
  project.stack('last');
  project.workflow({
    environments: {
      fast: node('fast'),
      slow: node('slow', { needs: ['fast'] }),
      last: node('last', { needs: ['slow'] }),
    },
  });
  return { project, environment: await makeEnvironment(server, project) };
}

const stop = (run: Deployment, verb: string, body: object = {}): Promise<Deployment> =>
  server.request('POST', `/deployments/${run.id}/${verb}`, body);
/** The tool is in its create, not only started. */
const creating = (project: TestProject, run: Deployment, name: string): Promise<true> =>
  beforeEnd(server, run, () => project.lines(name).length > 0 && (true as const));
const lockOf = async (environment: Environment, alias: string): Promise<unknown> => {
  const ref = encodeURIComponent(`${environment.name}/${alias}`);
  const state = await server.request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
  return state?.lock ?? null;
};
const valueOf = async (environment: Environment, alias: string): Promise<unknown> => {
  const ref = encodeURIComponent(`${environment.name}/${alias}`);
  const page = await server.request<Page<OutputDto>>('GET', `/environments/${ref}/outputs`);
  return page.items.find((output) => output.name === 'value')?.value;
};

it('cancel lets the tool that changes something finish, and starts nothing new', async () => {
  const { project, environment } = await chain(3);
  const run = await server.start(environment.id);
  await creating(project, run, 'slow');
  await stop(run, 'cancel');
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await server.statuses(run.id)).toEqual({ fast: 'succeeded', slow: 'succeeded', last: 'cancelled' });
  expect(project.lines('last')).toEqual([]);
  expect((await stop(run, 'cancel')).status).toBe('cancelled');
});

it('abort interrupts the tool, takes nothing back, and leaves no lock', async () => {
  const { project, environment } = await chain(60);
  const run = await server.start(environment.id);
  await creating(project, run, 'slow');
  await stop(run, 'abort', { reason: 'wrong account' });
  expect((await server.ended(run.id)).status).toBe('aborted');
  expect(await server.statuses(run.id)).toEqual({ fast: 'succeeded', slow: 'aborted', last: 'cancelled' });
  expect(await lockOf(environment, 'slow')).toBeNull();
  expect(project.lines('fast')).toEqual(['apply']);
  expect((await server.environment(environment.id)).status).toBe('failed');

  project.stack('slow');
  expect((await server.run(environment.id)).status).toBe('succeeded');
  expect((await server.environment(environment.id)).status).toBe('active');
});

it('rollback of a running run interrupts it and takes back what it began, in reverse', async () => {
  const { project, environment } = await chain(60);
  const run = await server.start(environment.id);
  await creating(project, run, 'slow');
  await stop(run, 'rollback');
  expect((await server.ended(run.id)).status).toBe('rolledBack');
  // Asked again, it is what it is: nothing is taken back further.
  const again = await server.request<Deployment>('POST', `/deployments/${run.id}/rollback`, {});
  expect([again.id, again.status]).toEqual([run.id, 'rolledBack']);
  const undone = (await server.nodes(run.id)).filter((item) => item.compensation);
  expect(undone.map(({ alias, action, status }) => [alias, action, status]).sort()).toEqual([
    ['fast', 'destroy', 'succeeded'],
    ['slow', 'destroy', 'succeeded'],
  ]);
  expect(project.lines('fast')).toEqual(['apply', 'destroy']);
  expect((await server.environment(environment.id)).status).toBe('inactive');
});

it('rollback of a running run goes back to what was deployed before', async () => {
  const { project, environment } = await chain(0);
  expect((await server.run(environment.id)).status).toBe('succeeded');
  project.stack('fast', { value: 'two' });
  project.stack('slow', { value: 'two', sleepSeconds: 60 });
  const run = await server.start(environment.id);
  await beforeEnd(server, run, () => project.lines('slow').length === 3);
  await stop(run, 'rollback');
  expect((await server.ended(run.id)).status).toBe('rolledBack');
  expect([await valueOf(environment, 'fast'), await valueOf(environment, 'slow')]).toEqual(['one', 'one']);
  expect((await server.environment(environment.id)).status).toBe('active');
});

it('says so when not everything could be taken back', async () => {
  const { project, environment } = await chain(60);
  const run = await server.start(environment.id);
  await creating(project, run, 'slow');
  project.failing('fast', true, 'destroy');
  await stop(run, 'rollback');
  const ended = await server.ended(run.id);
  expect(ended.status).toBe('rollbackFailed');
  expect(ended.error?.message).toContain('1 of 2');
  const failed = (await server.nodes(run.id)).find((item) => item.compensation && item.alias === 'fast');
  expect(failed?.status).toBe('failed');
  expect((await server.environment(environment.id)).status).toBe('failed');
});

it('rolls a finished deployment back with a new one, from the snapshot before', async () => {
  const { project, environment } = await chain(0);
  const variables = (value: string) => ({ variables: [{ name: 'value', value, alias: 'last' }] });
  const first = await server.run(environment.id, variables('one'));
  project.stack('fast', { value: 'two' });
  const second = await server.run(environment.id, variables('two'));
  expect([await valueOf(environment, 'fast'), await valueOf(environment, 'last')]).toEqual(['two', 'two']);
  const back = await server.ended((await stop(second, 'rollback')).id);
  expect(back).toMatchObject({ type: 'rollback', status: 'succeeded', basedOn: first.id, number: 3 });
  expect([await valueOf(environment, 'fast'), await valueOf(environment, 'last')]).toEqual(['one', 'one']);
});

it('destroys what a later deployment had added when that one is rolled back', async () => {
  const { project, environment } = await chain(0);
  await server.run(environment.id);
  project.stack('extra');
  project.workflow({
    environments: {
      fast: node('fast'),
      slow: node('slow', { needs: ['fast'] }),
      last: node('last', { needs: ['slow'] }),
      extra: node('extra', { needs: ['last'] }),
    },
  });
  const second = await server.run(environment.id);
  expect(project.lines('extra')).toEqual(['apply']);
  const back = await server.ended((await stop(second, 'rollback')).id);
  expect(back.status).toBe('succeeded');
  expect(project.lines('extra')).toEqual(['apply', 'destroy']);
});

it('refuses to roll back when there is nothing before to go back to', async () => {
  const { environment } = await chain(0);
  const only = await server.run(environment.id);
  const refused = await server.raw<{ detail: string }>('POST', `/deployments/${only.id}/rollback`, {});
  expect(refused.status).toBe(409);
  expect(refused.body.detail).toContain('has no successful deployment before number 1');
});

it('cancels a run that waits for approval at once', async () => {
  const { project, environment } = await chain(0);
  const run = await server.start(environment.id, { nodeApprovals: { slow: true } });
  await nodeAt(server, run, 'slow', 'waitingForApproval');
  await stop(run, 'cancel');
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await server.statuses(run.id)).toEqual({ fast: 'succeeded', slow: 'cancelled', last: 'cancelled' });
  const open = await server.request<Page<Approval>>('GET', `/approvals?deployment=${run.id}&status=pending`);
  expect(open.items).toEqual([]);
  expect(project.lines('slow')).toEqual([]);
  expect((await server.environment(environment.id)).flags.waitingForApproval).toBe(0);
});

it('a run that is queued behind a cancelled one starts', async () => {
  const { project, environment } = await chain(3);
  const first = await server.start(environment.id);
  const second = await server.start(environment.id);
  await creating(project, first, 'slow');
  await stop(first, 'cancel');
  expect((await server.ended(second.id)).status).toBe('succeeded');
});

it('cancel during a plan of 100 nodes starts no further node, ends, and leaves no lock', async () => {
  const project = makeProject('stop');
  projects.push(project);
  project.stack('one');
  const aliases = Array.from({ length: 100 }, (_, index) => `n${index}`);
  project.workflow({ environments: Object.fromEntries(aliases.map((alias) => [alias, node('one')])) });
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id, { type: 'plan' });
  await beforeEnd(server, run, (nodes) => nodes.some((item) => item.status === 'succeeded'));
  await stop(run, 'cancel');
  expect((await server.ended(run.id)).status).toBe('cancelled');
  const statuses = Object.values(await server.statuses(run.id));
  expect(statuses.filter((status) => ['pending', 'running'].includes(status))).toEqual([]);
  expect(statuses.filter((status) => status !== 'succeeded').length).toBeGreaterThan(0);
  const locks = await Promise.all(aliases.map((alias) => lockOf(environment, alias)));
  expect(locks.filter((lock) => lock !== null)).toEqual([]);
});
