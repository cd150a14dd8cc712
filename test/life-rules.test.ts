import { Client, Connection } from '@temporalio/client';
import type { Approval, Deployment, Environment, Event, Page } from '../src/model/index.ts';
import { isTerminalDeployment, taskQueues, workflowIds, workflowTypes } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let connection: Connection;
const projects: TestProject[] = [];
const never = '0 0 29 2 *';
const hourMs = 3_600_000;
/** Far enough ahead that a busy machine still takes the request in time. */
const soon = () => ({ kind: 'date', at: new Date(Date.now() + 5000).toISOString() });

beforeAll(async () => {
  connection = await Connection.connect({ address: server.temporalAddress });
});
afterAll(async () => {
  await connection?.close();
  for (const project of projects) project.remove();
});

/** A shell stack that needs no tool to be started for long. */
const shell = (more: Record<string, unknown> = {}, script: Record<string, string> = {}): Record<string, unknown> => ({
  vcs: { type: 'shell', path: '.', deployScript: 'true', destroyScript: 'true', ...script },
  ...more,
});
async function make(definition: Record<string, unknown>, settings: Record<string, unknown> = {}) {
  const project = makeProject('life');
  projects.push(project);
  project.workflow(definition);
  const environment = await makeEnvironment(server, project, { settings });
  return { project, environment };
}
const deployed = async (id: string, request: Record<string, unknown> = {}): Promise<Environment> => {
  expect(await server.run(id, request)).toMatchObject({ status: 'succeeded', error: null });
  return server.environment(id);
};
const events = async (id: string, type: string): Promise<Event[]> =>
  (
    await server.request<Page<Event>>('GET', `/environments/${id}/events?limit=200`, undefined, {
      accept: 'application/json',
    })
  ).items.filter((event) => event.type === type);
const runs = async (id: string): Promise<Deployment[]> =>
  (await server.request<Page<Deployment>>('GET', `/environments/${id}/deployments`)).items;
const endOf = (environment: Environment): number => Date.parse(environment.expiresAt ?? 'none');
const approvalOf = (run: Deployment): Promise<Approval> =>
  server.until(
    async () =>
      (await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${run.id}`)).items[0],
  );
const schedule = (kind: string, id: string) => new Client({ connection }).schedule.getHandle(`${kind}:${id}`);
/** The minute that has begun. A schedule that names it and is saved now fires at it tomorrow by itself. */
const thisMinute = (): Date => new Date(Math.floor(Date.now() / 60_000) * 60_000);
const cronOf = (at: Date): string => `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
/** What Temporal starts when a schedule fires at its nominal time. */
const fire = (kind: string, environmentId: string, at: Date) =>
  new Client({ connection }).workflow.execute(workflowTypes.scheduledRequest, {
    workflowId: `scheduled:${kind}:${environmentId}-${at.toISOString()}`,
    taskQueue: taskQueues.orchestration,
    args: [{ environmentId, kind }],
  });
const put = (id: string, what: string, body: unknown) => server.request('PUT', `/environments/${id}/${what}`, body);

describe('a time to live that ends', () => {
  it('while the environment is locked stays due, says so once, and destroys it when the lock is taken off', async () => {
    const { environment } = await make({ environments: { a: shell() } });
    await deployed(environment.id);
    // Before the end is set: on a busy machine it would come first.
    await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'audit' });
    await put(environment.id, 'ttl', soon());
    const [warning] = await server.until(async () => {
      const found = await events(environment.id, 'environment.warning');
      return found.length > 0 && found;
    });
    expect(warning?.data['message']).toMatch(/its time to live is over.*audit/);
    const due = await server.environment(environment.id);
    expect(due.status).toBe('active');
    expect(endOf(due)).toBeLessThan(Date.now());
    // Asked again, and refused again, by what tells its workflow of a lock.
    await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'still the audit' });
    await server.request('DELETE', `/environments/${environment.id}/lock`);
    await server.until(async () => (await server.environment(environment.id)).status === 'inactive');
    expect((await runs(environment.id))[0]).toMatchObject({ type: 'destroy', trigger: 'ttl', status: 'succeeded' });
    expect(await events(environment.id, 'environment.warning')).toHaveLength(1);
    expect((await server.environment(environment.id)).expiresAt).toBeNull();
  });

  it('is tried again after an hour when its destroy is cancelled, and put off by whoever extends it', async () => {
    const { environment } = await make({ environments: { a: shell({ requiresApproval: true }) } });
    const first = await server.start(environment.id);
    await server.request('POST', `/approvals/${(await approvalOf(first)).id}/approve`, {});
    await server.ended(first.id);
    // A run that waits for a person holds the slot.
    const holding = await server.start(environment.id);
    await approvalOf(holding);
    const queuedDestroy = () =>
      server.until(async () =>
        (await runs(environment.id)).find((run) => run.trigger === 'ttl' && run.status === 'queued'),
      );

    await put(environment.id, 'ttl', soon());
    const destroy = await queuedDestroy();
    await server.request('POST', `/deployments/${destroy.id}/cancel`);
    expect((await server.ended(destroy.id)).status).toBe('cancelled');
    const later = await server.until(async () => {
      const now = await server.environment(environment.id);
      return endOf(now) > Date.now() && now;
    });
    expect(endOf(later)).toBeLessThanOrEqual(Date.now() + hourMs);

    await put(environment.id, 'ttl', soon());
    const again = await queuedDestroy();
    expect(again.id).not.toBe(destroy.id);
    await server.request('POST', `/environments/${environment.id}/ttl/extend`, { hours: 5 });
    expect(await server.ended(again.id)).toMatchObject({
      status: 'cancelled',
      error: { message: 'its time to live was put off' },
    });
    expect(endOf(await server.environment(environment.id))).toBeGreaterThan(Date.now() + 4 * hourMs);
    await server.request('POST', `/deployments/${holding.id}/cancel`);
    expect((await server.ended(holding.id)).status).toBe('cancelled');
    expect((await server.environment(environment.id)).status).toBe('active');
  });
});

