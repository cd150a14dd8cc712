import type { Approval, Deployment, Environment, ProblemDetails } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { createApproval, createEnvironment } from '../store/index.ts';
import { temporalAway } from '../operations/gateway.test-support.ts';
import { startHarness } from './api.test-support.ts';
import type { Answer, Harness } from './api.test-support.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
}, 60_000);
afterAll(() => api.close());
afterEach(() => {
  api.gateway.failure = null;
  api.gateway.refusal = null;
});

type Accepted = Deployment & { warning?: string };

async function ask(
  environment: string,
  body: object = {},
  headers: Record<string, string> = {},
): Promise<Answer<Accepted & Pick<ProblemDetails, 'detail'>>> {
  return api.call('POST', `environments/${encodeURIComponent(environment)}/deployments`, { body, headers });
}

async function setRow(
  table: 'deployments' | 'environments',
  id: string,
  values: Record<string, unknown>,
): Promise<void> {
  await api.db.sql
    .updateTable(table)
    .set(values as never)
    .where('id', '=', id)
    .execute();
}

/** A graph of two nodes, as a first deploy would have left it. */
async function graph(
  name: string,
  options: { settings?: object } = {},
): Promise<{ root: Environment; vpc: Environment; db: Environment }> {
  const root = await api.environment(name, options);
  const node = (alias: string): Promise<Environment> =>
    createEnvironment(api.db.sql, {
      projectId: root.projectId,
      name: alias.toUpperCase(),
      templateId: root.templateId,
      parent: { id: root.id, alias },
      settings: root.settings,
    });
  return { root, vpc: await node('vpc'), db: await node('db') };
}

async function finish(deployment: Deployment, status: string, environmentStatus = 'active'): Promise<void> {
  await setRow('deployments', deployment.id, { status, started_at: new Date(), finished_at: new Date() });
  await setRow('environments', deployment.environmentId, { status: environmentStatus });
}

async function addNode(deploymentId: string, environment: Environment, status: string, index = 0): Promise<void> {
  await api.db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: deploymentId,
      index,
      alias: environment.alias ?? 'main',
      name: environment.name,
      environment_id: environment.id,
      action: 'deploy',
      status,
    })
    .execute();
}

