import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { toolPath } from '../../test/support/tools.ts';
import { searchAttributes, taskQueues, workflowIds } from '../model/index.ts';
import type { EnvironmentView } from '../model/index.ts';
import { createOlderVersion } from './older-version.test-support.ts';
import type { OlderVersion } from './older-version.test-support.ts';
import { createTemporalGateway } from './temporal-client.ts';
import type { EntityTarget, TemporalGateway } from './temporal-gateway.ts';

let env: TestWorkflowEnvironment;
let worker: Worker;
let stopped: Promise<void>;
let gateway: TemporalGateway;

beforeAll(async () => {
  // Asked first: the runtime keeps the process alive.
  const path = toolPath('temporal');
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
  env = await TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path },
      extraArgs: Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    },
  });
  worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue: taskQueues.orchestration,
    workflowsPath: require.resolve('./gateway-workflows.test-support.ts'),
  });
  stopped = worker.run();
  gateway = createTemporalGateway(env.client, {
    namespace: 'default',
    uiUrl: 'http://127.0.0.1:8233/',
    deadlineMs: 8000,
  });
}, 120_000);

afterAll(async () => {
  worker?.shutdown();
  await stopped;
  await env?.teardown();
}, 60_000);

function target(over: Partial<EntityTarget> = {}): EntityTarget {
  return { id: `env_${randomUUID()}`, projectId: 'prj_1', name: 'Online shop', lock: null, expiresAtMs: null, ...over };
}
const run = (deploymentId: string) => ({ deploymentId, type: 'deploy' as const, title: `Deploy "Online shop" #1` });

async function startDeployment(id: string): Promise<void> {
  await env.client.workflow.start('deployment', {
    workflowId: workflowIds.deployment(id),
    taskQueue: taskQueues.orchestration,
    args: [],
  });
}

/** What the workflow was told, in order. */
const queuedIds = (view: EnvironmentView | null): string[] => view?.queue.map((item) => item.deploymentId) ?? [];

describe('a run for an environment', () => {
  test('starts its workflow with what the Temporal UI shows, and is taken once however often it is sent', async () => {
    const shop = target();
    expect(await gateway.submit(shop, run('dep_1'))).toEqual({ position: 0 });
    expect(await gateway.submit(shop, run('dep_2'))).toEqual({ position: 1 });
    expect(await gateway.submit(shop, run('dep_1'))).toEqual({ position: 0 });
    expect((await gateway.view(shop.id))?.queue.map((queued) => queued.deploymentId)).toEqual(['dep_1', 'dep_2']);
    const description = await env.client.workflow.getHandle(workflowIds.environment(shop.id)).describe();
    const attribute = (name: string) =>
      description.typedSearchAttributes.get(defineSearchAttributeKey(name, SearchAttributeType.KEYWORD));
    expect([
      attribute(searchAttributes.environment),
      attribute(searchAttributes.project),
      attribute(searchAttributes.kind),
    ]).toEqual([shop.id, 'prj_1', 'environment']);
    expect(await description.staticSummary()).toBe('Environment "Online shop"');
  });

  test('is dropped while it is queued, and only then', async () => {
    const shop = target();
    await gateway.submit(shop, run('dep_1'));
    expect(await gateway.cancelQueued(shop.id, { deploymentId: 'dep_1' })).toBe(true);
    expect(await gateway.cancelQueued(shop.id, { deploymentId: 'dep_1' })).toBe(false);
    expect(await gateway.cancelQueued('env_never', { deploymentId: 'dep_1' })).toBe(false);
  });

  test('is refused by a lock, also by one that came with the start', async () => {
    const lock = { reason: 'because', by: 'someone', at: '2026-01-01T00:00:00Z' };
    await expect(gateway.submit(target({ lock }), run('dep_1'))).rejects.toMatchObject({
      code: 'locked',
      message: 'the environment is locked by someone: because',
    });
    const shop = target();
    await gateway.lockChanged(shop.id);
    expect(await gateway.view(shop.id)).toBeNull();
    await gateway.submit(shop, run('dep_1'));
    await gateway.lockChanged(shop.id);
    expect(queuedIds(await gateway.view(shop.id))).toEqual(['dep_1', 'lock']);
  });

  test('the end of an environment is known to its workflow, which is started for it', async () => {
    const shop = target();
    await gateway.expiryChanged(shop);
    expect(await gateway.view(shop.id)).toBeNull();
    await gateway.expiryChanged({ ...shop, expiresAtMs: 4_102_444_800_000 });
    expect(await gateway.view(shop.id)).toMatchObject({ expiresAtMs: 4_102_444_800_000 });
    await gateway.expiryChanged(shop);
    expect(queuedIds(await gateway.view(shop.id))).toEqual(['expiry', 'expiry']);
    const other = target();
    await gateway.expiryChanged({ ...other, nodesExpire: true });
    expect(queuedIds(await gateway.view(other.id))).toEqual(['expiry']);
  });
});