describe('hours to live', () => {
  it('begin anew with a deploy of all or a part, and not when a node is taken away, drift is repaired or it is rolled back', async () => {
    const { environment } = await make(
      { environments: { a: shell({}, { driftScript: 'exit 2' }), b: shell() } },
      { ttl: { kind: 'hours', hours: 10 }, drift: { cron: never, remediation: 'redeploy' } },
    );
    const whole = endOf(await deployed(environment.id));
    const part = endOf(await deployed(environment.id, { partial: { operation: 'single-node-deploy', node: 'a' } }));
    expect(part).toBeGreaterThan(whole);
    const taken = await deployed(environment.id, { partial: { operation: 'single-node-destroy', node: 'b' } });
    expect(endOf(taken)).toBe(part);
    expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
    const remedy = await server.until(async () =>
      (await runs(environment.id)).find((run) => run.trigger === 'drift' && isTerminalDeployment(run.status)),
    );
    expect(remedy).toMatchObject({ type: 'deploy', status: 'succeeded' });
    expect(endOf(await server.environment(environment.id))).toBe(part);
    expect(endOf(await deployed(environment.id, { type: 'rollback' }))).toBe(part);
    // What a person sets now counts from the same moment.
    await put(environment.id, 'ttl', { kind: 'hours', hours: 11 });
    expect(endOf(await server.environment(environment.id))).toBe(part + hourMs);
  });

  it('begin with the first run that leaves something there, though it failed', async () => {
    const { environment } = await make(
      { environments: { a: shell(), b: shell({ needs: ['a'] }, { deployScript: 'false' }) } },
      { ttl: { kind: 'hours', hours: 10 } },
    );
    expect((await server.run(environment.id)).status).toBe('failed');
    const end = endOf(await server.environment(environment.id));
    expect(end).toBeGreaterThan(Date.now() + 9 * hourMs);
    expect((await server.run(environment.id)).status).toBe('failed');
    expect(endOf(await server.environment(environment.id))).toBe(end);
  });

  it('are as many as the project allows where nothing else is said', async () => {
    const project = await server.request<{ id: string }>('POST', '/projects', {
      name: 'bounded',
      settings: { maximumTtlHours: 24 },
    });
    const source = makeProject('bounded');
    projects.push(source);
    source.workflow({ environments: { a: shell() } });
    await server.request('POST', '/templates?project=bounded', {
      name: 'bounded',
      type: 'workflow',
      source: { kind: 'local', directory: source.directory },
    });
    const environment = await server.request<Environment>('POST', '/environments?project=bounded', {
      name: 'bounded',
      template: 'bounded',
    });
    expect(environment.projectId).toBe(project.id);
    const end = endOf(await deployed(environment.id));
    expect(end).toBeGreaterThan(Date.now() + 23 * hourMs);
    expect(end).toBeLessThanOrEqual(Date.now() + 24 * hourMs);
  });
});

