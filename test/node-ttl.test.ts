import type { Approval, Deployment, Environment, EnvironmentStatusReport, Event, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];
const hourMs = 3_600_000;
/** Far enough ahead that a busy machine still takes the request in time. */
const soon = () => ({ kind: 'date', at: new Date(Date.now() + 5000).toISOString() });

afterAll(() => {
  for (const project of projects) project.remove();
});

/** A shell stack that needs no tool to be started for long. */
const shell = (more: Record<string, unknown> = {}, script: Record<string, string> = {}): Record<string, unknown> => ({
  vcs: { type: 'shell', path: '.', deployScript: 'true', destroyScript: 'true', ...script },
  ...more,
});
async function make(environments: Record<string, unknown>) {
  const project = makeProject('node-ttl');
  projects.push(project);
  project.workflow({ environments });
  return { project, environment: await makeEnvironment(server, project) };
}
const deployed = async (id: string, request: Record<string, unknown> = {}): Promise<void> => {
  expect(await server.run(id, request)).toMatchObject({ status: 'succeeded', error: null });
};
const node = (environment: Environment, alias: string): Promise<Environment> =>
  server.environment(`${environment.id}/${alias}`);
const endOf = async (environment: Environment, alias: string): Promise<number> =>
  Date.parse((await node(environment, alias)).expiresAt ?? 'none');
const events = async (environment: Environment, type: string): Promise<Event[]> => {
  const path = `/environments/${environment.id}/events?limit=200`;
  const page = await server.request<Page<Event>>('GET', path, undefined, { accept: 'application/json' });
  return page.items.filter((event) => event.type === type);
};
const status = (environment: Environment): Promise<EnvironmentStatusReport> =>
  server.request('GET', `/environments/${environment.id}/status`);