test('an environment whose workflow was ended outside has none, and gets a new one with its next run', async () => {
  const shop = target({ expiresAtMs: 4_102_444_800_000 });
  await gateway.submit(shop, run('dep_1'));
  await env.client.workflow.getHandle(workflowIds.environment(shop.id)).terminate('by hand');
  expect(await gateway.view(shop.id)).toBeNull();
  expect(await gateway.cancelQueued(shop.id, { deploymentId: 'dep_1' })).toBe(false);
  await gateway.submit(shop, run('dep_1'));
  expect(await gateway.view(shop.id)).toMatchObject({
    queue: [{ deploymentId: 'dep_1' }],
    expiresAtMs: 4_102_444_800_000,
  });
});

describe('a run in progress', () => {
  test('hears what is asked, refuses in its own words, and is over when it is over', async () => {
    const id = `dep_${randomUUID()}`;
    await startDeployment(id);
    await gateway.control(id, { kind: 'pause', by: 'me' });
    await expect(gateway.control(id, { kind: 'continue', by: 'me' })).rejects.toMatchObject({
      code: 'conflict',
      message: 'the run is not paused',
    });
    await gateway.control(id, { kind: 'abort', by: 'me' });
    await env.client.workflow.getHandle(workflowIds.deployment(id)).result();
    await expect(gateway.control(id, { kind: 'pause', by: 'me' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('has already ended') as string,
    });
  });

  test('a decision for a node that does not wait is a conflict that names it', async () => {
    const decision = { approvalId: 'apr_1', decision: 'approve', by: 'me', complete: true } as const;
    await expect(
      gateway.decide({ deploymentId: 'dep_none', alias: 'vpc', compensation: false }, decision),
    ).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('"vpc"') as string,
    });
  });

  test('has an address in the Temporal UI', () => {
    expect(gateway.deploymentUrl('dep_1')).toBe(
      'http://127.0.0.1:8233/namespaces/default/workflows/deployment%3Adep_1',
    );
    expect(createTemporalGateway(env.client, { namespace: 'default' }).deploymentUrl('dep_1')).toBeNull();
  });
});

describe('a workflow that another version of Windlass began', () => {
  const quick = () => createTemporalGateway(env.client, { namespace: 'default', deadlineMs: 3000 });
  let older: OlderVersion;

  beforeAll(() => {
    const today = require.resolve('./gateway-workflows.test-support.ts');
    older = createOlderVersion({ client: env.client, connection: env.nativeConnection }, today);
  });
  afterAll(() => older.stop());

  test('is replaced when it is of an environment: what it knew is on record', async () => {
    const shop = target({ expiresAtMs: 4_102_444_800_000 });
    await older.begin('environment', workflowIds.environment(shop.id));
    const { runId } = await env.client.workflow.getHandle(workflowIds.environment(shop.id)).describe();
    expect(await quick().submit(shop, run('dep_1'))).toEqual({ position: 0 });
    expect(await gateway.view(shop.id)).toMatchObject({ expiresAtMs: 4_102_444_800_000 });
    const old = await env.client.workflow.getHandle(workflowIds.environment(shop.id), runId).fetchHistory();
    expect(old.events?.at(-1)?.workflowExecutionTerminatedEventAttributes?.reason).toMatch(/cannot follow it: .*TMPRL/);
    // From now on nobody has to wait for it.
    expect(await gateway.submit(shop, run('dep_2'))).toEqual({ position: 1 });
  });

  test('is not there for what it only should know', async () => {
    const shop = target();
    await older.begin('environment', workflowIds.environment(shop.id));
    expect(await quick().cancelQueued(shop.id, { deploymentId: 'dep_1' })).toBe(false);
    expect(await gateway.view(shop.id)).toBeNull();
  });

  test('is left alone while a run of it is open, and says so', async () => {
    const shop = target();
    const child = workflowIds.deployment(`dep_${randomUUID()}`);
    await older.begin('environment', workflowIds.environment(shop.id), child);
    const refused = { code: 'unavailable', message: expect.stringContaining('another version of Windlass') as string };
    await expect(quick().submit(shop, run('dep_1'))).rejects.toMatchObject(refused);
    await expect(quick().view(shop.id)).rejects.toMatchObject(refused);
    await env.client.workflow.getHandle(child).terminate('over');
    expect(await quick().submit(shop, run('dep_1'))).toEqual({ position: 0 });
  });

  test('cannot be asked for anything but its end when it is of a run', async () => {
    const id = `dep_${randomUUID()}`;
    await older.begin('deployment', workflowIds.deployment(id));
    await expect(quick().control(id, { kind: 'pause', by: 'me' })).rejects.toMatchObject({
      code: 'conflict',
      message: `Deployment ${id} was begun by another version of Windlass, which this one cannot follow`,
      hint: expect.stringContaining('windlass abort') as string,
    });
    await quick().control(id, { kind: 'abort', by: 'me' });
    expect((await env.client.workflow.getHandle(workflowIds.deployment(id)).describe()).status.name).toBe('TERMINATED');
  });
});