describe('asking for a run', () => {
  test('records it, hands it to the queue, and says where it is', async () => {
    const { root } = await graph('first');
    const answer = await ask('first', { comment: 'hello' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('location')).toBe(`/api/v1/deployments/${answer.body.id}`);
    expect(answer.body).toMatchObject({
      number: 1,
      status: 'queued',
      type: 'deploy',
      requestedBy: 'admin',
      trigger: 'api',
      queuePosition: 1,
    });
    expect(answer.body.temporalUrl).toMatch(answer.body.id);
    expect(api.gateway.submitted.at(-1)).toMatchObject({
      target: { id: root.id, name: 'first' },
      run: { deploymentId: answer.body.id, type: 'deploy', title: 'Deploy "first" #1' },
    });
    const audit = await api.call<{ items: { action: string; targetId: string }[] }>('GET', `audit?target=${root.id}`);
    expect(audit.body.items.map((entry) => entry.action)).toEqual(['deployment.deploy', 'environment.create']);
  });

  test('the same idempotency key gives the same deployment, below the API too', async () => {
    const { root } = await graph('twice');
    const first = await ask('twice', {}, { 'idempotency-key': 'd-1' });
    const again = await ask('twice', {}, { 'idempotency-key': 'd-1' });
    expect(again.body.id).toBe(first.body.id);
    const scheduled = {
      actor: { kind: 'system', id: 'windlass', name: 'Windlass', from: null } as const,
      environment: root.id,
      trigger: 'ttl' as const,
      idempotencyKey: 'ttl-1',
    };
    const one = await api.operations.prepareDeployment({ ...scheduled, request: { type: 'destroy' } });
    const two = await api.operations.prepareDeployment({ ...scheduled, request: { type: 'destroy' } });
    expect(two.deployment.id).toBe(one.deployment.id);
    await expect(api.operations.prepareDeployment({ ...scheduled, request: { type: 'plan' } })).rejects.toMatchObject({
      code: 'idempotencyMismatch',
    });
    const list = await api.call<{ items: Deployment[] }>('GET', 'environments/twice/deployments');
    expect(list.body.items).toHaveLength(2);
  });

  test.each([
    [
      'deploy',
      { type: 'deploy' },
      'deploy',
      { operation: 'single-node-deploy', node: 'vpc', trickleDown: 'changed-outputs' },
      'Deploy "parts/vpc"',
    ],
    [
      'destroy',
      { type: 'destroy' },
      'deploy',
      { operation: 'single-node-destroy', node: 'vpc', force: false },
      'Destroy "parts/vpc"',
    ],
    [
      'plan',
      { type: 'plan' },
      'plan',
      { operation: 'single-node-deploy', node: 'vpc', trickleDown: 'none' },
      'Plan "parts/vpc"',
    ],
    [
      'drift',
      { type: 'drift' },
      'drift',
      { operation: 'single-node-deploy', node: 'vpc', trickleDown: 'none' },
      'Check drift of "parts/vpc"',
    ],
  ])('a %s of a node is a partial run of its parent', async (kind, request, type, partial, title) => {
    const { root } = kind === 'deploy' ? await graph('parts') : { root: await one('parts') };
    const answer = await ask('parts/vpc', request);
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ environmentId: root.id, type, request: { type, partial } });
    expect(api.gateway.submitted.at(-1)?.run.title).toMatch(title);
  });

  async function one(name: string): Promise<Environment> {
    return (await api.call<Environment>('GET', `environments/${name}`)).body;
  }

  test('destroying one node named on the parent never destroys the rest', async () => {
    await graph('whole');
    const answer = await ask('whole', { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'db' } });
    expect(answer.body).toMatchObject({
      type: 'deploy',
      request: { type: 'deploy', partial: { operation: 'single-node-destroy', node: 'db' } },
    });
  });

  test.each([
    [
      'a destroy with another partial run',
      'odd',
      { type: 'destroy', partial: { operation: 'run-from-here', node: 'db' } },
      400,
    ],
    [
      'a node that does not exist, to destroy',
      'odd',
      { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'dbx' } },
      404,
    ],
    [
      'a partial run for another node than the one named',
      'odd/vpc',
      { type: 'deploy', partial: { operation: 'run-from-here', node: 'db' } },
      400,
    ],
    ['a rollback of one node', 'odd/vpc', { type: 'rollback' }, 409],
    ['a rollback target on a deploy', 'odd', { type: 'deploy', rollbackTo: '1' }, 400],
    ['a resume of what is not there', 'odd', { resume: { deployment: 'dep_none' } }, 404],
    [
      'variables twice',
      'odd',
      {
        variables: [
          { name: 'a', value: 1, type: 'number' },
          { name: 'a', value: 2, type: 'number' },
        ],
      },
      400,
    ],
    ['a variable without a value', 'odd', { variables: [{ name: 'a' }] }, 400],
    ['a value of another type', 'odd', { variables: [{ name: 'a', type: 'number', value: 'many' }] }, 400],
    [
      'a reserved environment variable',
      'odd',
      { variables: [{ name: 'TF_HTTP_PASSWORD', kind: 'environment', value: 'x' }] },
      400,
    ],
    ['an unknown type of run', 'odd', { type: 'explode' }, 400],
    ['an unknown key', 'odd', { typ: 'deploy' }, 400],
    ['an unknown environment', 'odder', {}, 404],
  ])('%s is refused before anything is recorded', async (name, environment, request, status) => {
    if (name === 'a destroy with another partial run') await graph('odd');
    const before = await api.db.sql.selectFrom('deployments').select('id').execute();
    const answer = await ask(environment, request);
    expect([answer.body.detail, answer.status]).toEqual([expect.any(String), status]);
    expect(await api.db.sql.selectFrom('deployments').select('id').execute()).toHaveLength(before.length);
  });

  test('secrets of a request are in no answer', async () => {
    await graph('secretive');
    const answer = await ask('secretive', {
      variables: [{ name: 'token', value: 'hunter2-in-request', sensitive: true }],
    });
    const everything = [
      answer.text,
      (await api.call('GET', `deployments/${answer.body.id}`)).text,
      (await api.call('GET', 'audit')).text,
      api.log.join(''),
    ].join('');
    expect(everything).not.toContain('hunter2-in-request');
    const stored = await api.db.sql
      .selectFrom('deployments')
      .select('request')
      .where('id', '=', answer.body.id)
      .executeTakeFirstOrThrow();
    expect(JSON.stringify(stored)).not.toContain('hunter2-in-request');
  });

  test('it takes the permission that fits, in the project that it is in', async () => {
    const { root } = await graph('guarded');
    const planner = await api.key(['view', 'plan']);
    const elsewhere = await api.key(['view', 'execute@prj_other']);
    const here = await api.key([`execute@${root.projectId}`]);
    const as = (token: string, type: string) =>
      api.call('POST', 'environments/guarded/deployments', { token, body: { type } });
    expect((await as(planner, 'plan')).status).toBe(202);
    expect((await as(planner, 'deploy')).status).toBe(403);
    expect((await as(elsewhere, 'deploy')).status).toBe(403);
    expect((await as(here, 'deploy')).status).toBe(202);
  });
});

