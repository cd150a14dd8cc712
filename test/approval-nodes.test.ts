import type { Approval, Deployment, Environment, Graph } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;
let environment: Environment;

/** vpc → go (a decision) → eks, and other beside them. */
beforeEach(async () => {
  project = makeProject('gates');
  for (const name of ['vpc', 'eks', 'other']) project.stack(name);
  project.workflow({
    environments: {
      vpc: node('vpc'),
      go: { approval: { message: 'Is the network as drawn?', expires: '2h' }, needs: ['vpc'] },
      eks: node('eks', { needs: ['go'] }),
      other: node('other'),
    },
  });
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

const pending = async (run: Deployment): Promise<Approval> => {
  const id = await beforeEnd(server, run, (nodes) => nodes.find(({ approvalId }) => approvalId !== null)?.approvalId);
  return server.request('GET', `/approvals/${id}`);
};
const decide = (approval: Approval, verb: 'approve' | 'reject'): Promise<unknown> =>
  server.request('POST', `/approvals/${approval.id}/${verb}`, {});
const deployed = async (): Promise<void> => {
  const run = await server.start(environment.id);
  await decide(await pending(run), 'approve');
  expect((await server.ended(run.id)).status).toBe('succeeded');
};

it('asks its question when what it needs is done, and lets on what needs it once somebody has approved', async () => {
  const run = await server.start(environment.id);
  const approval = await pending(run);
  expect(approval).toMatchObject({
    about: 'gate',
    alias: 'go',
    path: `${environment.name}/go`,
    reason: 'Is the network as drawn?',
    counts: { add: 0, change: 0, destroy: 0 },
  });
  expect(Date.parse(approval.expiresAt) - Date.parse(approval.createdAt)).toBeLessThanOrEqual(2 * 3600_000);
  await nodeAt(server, run, 'other', 'succeeded');
  expect(await server.statuses(run.id)).toMatchObject({ vpc: 'succeeded', go: 'waitingForApproval', eks: 'pending' });

  await decide(approval, 'approve');
  expect((await server.ended(run.id)).status).toBe('succeeded');
  expect(project.lines('eks')).toEqual(['apply']);
  expect((await server.environment(environment.id)).status).toBe('active');
  const graph = await server.request<Graph>('GET', `/environments/${environment.id}/graph`);
  expect(graph.nodes.find(({ alias }) => alias === 'eks')?.needs).toEqual(['go']);
});

it('a rejection keeps what needs it from running; a resume asks again', async () => {
  const run = await server.start(environment.id);
  await decide(await pending(run), 'reject');
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await server.statuses(run.id)).toMatchObject({ go: 'cancelled', eks: 'skipped', vpc: 'succeeded' });

  const resumed = await server.start(environment.id, { resume: { deployment: run.id } });
  await decide(await pending(resumed), 'approve');
  expect((await server.ended(resumed.id)).status).toBe('succeeded');
  expect([project.lines('vpc'), project.lines('eks')]).toEqual([['apply'], ['apply']]);
});

it('every deploy asks anew, a plan and a drift check ask nobody, and a destroy holds the order through it', async () => {
  await deployed();
  const again = await server.start(environment.id);
  await decide(await pending(again), 'approve');
  expect((await server.ended(again.id)).status).toBe('succeeded');

  const plan = await server.run(environment.id, { type: 'plan' });
  expect([plan.status, (await server.statuses(plan.id))['go']]).toEqual(['succeeded', 'skipped']);
  const drift = await server.run(environment.id, { type: 'drift' });
  expect(drift.status).toBe('succeeded');
  expect((await server.environment(environment.id)).flags.drift).toBe('ok');

  const destroy = await server.run(environment.id, { type: 'destroy' });
  expect(destroy.status).toBe('succeeded');
  const ended = new Map((await server.nodes(destroy.id)).map((item) => [item.alias, item]));
  expect(Date.parse(ended.get('eks')?.finishedAt ?? '')).toBeLessThanOrEqual(
    Date.parse(ended.get('vpc')?.startedAt ?? ''),
  );
  expect((await server.environment(environment.id)).status).toBe('inactive');
});

it('who may approve can decide in advance for the very node, and a rollback leaves nothing of it behind', async () => {
  const run = await server.run(environment.id, { nodeApprovals: { go: false } });
  expect(run.status).toBe('succeeded');

  project.failing('eks', true);
  const fresh = await makeEnvironment(server, project);
  const failed = await server.run(fresh.id, { nodeApprovals: { go: false }, onFailure: 'rollback' });
  expect(failed.status).toBe('rolledBack');
  expect((await server.environment(fresh.id)).status).toBe('inactive');
});
