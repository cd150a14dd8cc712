import { Client, Connection } from '@temporalio/client';
import { searchAttributes } from '../src/model/index.ts';
import type { Deployment, Environment } from '../src/model/index.ts';
import { beforeEnd, makeApprovedChain, makeEnvironment, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let connection: Connection;
let temporal: Client;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  connection = await Connection.connect({ address: server.temporalAddress });
  temporal = new Client({ connection });
  project = makeApprovedChain('attributes');
  environment = await makeEnvironment(server, project);
});
afterAll(async () => {
  await connection?.close();
  project?.remove();
});

type Shown = Record<string, [kind: unknown, status: unknown, closed: boolean]>;

/** As the lists of Temporal show them, which is a moment late. */
async function shown(query: string): Promise<Shown> {
  const found: Shown = {};
  const attribute = (of: Record<string, unknown>, key: string): unknown => (of[key] as unknown[] | undefined)?.[0];
  for await (const { workflowId, searchAttributes: values, status } of temporal.workflow.list({ query })) {
    const { kind, status: shownStatus } = searchAttributes;
    found[workflowId] ??= [attribute(values, kind), attribute(values, shownStatus), status.name !== 'RUNNING'];
  }
  return found;
}

/** Waits until the workflows of the environment are shown like this. */
async function expectShown(wanted: Shown): Promise<void> {
  const query = `${searchAttributes.environment} = '${environment.id}'`;
  await server.until(
    async () => {
      const found = await shown(query);
      return Object.keys(wanted).every((id) => JSON.stringify(found[id]) === JSON.stringify(wanted[id]));
    },
    { what: JSON.stringify(wanted), explain: () => shown(query) },
  );
}

const idOf = (run: Deployment, alias?: string): string =>
  alias === undefined ? `deployment:${run.id}` : `deployment:${run.id}/${alias}`;
const entity = (): string => `environment:${environment.id}`;
const approve = async (run: Deployment): Promise<void> => {
  const approvalId = await beforeEnd(
    server,
    run,
    (nodes) => nodes.find((item) => item.approvalId !== null)?.approvalId,
  );
  await server.request('POST', `/approvals/${approvalId}/approve`, {});
};

it('says of each workflow what it is and how far, while a run waits, is paused, and has ended', async () => {
  const run = await server.start(environment.id);
  await nodeAt(server, run, 'b', 'waitingForApproval');
  await expectShown({
    [entity()]: ['environment', 'running', false],
    [idOf(run)]: ['deployment', 'running', false],
    [idOf(run, 'a')]: ['subEnvironment', 'succeeded', true],
    [idOf(run, 'b')]: ['subEnvironment', 'waitingForApproval', false],
  });
  await server.request('POST', `/deployments/${run.id}/pause`, {});
  await expectShown({ [idOf(run)]: ['deployment', 'paused', false] });
  await server.request('POST', `/deployments/${run.id}/continue`, {});
  await expectShown({ [idOf(run)]: ['deployment', 'running', false] });
  await approve(run);
  expect((await server.ended(run.id)).status).toBe('succeeded');
  await expectShown({
    [entity()]: ['environment', 'idle', false],
    [idOf(run)]: ['deployment', 'succeeded', true],
    [idOf(run, 'b')]: ['subEnvironment', 'succeeded', true],
    [idOf(run, 'c')]: ['subEnvironment', 'succeeded', true],
  });
});

it('says so of a run that fails, and of one that is cancelled', async () => {
  project.failing('a', true);
  const failed = await server.run(environment.id, { variables: [{ name: 'value', value: 'two' }] });
  project.failing('a', false);
  expect(failed.status).toBe('failed');
  await expectShown({
    [idOf(failed)]: ['deployment', 'failed', true],
    [idOf(failed, 'a')]: ['subEnvironment', 'failed', true],
  });
  const cancelled = await server.start(environment.id, { variables: [{ name: 'value', value: 'three' }] });
  await nodeAt(server, cancelled, 'b', 'waitingForApproval');
  await server.request('POST', `/deployments/${cancelled.id}/cancel`, {});
  expect((await server.ended(cancelled.id)).status).toBe('cancelled');
  await expectShown({
    [idOf(cancelled)]: ['deployment', 'cancelled', true],
    [idOf(cancelled, 'b')]: ['subEnvironment', 'cancelled', true],
  });
});

it('says of the chores what they are', async () => {
  await server.until(async () => Object.values(await shown(`${searchAttributes.kind} = 'reconcile'`)).length > 0, {
    what: 'a reconciliation is in the list',
  });
});

it('shows a lock, and ends the workflow of an environment that is archived', async () => {
  await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'a look' });
  await expectShown({ [entity()]: ['environment', 'locked', false] });
  await server.request('DELETE', `/environments/${environment.id}/lock`);
  await expectShown({ [entity()]: ['environment', 'idle', false] });
  await server.request('DELETE', `/environments/${environment.id}?force=true`);
  await expectShown({ [entity()]: ['environment', 'archived', true] });
});