describe('while Temporal is away', () => {
  test('a run is recorded, the answer says so, and it is sent later', async () => {
    const { root } = await graph('later');
    api.gateway.failure = temporalAway;
    const answer = await ask('later');
    expect(answer.status).toBe(202);
    expect(answer.body.warning).toMatch(/recorded and begins when/);
    expect(await api.operations.resendPending(10)).toBe(0);
    api.gateway.failure = null;
    await setRow('deployments', answer.body.id, { queued_at: new Date(Date.now() - 60_000) });
    const sent = (): number => api.gateway.submitted.filter(({ run }) => run.deploymentId === answer.body.id).length;
    await api.operations.resendPending(10);
    expect(sent()).toBe(1);
    await api.operations.resendPending(10);
    expect(sent()).toBe(1);
    expect(api.gateway.views.get(root.id)?.queue).toHaveLength(1);
  });

  test('other requests fail with the reason and when to try again, and change nothing', async () => {
    await graph('away');
    api.gateway.failure = temporalAway;
    const answer = await api.call<ProblemDetails>('PUT', 'environments/away/schedule', {
      body: { destroy: '0 20 * * *' },
    });
    expect(answer).toMatchObject({
      status: 503,
      body: { code: 'unavailable', detail: expect.stringContaining('connection refused') as string },
    });
    expect(answer.headers.get('retry-after')).toBe('5');
    expect((await api.call('GET', 'environments/away')).body['settings']).not.toHaveProperty('schedule');
    const ready = await api.call<{ ready: boolean; checks: { name: string; ok: boolean; reason: string | null }[] }>(
      'GET',
      '/readyz',
    );
    expect(ready.body.checks.find(({ name }) => name === 'Temporal')).toMatchObject({
      ok: expect.any(Boolean) as boolean,
    });
  });

  test('a run that the queue refuses does not stay behind', async () => {
    await graph('refused');
    api.gateway.refusal = new WindlassError('conflict', 'the queue is full');
    expect((await ask('refused')).body).toMatchObject({ status: 409, detail: 'the queue is full' });
    const list = await api.call<{ items: Deployment[] }>('GET', 'environments/refused/deployments');
    expect(list.body.items).toMatchObject([{ status: 'cancelled', error: { message: 'the queue is full' } }]);
  });
});

describe('a lock', () => {
  test('refuses what changes, says who and why, lets reading through, and ends', async () => {
    await graph('locked');
    expect((await api.call('POST', 'environments/locked/lock', { body: {} })).status).toBe(400);
    expect((await api.call('POST', 'environments/locked/lock', { body: { reason: 'audit' } })).status).toBe(200);
    const refused = await ask('locked');
    expect(refused).toMatchObject({ status: 423, body: { code: 'locked' } });
    expect(refused.body.detail).toMatch(/locked by admin since .*: audit/);
    expect((await ask('locked/vpc', { type: 'destroy' })).status).toBe(423);
    expect((await ask('locked', { type: 'plan' })).status).toBe(202);
    const other = await api.call<ProblemDetails>('POST', 'environments/locked/lock', {
      token: await api.key(['*', 'view']),
      body: { reason: 'mine' },
    });
    expect(other.status).toBe(423);
    expect((await api.call('DELETE', 'environments/locked/lock')).status).toBe(200);
    expect((await api.call('DELETE', 'environments/locked/lock')).status).toBe(200);
    expect((await ask('locked')).status).toBe(202);
  });

  test('a lock that only the workflow still knows of is taken from it', async () => {
    await graph('stale');
    api.gateway.refusal = new WindlassError('locked', 'the environment is locked by nobody');
    expect((await ask('stale')).status).toBe(202);
    expect(api.gateway.locks).not.toEqual([]);
  });
});