it('asks for a new end before what ended at a date is deployed again', async () => {
  const { environment } = await make({ environments: { a: shell() } });
  await deployed(environment.id);
  await put(environment.id, 'ttl', soon());
  await server.until(async () => (await server.environment(environment.id)).status === 'inactive');
  const refused = await server.raw<{ detail: string }>('POST', `/environments/${environment.id}/deployments`, {});
  expect(refused).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('set a new one first') as unknown },
  });
  await put(environment.id, 'ttl', { kind: 'hours', hours: 1 });
  expect(endOf(await deployed(environment.id))).toBeGreaterThan(Date.now());
});

describe('a schedule', () => {
  it('that fires while the environment is at work skips the firing, and says so in events and audit log', async () => {
    const at = thisMinute();
    const cron = cronOf(at);
    const { environment } = await make(
      { environments: { a: shell({ requiresApproval: true }) } },
      { schedule: { deploy: cron, destroy: cron }, drift: { cron } },
    );
    const busy = await server.start(environment.id);
    const approval = await approvalOf(busy);
    for (const [kind, skips] of [
      ['deploy', 1],
      ['destroy', 2],
      ['drift', 3],
    ] as const) {
      await fire(kind, environment.id, at);
      const skipped = await server.until(async () => {
        const found = await events(environment.id, 'schedule.skipped');
        return found.length === skips && found;
      });
      expect(skipped.at(-1)?.data).toMatchObject({
        kind,
        message: expect.stringMatching(/deploy #1 is running/) as unknown,
      });
    }
    const audit = await server.request<Page<{ after: unknown }>>(
      'GET',
      `/audit?target=${environment.id}&action=schedule.skipped`,
    );
    expect(audit.items).toHaveLength(3);
    expect(await runs(environment.id)).toHaveLength(1);
    await server.request('POST', `/approvals/${approval.id}/approve`, {});
    expect((await server.ended(busy.id)).status).toBe('succeeded');
    await fire('drift', environment.id, at);
    const check = await server.until(async () => (await runs(environment.id)).find((run) => run.type === 'drift'));
    expect((await server.ended(check.id)).status).toBe('succeeded');
  });

  it('of 90 days of Temporal, fired at once, makes a run or a recorded skip of each firing', async () => {
    const { environment } = await make({ environments: { a: shell() } }, { schedule: { deploy: never } });
    await deployed(environment.id);
    await put(environment.id, 'schedule', { deploy: '0 7 * * *', timezone: 'Europe/Berlin' });
    const end = new Date();
    const start = new Date(end.getTime() - 90 * 24 * hourMs);
    await schedule('deploy', environment.id).backfill({ start, end, overlap: 'ALLOW_ALL' });
    const made = await server.until(async () => {
      const path = `/environments/${environment.id}/deployments?limit=200`;
      const { items } = await server.request<Page<Deployment>>('GET', path);
      const scheduled = items.filter((run) => run.trigger === 'schedule');
      const skipped = await events(environment.id, 'schedule.skipped');
      return scheduled.length + skipped.length >= 90 && { scheduled, skipped };
    });
    expect(made.scheduled.length + made.skipped.length).toBe(90);
    expect(made.skipped.length).toBeGreaterThan(0);
    expect(new Set(made.skipped.map((event) => event.data['firedAt'])).size).toBe(made.skipped.length);
    await Promise.all(made.scheduled.map((run) => server.ended(run.id)));
    expect((await server.environment(environment.id)).status).toBe('active');
  });

  it('comes from the workflow file, follows it, and goes with it', async () => {
    const graph = { environments: { a: shell() } };
    const { project, environment } = await make({
      settings: {
        schedule: { deploy: '0 7 29 2 *', timezone: 'Europe/Berlin' },
        drift: { cron: never, remediation: 'ask' },
      },
      ...graph,
    });
    const settingsOf = async () => (await server.environment(environment.id)).settings;
    expect((await settingsOf()).schedule).toBeUndefined();
    await deployed(environment.id);
    expect(await settingsOf()).toMatchObject({
      schedule: { deploy: '0 7 29 2 *', timezone: 'Europe/Berlin', fromFile: true },
      drift: { cron: never, remediation: 'ask', fromFile: true },
    });
    expect((await schedule('deploy', environment.id).describe()).spec.timezone).toBe('Europe/Berlin');

    project.workflow({ settings: { schedule: { destroy: '0 9 29 2 *' } }, ...graph });
    await deployed(environment.id);
    expect((await settingsOf()).schedule).toMatchObject({ destroy: '0 9 29 2 *', timezone: 'UTC' });
    expect((await settingsOf()).schedule?.deploy).toBeUndefined();
    expect((await settingsOf()).drift).toBeUndefined();
    await expect(schedule('deploy', environment.id).describe()).rejects.toThrow(/not found/i);
    await expect(schedule('drift', environment.id).describe()).rejects.toThrow(/not found/i);

    // What a person has set stays, also when it was read from the file before.
    await put(environment.id, 'schedule', { ...(await settingsOf()).schedule, paused: true });
    project.workflow(graph);
    await deployed(environment.id);
    expect((await settingsOf()).schedule).toMatchObject({ destroy: '0 9 29 2 *', paused: true });
    expect((await settingsOf()).schedule?.fromFile).toBeUndefined();

    await server.request('DELETE', `/environments/${environment.id}/schedule`);
    project.workflow({ settings: { schedule: { deploy: never } }, ...graph });
    await deployed(environment.id);
    expect((await settingsOf()).schedule).toMatchObject({ deploy: never, fromFile: true });
  });
});

it('runs no more nodes at once than file, environment and project all allow', async () => {
  await server.request('POST', '/projects', { name: 'narrow', settings: { maxParallel: 2 } });
  const source = makeProject('narrow');
  projects.push(source);
  const environments = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((alias) => [alias, node(alias)]));
  for (const alias of Object.keys(environments)) source.stack(alias);
  source.workflow({ settings: { maxParallel: 5 }, environments });
  await server.request('POST', '/templates?project=narrow', {
    name: 'narrow',
    type: 'workflow',
    source: { kind: 'local', directory: source.directory },
  });
  const environment = await server.request<Environment>('POST', '/environments?project=narrow', {
    name: 'narrow',
    template: 'narrow',
    settings: { maxParallel: 4 },
  });
  const run = await server.run(environment.id);
  expect(run.status).toBe('succeeded');
  const nodes = await server.nodes(run.id);
  const open = (at: number): number =>
    nodes.filter((item) => Date.parse(item.startedAt ?? '') <= at && at < Date.parse(item.finishedAt ?? '')).length;
  expect(Math.max(...nodes.map((item) => open(Date.parse(item.startedAt ?? ''))))).toBe(2);
});