describe('schedules', () => {
  test('are made, changed, shown and taken away, each as often as wanted', async () => {
    const environmentId = `env_${randomUUID()}`;
    const input = {
      kind: 'destroy',
      environmentId,
      environmentName: 'shop',
      projectId: 'prj_1',
      cron: '0 20 * * 1-5',
      timezone: 'Europe/Berlin',
      paused: false,
      catchUpSeconds: 600,
    } as const;
    expect(await gateway.describeSchedule('destroy', environmentId)).toBeNull();
    await gateway.putSchedule(input);
    const made = await gateway.describeSchedule('destroy', environmentId);
    expect(made?.paused).toBe(false);
    const hour = new Intl.DateTimeFormat('en', { hour: 'numeric', hourCycle: 'h23', timeZone: 'Europe/Berlin' });
    expect(made?.nextRuns.slice(0, 3).map((at) => hour.format(at))).toEqual(['20', '20', '20']);
    await gateway.putSchedule({ ...input, cron: '30 6 * * *', paused: true });
    const changed = await gateway.describeSchedule('destroy', environmentId);
    expect(changed?.paused).toBe(true);
    const { action, policies, spec } = await env.client.schedule
      .getHandle(workflowIds.schedule('destroy', environmentId))
      .describe();
    expect(spec.calendars).toHaveLength(1);
    expect(spec.calendars?.[0]).toMatchObject({ hour: [{ start: 6 }], minute: [{ start: 30 }] });
    expect(action).toMatchObject({
      workflowType: 'scheduledRequest',
      taskQueue: taskQueues.orchestration,
      args: [{ environmentId, kind: 'destroy' }],
    });
    expect(policies).toMatchObject({ overlap: 'SKIP', catchupWindow: 600_000 });
    await gateway.deleteSchedule('destroy', environmentId);
    await gateway.deleteSchedule('destroy', environmentId);
    expect(await gateway.describeSchedule('destroy', environmentId)).toBeNull();
  });
});

describe('what is wrong with Temporal is said', () => {
  async function unused(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }

  test('nobody listens', async () => {
    const connection = Connection.lazy({ address: `127.0.0.1:${await unused()}` });
    const away = createTemporalGateway(new Client({ connection }), { namespace: 'default', deadlineMs: 700 });
    for (const call of [
      () => away.submit(target(), run('dep_1')),
      () => away.check(),
      () => away.view('env_1'),
      () => away.control('dep_1', { kind: 'pause', by: 'me' }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'unavailable', status: 503 });
    }
    await connection.close();
  });

  test('no worker answers', async () => {
    const quick = createTemporalGateway(env.client, { namespace: 'default', deadlineMs: 1000 });
    const id = `dep_${randomUUID()}`;
    await env.client.workflow.start('deployment', {
      workflowId: workflowIds.deployment(id),
      taskQueue: 'nobody-polls-this',
      args: [],
    });
    await expect(quick.control(id, { kind: 'pause', by: 'me' })).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('worker') as string,
    });
  });

  test('the namespace is missing', async () => {
    const client = new Client({ connection: env.connection, namespace: 'nowhere' });
    const lost = createTemporalGateway(client, { namespace: 'nowhere', deadlineMs: 5000 });
    await expect(lost.check()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/nowhere|namespace/i) as string,
    });
    await expect(lost.submit(target(), run('dep_1'))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(gateway.check()).resolves.toBeUndefined();
  });
});