/** The runs that ended nodes, oldest first. */
const endings = async (environment: Environment): Promise<Deployment[]> =>
  (await server.request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items
    .filter(({ trigger }) => trigger === 'ttl')
    .toReversed();
const setTtl = (environment: Environment, alias: string, ttl: unknown): Promise<Environment> =>
  server.request('PUT', `/environments/${encodeURIComponent(`${environment.id}/${alias}`)}/ttl`, ttl);
const gone = (environment: Environment, alias: string): Promise<unknown> =>
  server.until(async () => {
    const { status: now, expiresAt } = await node(environment, alias);
    return now === 'inactive' && expiresAt === null;
  });

describe('a node with a ttl in the workflow file', () => {
  it('is destroyed by itself when it ends, and the environment goes on', async () => {
    const { environment } = await make({ db: shell(), preview: shell({ needs: ['db'], ttl: '4s' }) });
    await deployed(environment.id);
    await gone(environment, 'preview');
    const [run] = await endings(environment);
    expect(await server.ended(run?.id ?? '')).toMatchObject({
      type: 'deploy',
      status: 'succeeded',
      request: { partial: { operation: 'single-node-destroy', node: 'preview' } },
    });
    expect(await node(environment, 'db')).toMatchObject({ status: 'active', expiresAt: null });
    expect(await node(environment, 'preview')).toMatchObject({ status: 'inactive', expiresAt: null });
    expect(await events(environment, 'ttl.warning')).toMatchObject([{ alias: 'preview' }]);
    expect((await server.environment(environment.id)).expiresAt).toBeNull();
    // It is deployed anew like any other, and lives as long again.
    await deployed(environment.id, { partial: { operation: 'single-node-deploy', node: 'preview' } });
    await server.until(async () => (await endings(environment)).length === 2);
    await gone(environment, 'preview');
  });

  it('counts its hours from the end of each deploy of it, and shows its end', async () => {
    const { environment } = await make({ a: shell({ ttl: '2h' }), b: shell() });
    await deployed(environment.id);
    const first = await endOf(environment, 'a');
    expect(first).toBeGreaterThan(Date.now() + 1.9 * hourMs);
    await deployed(environment.id, { partial: { operation: 'single-node-deploy', node: 'b' } });
    expect(await endOf(environment, 'a')).toBe(first);
    await deployed(environment.id);
    expect(await endOf(environment, 'a')).toBeGreaterThan(first);
    const { nodes } = await status(environment);
    expect(nodes.find(({ alias }) => alias === 'a')?.expiresAt).toBe((await node(environment, 'a')).expiresAt);
    expect(nodes.find(({ alias }) => alias === 'b')?.expiresAt).toBeNull();
    // Its warning comes two hours before; the second end has one of its own.
    expect((await events(environment, 'ttl.warning')).length).toBeGreaterThanOrEqual(1);
  });

  it('is refused when it is longer than the maximum of the project', async () => {
    await server.request('POST', '/projects', { name: 'short', settings: { maximumTtlHours: 1 } });
    const source = makeProject('short');
    projects.push(source);
    source.workflow({ environments: { a: shell({ ttl: '90m' }) } });
    await server.request('POST', '/templates?project=short', {
      name: 'short',
      type: 'workflow',
      source: { kind: 'local', directory: source.directory },
    });
    const created = await server.request<Environment>('POST', '/environments?project=short', {
      name: 'short',
      template: 'short',
    });
    const { detail } = await server.refused(created.id);
    expect(detail).toMatch(/"a" has a ttl of 1h 30m, which is longer than the maximum of 1h/);
  });
});

describe('a node that is needed', () => {
  it('ends after those that need it and end with it, in reverse order of needs', async () => {
    const { environment } = await make({
      db: shell({ ttl: '4s' }),
      app: shell({ needs: ['db'], ttl: '4s' }),
      other: shell(),
    });
    await deployed(environment.id);
    await gone(environment, 'db');
    const ended = (await endings(environment)).map(({ request }) => request.partial?.node);
    expect(ended).toEqual(['app', 'db']);
    expect(await node(environment, 'app')).toMatchObject({ status: 'inactive' });
    expect(await node(environment, 'other')).toMatchObject({ status: 'active' });
    expect(await events(environment, 'environment.warning')).toEqual([]);
  });

  it('stays due while another stands on it, says why once, and ends when that one is gone', async () => {
    const { environment } = await make({ db: shell({ ttl: '3s' }), app: shell({ needs: ['db'] }) });
    await deployed(environment.id);
    const [warning] = await server.until(async () => {
      const found = await events(environment, 'environment.warning');
      return found.length > 0 && found;
    });
    expect(warning).toMatchObject({ alias: 'db' });
    expect(warning?.data['message']).toMatch(/"db" expired at .*"app" still needs it: .*windlass ttl extend/);
    const { nodes } = await status(environment);
    expect(nodes.find(({ alias }) => alias === 'db')?.expiryHeld).toBe(warning?.data['message']);
    // Every run of the environment is a reason to look again.
    await deployed(environment.id, { partial: { operation: 'single-node-deploy', node: 'app' } });
    expect(await node(environment, 'db')).toMatchObject({ status: 'active' });
    expect(await endings(environment)).toEqual([]);
    expect(await events(environment, 'environment.warning')).toHaveLength(1);
    await deployed(environment.id, { partial: { operation: 'single-node-destroy', node: 'app' } });
    await gone(environment, 'db');
    expect(await node(environment, 'db')).toMatchObject({ expiresAt: null, expiryHeld: null });
  });
});

describe('the end of a node that a person sets', () => {
  it('is the one of the node alone, can be put off and taken away, and takes its destroy out of the queue', async () => {
    const { environment } = await make({ a: shell({ requiresApproval: true }), b: shell() });
    const approvalOf = (run: Deployment): Promise<Approval> =>
      server.until(
        async () =>
          (await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${run.id}`)).items[0],
      );
    const first = await server.start(environment.id);
    await server.request('POST', `/approvals/${(await approvalOf(first)).id}/approve`, {});
    expect((await server.ended(first.id)).status).toBe('succeeded');
    // A run that waits for a person holds the slot.
    const holding = await server.start(environment.id);
    await approvalOf(holding);

    await setTtl(environment, 'b', soon());
    const destroy = await server.until(async () => (await endings(environment)).find((run) => run.status === 'queued'));
    const path = encodeURIComponent(`${environment.id}/b`);
    const extended = await server.request<Environment>('POST', `/environments/${path}/ttl/extend`, { hours: 5 });
    expect(await server.ended(destroy.id)).toMatchObject({
      status: 'cancelled',
      error: { message: 'its time to live was put off' },
    });
    expect(Date.parse(extended.expiresAt ?? '')).toBeGreaterThan(Date.now() + 4 * hourMs);
    expect(await setTtl(environment, 'b', { kind: 'unlimited' })).toMatchObject({ expiresAt: null });

    // One that is cancelled puts the end of its node off by an hour, and nothing else.
    await setTtl(environment, 'b', soon());
    const second = await server.until(async () => (await endings(environment)).find((run) => run.status === 'queued'));
    await server.request('POST', `/deployments/${second.id}/cancel`);
    expect((await server.ended(second.id)).status).toBe('cancelled');
    const later = await server.until(async () => {
      const end = await endOf(environment, 'b');
      return end > Date.now() && end;
    });
    expect(later).toBeLessThanOrEqual(Date.now() + hourMs);
    expect(await server.environment(environment.id)).toMatchObject({ expiresAt: null });
    await server.request('POST', `/deployments/${holding.id}/cancel`);
    await server.ended(holding.id);
    expect(await node(environment, 'b')).toMatchObject({ status: 'active' });
  });

  it('is moved by a deploy that runs when it falls due, so that the node stays', async () => {
    const { environment } = await make({ a: shell({}, { deployScript: 'sleep 8' }), b: shell() });
    await deployed(environment.id);
    await setTtl(environment, 'b', { kind: 'hours', hours: 1 });
    const deploy = await server.start(environment.id);
    await server.until(async () => (await server.statuses(deploy.id))['a'] === 'running');
    const path = encodeURIComponent(`${environment.id}/b`);
    await server.request('PUT', `/environments/${path}/ttl`, {
      kind: 'date',
      at: new Date(Date.now() + 1000).toISOString(),
    });
    const destroy = await server.until(async () => (await endings(environment)).at(-1));
    // The file says nothing of it, and the date has passed: the deploy leaves it without an end.
    expect((await server.ended(deploy.id)).status).toBe('succeeded');
    expect((await server.ended(destroy.id)).status).toBe('cancelled');
    expect(await node(environment, 'b')).toMatchObject({ status: 'active', expiresAt: null });
  });

  it('stays due while the environment is locked, says so, and comes when the lock is taken off', async () => {
    const { environment } = await make({ a: shell(), b: shell() });
    await deployed(environment.id);
    await server.request('POST', `/environments/${environment.id}/lock`, { reason: 'audit' });
    await setTtl(environment, 'b', soon());
    const [warning] = await server.until(async () => {
      const found = await events(environment, 'environment.warning');
      return found.length > 0 && found;
    });
    expect(warning).toMatchObject({ alias: 'b' });
    expect(warning?.data['message']).toMatch(/destroyed as soon as that is allowed: .*audit/);
    expect((await node(environment, 'b')).expiryHeld).toBe(warning?.data['message']);
    await server.request('DELETE', `/environments/${environment.id}/lock`);
    await gone(environment, 'b');
    expect(await events(environment, 'environment.warning')).toHaveLength(1);
    expect(await node(environment, 'a')).toMatchObject({ status: 'active' });
  });

  it('is gone with the environment when all of it is destroyed, and nothing of it is left in the queue', async () => {
    const { environment } = await make({ a: shell({ ttl: '1h' }), b: shell() });
    await deployed(environment.id);
    await deployed(environment.id, { type: 'destroy' });
    expect(await node(environment, 'a')).toMatchObject({ status: 'inactive', expiresAt: null });
    expect(await endings(environment)).toEqual([]);
  });

  it('is put off by an hour when its destroy fails', async () => {
    const { environment } = await make({ a: shell({ ttl: '3s' }, { destroyScript: 'false' }), b: shell() });
    await deployed(environment.id);
    const run = await server.until(async () => (await endings(environment))[0]);
    expect((await server.ended(run.id)).status).toBe('failed');
    const end = await endOf(environment, 'a');
    expect(end).toBeGreaterThan(Date.now() + 0.9 * hourMs);
    expect(end).toBeLessThanOrEqual(Date.now() + hourMs);
    expect(await server.environment(environment.id)).toMatchObject({ expiresAt: null });
  });
});