describe('stopping and repairing', () => {
  test('a queued run is dropped; cancelling twice changes nothing', async () => {
    const { root } = await graph('queue');
    const { body } = await ask('queue');
    expect(
      (await api.call('POST', `deployments/${body.id}/cancel`, { body: { reason: 'changed my mind' } })).status,
    ).toBe(200);
    await finish(body, 'cancelled', root.status);
    expect((await api.call('POST', `deployments/queue%23${body.number}/cancel`)).body).toMatchObject({
      status: 'cancelled',
    });
  });

  test('a queued run that Temporal never got is dropped here', async () => {
    const { root } = await graph('unsent');
    api.gateway.failure = temporalAway;
    const { body } = await ask('unsent');
    api.gateway.failure = null;
    api.gateway.views.delete(root.id);
    const { control } = api.gateway;
    api.gateway.control = async () => {
      throw new WindlassError('conflict', 'has already ended');
    };
    const answer = await api.call<Deployment>('POST', `deployments/${body.id}/cancel`);
    expect(answer.body).toMatchObject({ status: 'cancelled', error: { class: 'cancelled' } });
    api.gateway.control = control;
  });

  test.each(['cancel', 'abort', 'rollback', 'pause', 'continue'] as const)(
    '%s of a running run reaches it',
    async (verb) => {
      if (verb === 'cancel') await graph('verbs');
      const { body } = await ask('verbs');
      await setRow('deployments', body.id, { status: 'running', started_at: new Date() });
      const answer = await api.call('POST', `deployments/${body.id}/${verb}`);
      expect([200, 202]).toContain(answer.status);
      expect(api.gateway.controls.at(-1)).toMatchObject({
        deploymentId: body.id,
        request: { kind: verb, by: 'admin' },
      });
    },
  );

  test('what the run refuses is said in its words', async () => {
    await graph('refusing');
    const { body } = await ask('refusing');
    await setRow('deployments', body.id, { status: 'running' });
    api.gateway.refusal = new WindlassError('conflict', 'the run is not paused');
    expect(await api.call('POST', `deployments/${body.id}/continue`)).toMatchObject({
      status: 409,
      body: { detail: 'the run is not paused' },
    });
  });

  test('a node is retried and skipped by its alias; others are listed', async () => {
    const { vpc } = await graph('repair');
    const { body } = await ask('repair');
    await setRow('deployments', body.id, { status: 'running' });
    await addNode(body.id, vpc, 'failed');
    for (const kind of ['retry', 'skip']) {
      expect((await api.call('POST', `deployments/${body.id}/nodes/vpc/${kind}`)).status).toBe(200);
      expect(api.gateway.controls.at(-1)?.request).toEqual({
        kind,
        alias: 'vpc',
        by: 'admin',
        recorded: 'failed',
        requestId: expect.stringMatching(/^req_/) as string,
      });
    }
    const unknown = await api.call<ProblemDetails>('POST', `deployments/${body.id}/nodes/vcp/retry`);
    expect(unknown.body).toMatchObject({ status: 404, hint: expect.stringContaining('"vpc"') as string });
    await finish(body, 'failed', 'failed');
    expect((await api.call<ProblemDetails>('POST', `deployments/${body.id}/nodes/vpc/retry`)).body).toMatchObject({
      status: 409,
      hint: expect.stringContaining('resume') as string,
    });
  });

  test('a finished run cannot be stopped, but resumed or rolled back', async () => {
    await graph('after');
    const good = (await ask('after')).body;
    await finish(good, 'succeeded');
    const bad = (await ask('after', { variables: [{ name: 'size', value: 'l', sensitive: true }] })).body;
    await finish(bad, 'failed', 'failed');
    expect((await api.call('POST', `deployments/${bad.id}/abort`)).status).toBe(409);
    expect((await api.call('POST', `deployments/${good.id}/resume`)).status).toBe(409);

    const resumed = await api.call<Accepted>('POST', `deployments/${bad.id}/resume`, { body: { refresh: true } });
    expect(resumed).toMatchObject({
      status: 202,
      body: { type: 'deploy', basedOn: bad.id, request: { resume: { deployment: bad.id, refresh: true } } },
    });
    expect(api.gateway.submitted.at(-1)?.run.title).toMatch('Resume "after"');
    expect(resumed.body.request.variables).toMatchObject([{ name: 'size', sensitive: true }]);

    const rolledBack = await api.call<Accepted>('POST', `deployments/${bad.id}/rollback`);
    expect(rolledBack).toMatchObject({
      status: 202,
      body: { type: 'rollback', basedOn: good.id, request: { rollbackTo: good.id } },
    });
    expect((await api.call('POST', `deployments/${good.id}/rollback`)).status).toBe(409);
    expect((await ask('after', { type: 'rollback', rollbackTo: String(bad.number) })).status).toBe(409);
    expect((await ask('after', { type: 'rollback', rollbackTo: String(good.number) })).body).toMatchObject({
      basedOn: good.id,
    });
  });

  test('what is not in place yet cannot be resumed or stopped by a stranger', async () => {
    await graph('mine');
    const { body } = await ask('mine');
    expect((await api.call('POST', `deployments/${body.id}/resume`)).status).toBe(409);
    expect(
      (await api.call('POST', `deployments/${body.id}/abort`, { token: await api.key(['view', 'execute']) })).status,
    ).toBe(403);
  });
});

