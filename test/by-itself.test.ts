import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type { Approval, Deployment, NodeRun, Page } from '../src/model/index.ts';
import { workflowIds } from '../src/model/index.ts';
import { createOlderVersion } from '../src/operations/older-version.test-support.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { setTimeLimit } from './support/until.ts';
import { useTestServer } from './support/windlass.ts';

/** Expiry and reconciliation take minutes by the clock. */
setTimeLimit(300_000);

const server = useTestServer();
let connection: Connection;
const projects: TestProject[] = [];

beforeAll(async () => {
  connection = await Connection.connect({ address: server.temporalAddress });
});
afterAll(async () => {
  await connection?.close();
  for (const project of projects) project.remove();
});

const newProject = (): TestProject => {
  const project = makeProject('alone');
  projects.push(project);
  return project;
};
const find = async (run: Deployment, alias: string): Promise<NodeRun | undefined> =>
  (await server.nodes(run.id)).find((item) => item.alias === alias);
const approvalOf = async (run: Deployment): Promise<Approval | undefined> =>
  (await server.request<Page<Approval>>('GET', `/approvals?deployment=${run.id}`)).items[0];

async function withApproval(settings: Record<string, unknown>) {
  const project = newProject();
  project.stack('a');
  project.stack('b');
  project.workflow({ environments: { a: node('a', { requiresApproval: true }), b: node('b', { needs: ['a'] }) } });
  const environment = await makeEnvironment(server, project, { settings });
  const run = await server.start(environment.id);
  const approval = await server.until(() => approvalOf(run));
  return { project, run, approval };
}

it('cancels a node that nobody approved in time, says so, and leaves nothing to decide', async () => {
  const { project, run } = await withApproval({ approvalExpirySeconds: 60 });
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await find(run, 'a')).toMatchObject({ status: 'cancelled', reason: { message: 'nobody approved in time' } });
  expect(await find(run, 'b')).toMatchObject({ status: 'skipped', reason: { kind: 'stopped', alias: 'a' } });
  const approval = await approvalOf(run);
  expect(approval?.status).toBe('expired');
  const late = await server.raw<{ detail: string }>('POST', `/approvals/${approval?.id ?? ''}/approve`, {});
  expect(late).toMatchObject({ status: 409, body: { detail: expect.stringContaining('expired') as unknown } });
  expect([...project.lines('a'), ...project.lines('b')]).toEqual([]);
});

it('cancels a node whose plan was rejected, with who said so and why', async () => {
  const { run, approval } = await withApproval({});
  await server.request('POST', `/approvals/${approval.id}/reject`, { comment: 'too dear' });
  expect((await server.ended(run.id)).status).toBe('cancelled');
  const node_ = await find(run, 'a');
  expect(node_?.status).toBe('cancelled');
  expect(node_?.reason?.message).toMatch(/^rejected by .+: too dear$/);
  expect((await approvalOf(run))?.status).toBe('rejected');
});

it('ends a run like an abort when an operator cancels its workflow in Temporal', async () => {
  const project = newProject();
  project.stack('slow', { sleepSeconds: 200 });
  project.stack('later');
  project.workflow({ environments: { slow: node('slow'), later: node('later', { needs: ['slow'] }) } });
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  await server.until(async () => project.lines('slow').includes('apply'));
  await new Client({ connection }).workflow.getHandle(workflowIds.deployment(run.id)).cancel();
  expect((await server.ended(run.id)).status).toBe('aborted');
  expect(await server.statuses(run.id)).toMatchObject({ slow: 'aborted' });
});

it('finds a run whose workflow was ended outside, and closes it with everything that was open', async () => {
  const project = newProject();
  project.stack('slow', { sleepSeconds: 200 });
  project.stack('later');
  project.workflow({ environments: { slow: node('slow'), later: node('later', { needs: ['slow'] }) } });
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  await server.until(async () => project.lines('slow').includes('apply'));
  await new Client({ connection }).workflow.getHandle(workflowIds.deployment(run.id)).terminate('by hand');
  const ended = await server.ended(run.id);
  expect(ended.status).toBe('aborted');
  expect(ended.error?.message).toMatch(/erminated|ended outside/);
  expect(await server.statuses(run.id)).toEqual({ slow: 'aborted', later: 'cancelled' });
  expect((await server.environment(environment.id)).status).toBe('failed');
  // The tool is stopped too, and the environment can be deployed again.
  project.stack('slow');
  expect((await server.run(environment.id)).status).toBe('succeeded');
});

it('goes on with an environment whose workflow another version of Windlass began', async () => {
  const project = newProject();
  project.stack('a');
  project.workflow({ environments: { a: node('a') } });
  const environment = await makeEnvironment(server, project);
  const workflowId = workflowIds.environment(environment.id);
  const client = new Client({ connection });
  const native = await NativeConnection.connect({ address: server.temporalAddress });
  const today = join(__dirname, '..', 'src', 'workflows', 'index.ts');
  const older = createOlderVersion({ client, connection: native }, today);
  try {
    await older.begin('environment', workflowId);
    const { runId } = await client.workflow.getHandle(workflowId).describe();
    expect((await server.run(environment.id)).status).toBe('succeeded');
    expect((await client.workflow.getHandle(workflowId, runId).describe()).status.name).toBe('TERMINATED');
    expect((await server.environment(environment.id)).status).toBe('active');
  } finally {
    await older.stop();
    await native.close();
  }
});