it('keeps an end that only the records know of', async () => {
  const { environment } = await make({ environments: { a: shell() } });
  await deployed(environment.id);
  await put(environment.id, 'ttl', soon());
  await new Client({ connection }).workflow.getHandle(workflowIds.environment(environment.id)).terminate('by hand');
  await server.until(async () => (await server.environment(environment.id)).status === 'inactive');
});

it.each([
  [
    'follows the rule for destroys of its template',
    { retryOnDestroy: { maximum: 1, intervalSeconds: 0 } },
    'succeeded',
  ],
  ['does not follow the rule for deploys', { retryOnDeploy: { maximum: 1, intervalSeconds: 0 } }, 'failed'],
] as const)('a destroy that fails %s', async (_, rules, status) => {
  const project = makeProject('life');
  projects.push(project);
  const marker = `${project.journal}/tried`;
  const name = unique('retried');
  await server.createTemplate({
    name,
    type: 'shell',
    source: { kind: 'local', directory: project.directory },
    config: { deployScript: 'true', destroyScript: `test -e ${marker} || { touch ${marker}; exit 1; }` },
    ...rules,
  });
  const environment = await server.createEnvironment({ name, template: name });
  await deployed(environment.id);
  expect((await server.run(environment.id, { type: 'destroy' })).status).toBe(status);
});