describe('approvals', () => {
  async function waiting(
    name: string,
    options: { required?: number; forbidRequester?: boolean } = {},
  ): Promise<{ deployment: Deployment; id: string }> {
    const { root, vpc } = await graph(name);
    const { body } = await ask(name);
    await setRow('deployments', body.id, { status: 'running' });
    await addNode(body.id, vpc, 'waitingForApproval');
    const id = await createApproval(api.db.sql, {
      deploymentId: body.id,
      index: 0,
      compensation: false,
      environmentId: vpc.id,
      entityId: root.id,
      alias: 'vpc',
      required: options.required ?? 1,
      forbidRequester: options.forbidRequester ?? false,
      reason: 'the file asks for it',
      planArtifact: null,
      plan: { counts: { add: 1, change: 0, destroy: 0 }, hasChanges: true, resources: [], state: null },
      expiresAt: new Date(Date.now() + 3_600_000),
    });
    return { deployment: body, id };
  }

  test('a decision is recorded and told to the node that waits', async () => {
    const { deployment, id } = await waiting('approve');
    const listed = await api.call<{ items: Approval[] }>('GET', `approvals?status=pending&environment=approve`);
    expect(listed.body.items).toMatchObject([{ id, alias: 'vpc', counts: { add: 1 } }]);
    const answer = await api.call('POST', `approvals/${id}/approve`, {
      body: { comment: 'fine', envelope: { maxChanges: 5 } },
    });
    expect(answer).toMatchObject({ status: 200, body: { status: 'approved' } });
    expect(api.gateway.decisions.at(-1)).toMatchObject({
      deploymentId: deployment.id,
      alias: 'vpc',
      decision: { approvalId: id, decision: 'approve', complete: true, comment: 'fine' },
    });
    expect((await api.call('POST', `approvals/${id}/approve`)).status).toBe(200);
    expect((await api.call('POST', `approvals/${id}/reject`)).status).toBe(409);
  });

  test('several people have to approve, and the one who asked may be barred', async () => {
    const { id } = await waiting('several', { required: 2, forbidRequester: true });
    expect((await api.call('POST', `approvals/${id}/approve`)).status).toBe(403);
    const first = await api.call('POST', `approvals/${id}/approve`, { token: await api.key(['view', 'approve']) });
    expect(first.body).toMatchObject({ status: 'pending' });
    const second = await api.call('POST', `approvals/${id}/approve`, { token: await api.key(['approve']) });
    expect(second.body).toMatchObject({ status: 'approved' });
    expect(api.gateway.decisions.slice(-2).map(({ decision }) => decision.complete)).toEqual([false, true]);
    expect((await api.call('POST', `approvals/${id}/approve`, { token: await api.key(['view']) })).status).toBe(403);
  });

  test('a decision that could not be told is told again until it has been', async () => {
    const { id } = await waiting('undelivered');
    api.gateway.failure = temporalAway;
    const answer = await api.call('POST', `approvals/${id}/reject`, { body: { comment: 'no' } });
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'rejected', warning: expect.stringContaining('recorded') as string },
    });
    api.gateway.failure = null;
    await api.db.sql
      .updateTable('approvals')
      .set({ decided_at: new Date(Date.now() - 60_000) })
      .where('id', '=', id)
      .execute();
    const before = api.gateway.decisions.length;
    await api.operations.resendPending(10);
    expect(api.gateway.decisions.slice(before).filter(({ decision }) => decision.approvalId === id)).toMatchObject([
      { decision: { decision: 'reject', complete: true, comment: 'no' } },
    ]);
  });

  test.each([
    ['an envelope on a rejection', 'reject', { envelope: { maxDestroys: 1 } }],
    ['a negative bound', 'approve', { envelope: { maxChanges: -1 } }],
    ['an unknown key', 'approve', { force: true }],
    ['a comment without an end', 'approve', { comment: 'x'.repeat(2001) }],
  ])('%s is refused', async (_name, decision, body) => {
    const { items } = (await api.call<{ items: Approval[] }>('GET', 'approvals')).body;
    expect((await api.call('POST', `approvals/${items[0]?.id ?? ''}/${decision}`, { body })).status).toBe(400);
  });
});
