import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Approval, Deployment, Environment, EnvironmentView, Page } from '../src/model/index.ts';
import { taskQueues, workflowIds } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

/** Somebody who reaches Temporal's frontend and has no key of Windlass. */
let stranger: Client;
let connection: Connection;
const server = useTestServer();
const projects: TestProject[] = [];

beforeAll(async () => {
  connection = await Connection.connect({ address: server.temporalAddress });
  stranger = new Client({ connection });
});
afterAll(async () => {
  await connection?.close();
  for (const project of projects) project.remove();
});

const shell = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  vcs: { type: 'shell', path: '.', deployScript: 'true', destroyScript: 'true' },
  ...more,
});
async function make(environments: Record<string, unknown>, settings: Record<string, unknown> = {}) {
  const project = makeProject('back-door');
  projects.push(project);
  project.workflow({ environments });
  return { project, environment: await makeEnvironment(server, project, { settings }) };
}
async function deployed(settings: Record<string, unknown> = {}): Promise<Environment> {
  const { environment } = await make({ a: shell() }, settings);
  const run = await server.run(environment.id);
  expect(run.status).toBe('succeeded');
  // Its workflow ends a moment after its record; until then nobody can start another one of its id.
  const workflow = stranger.workflow.getHandle(workflowIds.deployment(run.id));
  await server.until(async () => (await workflow.describe()).status.name !== 'RUNNING');
  return server.environment(environment.id);
}
/** A run whose node `a` waits for an approval, and `b` for `a`. */
async function waiting(settings: Record<string, unknown> = {}) {
  const { environment } = await make({ a: shell({ requiresApproval: true }), b: shell({ needs: ['a'] }) }, settings);
  const run = await server.start(environment.id);
  await nodeAt(server, run, 'a', 'waitingForApproval');
  const { items } = await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${run.id}`);
  const [approval] = items;
  if (approval === undefined) throw new Error('nothing waits');
  return { environment, run, approval };
}
const approve = ({ id }: Approval) => server.request('POST', `/approvals/${id}/approve`, {});
const deployment = (id: string): Promise<Deployment> => server.request('GET', `/deployments/${id}`);
const runsOf = async ({ id }: Environment): Promise<string[]> =>
  (await server.request<Page<Deployment>>('GET', `/environments/${id}/deployments`)).items.map(
    ({ type, status }) => `${type} ${status}`,
  );
const entity = ({ id }: Environment) => stranger.workflow.getHandle(workflowIds.environment(id));
const view = (environment: Environment) => entity(environment).query<EnvironmentView>('view');
type Update = (name: string, options: { args: readonly unknown[] }) => Promise<unknown>;
const update = (workflowId: string, name: string, ...args: unknown[]): Promise<unknown> =>
  (stranger.workflow.getHandle(workflowId) as unknown as { executeUpdate: Update }).executeUpdate(name, { args });
const start = (type: string, workflowId: string, input: unknown): Promise<unknown> =>
  stranger.workflow.execute(type, {
    workflowId,
    taskQueue: taskQueues.orchestration,
    args: [input],
    workflowTaskTimeout: '10 seconds',
  });

/** Waits until so many refusals about this run or environment are in the audit log. */
const refusals = (target: string, count: number): Promise<Record<string, unknown>[]> =>
  server.until(async () => {
    const { items } = await server.request<Page<{ actor: { kind: string }; after: Record<string, unknown> }>>(
      'GET',
      `/audit?target=${target}&action=temporal.refused`,
    );
    expect(items.every(({ actor }) => actor.kind === 'system')).toBe(true);
    return items.length >= count && items.map(({ after }) => after);
  });

describe('a message to an environment that nobody with a key has asked for', () => {
  test('does not end it', async () => {
    const environment = await deployed();
    await update(workflowIds.environment(environment.id), 'setExpiry', { expiresAtMs: Date.now() - 1000 });
    expect(await refusals(environment.id, 1)).toMatchObject([
      { workflow: workflowIds.environment(environment.id), said: expect.stringContaining('expiresAtMs') as unknown },
    ]);
    expect((await view(environment)).expiresAtMs).toBeNull();
    expect(await runsOf(environment)).toEqual(['deploy succeeded']);
  });

  test('does not let it live on, nor forget that it ends', async () => {
    const environment = await deployed({ ttl: { kind: 'hours', hours: 5 } });
    await update(workflowIds.environment(environment.id), 'setExpiry', { expiresAtMs: null });
    await refusals(environment.id, 1);
    expect((await view(environment)).expiresAtMs).toBe(Date.parse(environment.expiresAt ?? ''));
  });

  test('does not take its lock off, nor put one on', async () => {
    const environment = await deployed();
    await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'audit' });
    await update(workflowIds.environment(environment.id), 'setLock', { lock: null });
    expect((await view(environment)).lock).toMatchObject({ reason: 'audit' });
    await server.request('DELETE', `/environments/${environment.id}/lock`);
    const lock = { reason: 'mine', by: 'stranger', at: new Date().toISOString() };
    await update(workflowIds.environment(environment.id), 'setLock', { lock });
    expect((await view(environment)).lock).toBeNull();
    await refusals(environment.id, 2);
    expect((await server.run(environment.id)).status).toBe('succeeded');
  });

  test('brings no run about: neither one that was made up, nor one of another environment, nor one that is over', async () => {
    const environment = await deployed();
    const other = await waiting();
    const [over] = (await server.request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items;
    for (const [deploymentId, type] of [
      ['dep_made_up', 'destroy'],
      [other.run.id, 'deploy'],
      [over?.id ?? '', 'destroy'],
    ] as const) {
      await update(workflowIds.environment(environment.id), 'submit', { deploymentId, type, title: 'Destroy it' });
      // The last is known to the workflow as one that it has had.
      if (type === 'destroy' && deploymentId === over?.id) continue;
      if (deploymentId === 'dep_made_up') await refusals(deploymentId, 1);
    }
    expect(await server.environment(environment.id)).toMatchObject({ status: 'active' });
    expect((await server.run(environment.id)).status).toBe('succeeded');
    expect((await deployment(other.run.id)).status).toBe('running');
    await approve(other.approval);
    expect((await server.ended(other.run.id)).status).toBe('succeeded');
  });

  test('drops no run that waits for its turn', async () => {
    const { environment, run, approval } = await waiting({ coalesceDeploys: true });
    const next = await server.start(environment.id);
    const id = workflowIds.environment(environment.id);
    expect(await update(id, 'cancelQueued', { deploymentId: next.id })).toEqual({ cancelled: false });
    expect(await update(id, 'cancelQueued', { deploymentId: next.id, requestId: 'req_0' })).toEqual({
      cancelled: false,
    });
    // A newer one that takes its place is made up, too.
    await update(id, 'submit', { deploymentId: 'dep_newer', type: 'deploy', title: 'Deploy', coalesce: true });
    await refusals(next.id, 3);
    expect((await view(environment)).queue).toMatchObject([{ deploymentId: next.id }, { deploymentId: 'dep_newer' }]);
    expect((await deployment(next.id)).status).toBe('queued');
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
    await nodeAt(server, next, 'a', 'waitingForApproval');
  });

  test('started for it anew neither ends it nor runs anything', async () => {
    const environment = await deployed();
    await entity(environment).terminate('by somebody');
    await stranger.workflow.start('environment', {
      workflowId: workflowIds.environment(environment.id),
      taskQueue: taskQueues.orchestration,
      args: [
        {
          environmentId: environment.id,
          projectId: environment.projectId,
          name: environment.name,
          state: {
            queue: [{ deploymentId: 'dep_invented', type: 'destroy', title: 'Destroy' }],
            lock: { reason: 'mine', by: 'stranger', at: new Date().toISOString() },
            expiresAtMs: Date.now() - 1000,
            warnedMs: [],
            accepted: [],
          },
        },
      ],
    });
    expect(await refusals(environment.id, 1)).toMatchObject([{ what: 'the end of an environment' }]);
    await refusals('dep_invented', 1);
    expect(await runsOf(environment)).toEqual(['deploy succeeded']);
    // What it was told of a lock is taken back by the first request.
    expect((await server.run(environment.id)).status).toBe('succeeded');
  });
});

describe('a message to a run that nobody with a key has asked for', () => {
  test.each(['pause', 'continue', 'cancel', 'abort', 'rollback'])('%s does nothing', async (kind) => {
    const { run, approval } = await waiting();
    const id = workflowIds.deployment(run.id);
    for (const more of [{}, { requestId: 'req_made_up' }])
      await expect(update(id, 'control', { kind, by: 'admin', ...more })).rejects.toThrow();
    expect(await refusals(run.id, 2)).toMatchObject([{ what: `control ${kind}` }, { what: `control ${kind}` }]);
    expect(await deployment(run.id)).toMatchObject({ status: 'running', paused: false });
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });

  test('a request that was made for another run, or carried out before, is not carried out', async () => {
    const one = await waiting();
    const other = await waiting();
    await server.request('POST', `/deployments/${one.run.id}/pause`);
    await server.request('POST', `/deployments/${one.run.id}/continue`);
    const { items } = await server.request<Page<{ after: { request: string } }>>(
      'GET',
      `/audit?target=${one.run.id}&action=deployment.pause`,
    );
    const requestId = items[0]?.after.request;
    expect(requestId).toMatch(/^req_/);
    const pause = { kind: 'pause', by: 'admin', requestId };
    await expect(update(workflowIds.deployment(other.run.id), 'control', pause)).rejects.toThrow();
    await refusals(other.run.id, 1);
    await update(workflowIds.deployment(one.run.id), 'control', pause);
    for (const { run, approval } of [one, other]) {
      expect(await deployment(run.id)).toMatchObject({ paused: false });
      await approve(approval);
      expect((await server.ended(run.id)).status).toBe('succeeded');
    }
  });

  test('a node is neither approved, nor rejected, nor stopped, nor called again', async () => {
    const { run, approval } = await waiting();
    const id = workflowIds.node(run.id, 'a');
    const decision = { approvalId: approval.id, by: 'boss', complete: true };
    await update(id, 'decide', { ...decision, decision: 'approve' });
    await refusals(run.id, 1);
    await update(id, 'decide', { ...decision, decision: 'reject' });
    await refusals(run.id, 2);
    for (const mode of ['cancel', 'abort', 'rollback']) await stranger.workflow.getHandle(id).signal('stop', { mode });
    await refusals(run.id, 5);
    await stranger.workflow.getHandle(id).signal('resume');
    await stranger.workflow.getHandle(workflowIds.deployment(run.id)).signal('makeWay', { kind: 'cancel' });
    await refusals(run.id, 6);
    expect(await server.statuses(run.id)).toEqual({ a: 'waitingForApproval', b: 'pending' });
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });

  test('a plan does not make way for a run that is not there', async () => {
    const { project, environment } = await make({ slow: node('slow') });
    project.stack('slow', { sleepSeconds: 0 });
    project.write('stacks/slow/wait.tf', 'data "external" "wait" {\n  program = ["sh", "-c", "sleep 5; echo {}"]\n}\n');
    const run = await server.start(environment.id, { type: 'plan' });
    await server.until(async () => (await deployment(run.id)).status === 'running');
    await stranger.workflow.getHandle(workflowIds.deployment(run.id)).signal('makeWay', {});
    await refusals(run.id, 1);
    expect((await deployment(run.id)).status).not.toBe('stopping');
    expect(['succeeded', 'failed']).toContain((await server.ended(run.id)).status);
  });
});

describe('a workflow that a stranger starts', () => {
  test('for a run that is over does not roll it back', async () => {
    const environment = await deployed();
    const [run] = (await server.request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items;
    const input = {
      deploymentId: run?.id,
      environmentId: environment.id,
      projectId: environment.projectId,
      title: 'x',
      type: 'deploy',
      state: { graph: { letters: 'r', causes: {} }, stop: 'rollback', paused: false, compensating: true },
    };
    const failure = await start('deployment', workflowIds.deployment(run?.id ?? ''), input).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ cause: { cause: { type: 'refused' } } });
    await refusals(run?.id ?? '', 1);
    expect(await server.environment(environment.id)).toMatchObject({ status: 'active' });
    expect((await deployment(run?.id ?? '')).status).toBe('succeeded');
  });

  test('for a queued destroy as if it were a plan does nothing, and the destroy comes when it is its turn', async () => {
    const { environment, run, approval } = await waiting();
    const destroy = await server.start(environment.id, { type: 'destroy', requiresApproval: false });
    const input = {
      deploymentId: destroy.id,
      environmentId: environment.id,
      projectId: environment.projectId,
      title: 'Plan',
      type: 'plan',
    };
    await expect(start('deployment', workflowIds.deployment(destroy.id), input)).rejects.toThrow();
    await refusals(destroy.id, 1);
    expect((await deployment(destroy.id)).status).toBe('queued');
    expect((await deployment(run.id)).status).toBe('running');
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
    expect((await server.ended(destroy.id)).status).toMatch(/succeeded|failed/);
  });

  test('for a node runs neither what is not its turn, nor something else, nor what is over', async () => {
    const { environment, run, approval } = await waiting();
    const of = (alias: string, index: number, more: Record<string, unknown> = {}) => ({
      deploymentId: run.id,
      environmentId: environment.id,
      alias,
      index,
      action: 'deploy',
      ...more,
    });
    const attempt = async (workflowId: string, input: unknown): Promise<unknown> =>
      start('subEnvironment', workflowId, input).catch((error: unknown) => error);
    await attempt(workflowIds.node(run.id, 'b'), of('b', 1));
    await attempt(workflowIds.node(run.id, 'b'), of('b', 1, { action: 'destroy' }));
    await attempt('anything', of('a', 0));
    await attempt(workflowIds.node(run.id, 'a', true), of('a', 0, { action: 'destroy', compensation: true }));
    await refusals(run.id, 4);
    expect(await server.statuses(run.id)).toEqual({ a: 'waitingForApproval', b: 'pending' });
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
    await attempt(workflowIds.node(run.id, 'b'), of('b', 1));
    await refusals(run.id, 5);
    expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded' });
  });

  test('fires no schedule that is not there, is paused, or is not due', async () => {
    const environment = await deployed();
    const fire = (kind: string, at: Date) =>
      start('scheduledRequest', `scheduled:${kind}:${environment.id}-${at.toISOString()}`, {
        environmentId: environment.id,
        kind,
      });
    const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000);
    expect(await fire('destroy', minute)).toMatchObject({ skipped: expect.stringContaining('no destroy') as unknown });
    const cron = `${(minute.getUTCMinutes() + 30) % 60} * * * *`;
    await server.request('PUT', `/environments/${environment.id}/schedule`, { destroy: cron });
    expect(await fire('destroy', minute)).toMatchObject({ skipped: expect.stringContaining('not fire') as unknown });
    await server.request('PUT', `/environments/${environment.id}/schedule`, { destroy: '* * * * *', paused: true });
    expect(await fire('destroy', minute)).toMatchObject({ skipped: expect.stringContaining('paused') as unknown });
    await refusals(environment.id, 3);
    expect(await runsOf(environment)).toEqual(['deploy succeeded']);
  });

  test('on a worker of his own changes nothing by calling our activities', async () => {
    const { environment, run, approval } = await waiting();
    const next = await server.start(environment.id);
    const native = await NativeConnection.connect({ address: server.temporalAddress });
    const worker = await Worker.create({
      connection: native,
      taskQueue: 'stranger',
      workflowsPath: require.resolve('./support/stranger-workflows.ts'),
    });
    const calls = [
      ['finishDeployment', { deploymentId: run.id, status: 'succeeded' }],
      ['setDeploymentStatus', { deploymentId: run.id, status: 'rollingBack' }],
      ['planCompensation', { deploymentId: run.id }],
      ['recordNodes', { deploymentId: run.id, updates: [{ index: 0, status: 'cancelled' }] }],
      ['takeControl', { deploymentId: run.id, requestId: 'req_1', said: 'abort' }],
      ['makeWay', { deploymentId: run.id }],
      ['resolveDeployment', { deploymentId: next.id }],
      ['recordCancelled', { deploymentId: next.id, message: 'gone', cause: { kind: 'lost' } }],
      ['requestExpiry', { environmentId: environment.id, expiresAtMs: 0, told: false }],
      ['warnExpiry', { environmentId: environment.id, expiresAtMs: 0, remainingMs: 0 }],
      ['readLife', { environmentId: environment.id }],
      ['attendNodeExpiry', { environmentId: environment.id }],
      ['requestScheduled', { environmentId: environment.id, kind: 'destroy', firedAt: 'now' }],
    ] as const;
    const node = { deploymentId: run.id, environmentId: environment.id, alias: 'a', index: 0, action: 'deploy' };
    await worker.runUntil(async () => {
      for (const [activity, input] of calls)
        await expect(
          stranger.workflow.execute('callActivity', {
            workflowId: `stranger-${activity}`,
            taskQueue: 'stranger',
            args: [{ queue: taskQueues.orchestration, activity, input }],
          }),
        ).rejects.toThrow();
      for (const mode of ['run', 'apply', 'settle'])
        await expect(
          stranger.workflow.execute('callActivity', {
            workflowId: `stranger-${mode}`,
            taskQueue: 'stranger',
            args: [{ queue: taskQueues.run, activity: 'runNode', input: { ...node, mode, try: 1 } }],
          }),
        ).rejects.toThrow();
    });
    await native.close();
    await refusals(run.id, 9);
    await refusals(next.id, 2);
    await refusals(environment.id, 5);
    expect(await deployment(run.id)).toMatchObject({ status: 'running' });
    expect(await deployment(next.id)).toMatchObject({ status: 'queued' });
    expect(await server.statuses(run.id)).toEqual({ a: 'waitingForApproval', b: 'pending' });
    await approve(approval);
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });
});
