import type { Environment, Graph, ProblemDetails, VariableDto } from '../model/index.ts';
import { createEnvironment } from '../store/index.ts';
import { temporalAway } from '../operations/gateway.test-support.ts';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
}, 60_000);
afterAll(() => api.close());
afterEach(() => {
  api.gateway.failure = null;
});

async function setEnvironment(id: string, values: Record<string, unknown>): Promise<void> {
  await api.db.sql
    .updateTable('environments')
    .set(values as never)
    .where('id', '=', id)
    .execute();
}

/** An environment whose last deploy ended some hours ago. */
async function deployed(name: string, hoursAgo: number, settings: object = {}): Promise<Environment> {
  const environment = await api.environment(name, { settings });
  const ended = new Date(Date.now() - hoursAgo * 3_600_000);
  await api.db.sql
    .insertInto('deployments')
    .values({
      id: `dep_${name}`,
      environment_id: environment.id,
      number: 1,
      type: 'deploy',
      status: 'succeeded',
      trigger: 'api',
      requested_by: JSON.stringify({ kind: 'key', id: 'k', name: 'k', from: null }),
      request: '{}',
      finished_at: ended,
    })
    .execute();
  await setEnvironment(environment.id, { status: 'active' });
  return environment;
}

const put = <T = Environment>(path: string, body: object) => api.call<T>('PUT', path, { body });

describe('projects and templates', () => {
  test('a project is made, renamed, and deleted once it is empty', async () => {
    const made = await api.call<{ id: string }>('POST', 'projects', { body: { name: 'shop' } });
    expect((await api.call('PATCH', 'projects/shop', { body: { name: 'store' } })).body).toMatchObject({
      name: 'store',
    });
    expect((await api.call('PATCH', 'projects/store', { body: { name: 'default' } })).status).toBe(409);
    const template = { name: 't', type: 'shell', source: { kind: 'local', directory: '/srv' } };
    expect((await api.call('POST', 'templates?project=store', { body: template })).status).toBe(201);
    expect((await api.call<ProblemDetails>('DELETE', 'projects/store')).body).toMatchObject({
      status: 409,
      detail: expect.stringContaining('template "t"') as string,
    });
    expect((await api.call('DELETE', 'templates/t')).status).toBe(204);
    expect((await api.call('DELETE', `projects/${made.body.id}`)).status).toBe(204);
  });

  test('a default time to live longer than the maximum is refused', async () => {
    const body = { settings: { defaultTtl: { kind: 'hours', hours: 10 }, maximumTtlHours: 5 } };
    expect((await api.call('PATCH', 'projects/default', { body })).status).toBe(400);
  });

  test.each([
    ['an unknown type', { type: 'cobol' }],
    ['a relative directory', { source: { kind: 'local', directory: 'stacks' } }],
    ['a path out of the source', { source: { kind: 'local', directory: '/srv', path: '../etc' } }],
    ['an absolute path', { source: { kind: 'local', directory: '/srv', path: '/etc' } }],
    ['an address that runs a program', { source: { kind: 'git', repository: 'ext::sh -c id' } }],
    ['an address that is an option', { source: { kind: 'git', repository: '--upload-pack=id' } }],
    [
      'a revision that is an option',
      { source: { kind: 'git', repository: 'https://git.example.com/a', revision: '--help' } },
    ],
    ['a pattern that is none', { retryOnDeploy: { maximum: 1, onlyWhenMatches: '(' } }],
  ])('a template with %s is refused', async (_name, change) => {
    const body = { name: 'bad', type: 'opentofu', source: { kind: 'local', directory: '/srv' }, ...change };
    const answer = await api.call<ProblemDetails>('POST', 'templates', { body });
    expect(answer.status).toBe(400);
    expect(answer.body.problems?.length).toBeGreaterThan(0);
  });

  test('templates are found by name, part of a name, type and beginning of an id', async () => {
    for (const [name, type] of [
      ['VPC', 'opentofu'],
      ['EKS', 'opentofu'],
      ['script', 'shell'],
    ] as const) {
      await api.call('POST', 'templates', { body: { name, type, source: { kind: 'local', directory: '/srv' } } });
    }
    const names = async (query: string) =>
      (await api.call<{ items: { name: string; id: string }[] }>('GET', `templates?${query}`)).body.items.map(
        (item) => item.name,
      );
    expect(await names('name=vp')).toEqual(['VPC']);
    expect(await names('type=shell')).toEqual(['script']);
    const { items } = (await api.call<{ items: { id: string }[] }>('GET', 'templates?name=EKS')).body;
    expect((await api.call('GET', `templates/${items[0]?.id.slice(0, 22) ?? ''}`)).body).toMatchObject({ name: 'EKS' });
    expect((await api.call<ProblemDetails>('GET', 'templates/VCP')).body).toMatchObject({
      status: 404,
      hint: expect.stringContaining('VPC') as string,
    });
  });

  test('a template in use names who uses it instead of going away', async () => {
    await api.environment('user of it');
    const answer = await api.call<ProblemDetails>('DELETE', 'templates/user%20of%20it%20template');
    expect(answer.body).toMatchObject({ status: 409, detail: expect.stringContaining('user of it') as string });
  });
});

describe('environments', () => {
  test('a name is taken once in a project, and free again after archiving', async () => {
    await api.environment('one');
    const again = { name: 'one', template: 'one template' };
    expect((await api.call('POST', 'environments', { body: again })).status).toBe(409);
    expect((await api.call('DELETE', 'environments/one')).status).toBe(204);
    expect((await api.call('POST', 'environments', { body: again })).status).toBe(201);
    expect(
      (await api.call<{ items: Environment[] }>('GET', 'environments?archived=true&name=one')).body.items,
    ).toHaveLength(1);
  });

  test('what may still have resources is not archived unless they are to be forgotten', async () => {
    const { id } = await api.environment('live');
    await setEnvironment(id, { status: 'active' });
    expect((await api.call<ProblemDetails>('DELETE', 'environments/live')).body).toMatchObject({
      status: 409,
      hint: expect.stringContaining('destroy') as string,
    });
    expect((await api.call('DELETE', 'environments/live?force=true')).status).toBe(204);
    const run = await api.call<ProblemDetails>('POST', `environments/${id}/deployments`, { body: {} });
    expect(run.body).toMatchObject({ status: 409, detail: expect.stringContaining('archived') as string });
  });

  test('a patch changes what it names and leaves the rest', async () => {
    await api.environment('patched', { settings: { requiredApprovals: 2, requiresApproval: true } });
    const answer = await api.call<Environment>('PATCH', 'environments/patched', {
      body: { revision: 'v2', settings: { forbidSelfApproval: true, requiresApproval: null } },
    });
    expect(answer.body).toMatchObject({ revision: 'v2', settings: { requiredApprovals: 2, forbidSelfApproval: true } });
    expect(answer.body.settings).not.toHaveProperty('requiresApproval');
    expect((await api.call('PATCH', 'environments/patched', { body: { settings: { nonsense: 1 } } })).status).toBe(400);
    expect((await api.call('PATCH', 'environments/patched', { body: { template: 'nope' } })).status).toBe(404);
    const other = await api.key(['view']);
    expect((await api.call('PATCH', 'environments/patched', { token: other, body: { revision: 'v3' } })).status).toBe(
      403,
    );
  });

  test('a graph has the needs and the state of each node', async () => {
    const root = await api.environment('graph');
    const nodes = [];
    for (const alias of ['vpc', 'db']) {
      nodes.push(
        await createEnvironment(api.db.sql, {
          projectId: root.projectId,
          name: alias,
          templateId: root.templateId,
          parent: { id: root.id, alias },
          settings: root.settings,
        }),
      );
    }
    await setEnvironment(nodes[1]?.id ?? '', {
      status: 'active',
      deployed_snapshot: JSON.stringify({ needs: ['vpc', 'gone'] }),
    });
    const graph = await api.call<Graph>('GET', 'environments/graph/graph');
    expect(graph.body.nodes.map(({ alias, needs, status }) => ({ alias, needs, status }))).toEqual([
      { alias: 'db', needs: ['vpc'], status: 'active' },
      { alias: 'vpc', needs: [], status: 'neverDeployed' },
    ]);
    const children = await api.call<{ items: Environment[]; next: string | null }>(
      'GET',
      'environments/graph/children?limit=1',
    );
    expect(children.body).toMatchObject({ items: [{ alias: 'db' }], next: '1' });
    expect((await api.call('GET', 'environments/graph%2Fdb')).body).toMatchObject({ alias: 'db' });
  });

  test('one whose schedule Temporal cannot take is not half made', async () => {
    await api.environment('before');
    api.gateway.failure = temporalAway;
    const body = { name: 'half', template: 'before template', settings: { schedule: { deploy: '0 7 * * 1-5' } } };
    expect((await api.call('POST', 'environments', { body })).status).toBe(503);
    api.gateway.failure = null;
    expect((await api.call('GET', 'environments/half')).status).toBe(404);
    expect((await api.call('POST', 'environments', { body })).status).toBe(201);
  });
});

describe('time to live', () => {
  const hours = (n: number) => ({ kind: 'hours', hours: n });
  const inHours = (environment: Environment): number =>
    (Date.parse(environment.expiresAt ?? '') - Date.now()) / 3_600_000;

  test('counts from the last deploy, and waits for one when there is none', async () => {
    const fresh = await api.environment('ttl fresh');
    expect((await put(`environments/${fresh.id}/ttl`, hours(8))).body).toMatchObject({
      expiresAt: null,
      settings: { ttl: hours(8) },
    });
    await deployed('ttl-old', 2);
    const answer = await put('environments/ttl-old/ttl', hours(8));
    expect(inHours(answer.body)).toBeCloseTo(6, 1);
    expect(api.gateway.expiries.at(-1)).toMatchObject({ expiresAtMs: Date.parse(answer.body.expiresAt ?? '') });
    expect((await put('environments/ttl-old/ttl', { kind: 'unlimited' })).body).toMatchObject({ expiresAt: null });
    expect(api.gateway.expiries.at(-1)).toMatchObject({ expiresAtMs: null });
  });

  test.each([
    ['one that is over already', hours(1), 400],
    ['a date in the past', { kind: 'date', at: '2001-01-01T00:00:00Z' }, 400],
    ['no hours', hours(0), 400],
    ['a date that is none', { kind: 'date', at: 'tomorrow' }, 400],
    ['an unknown kind', { kind: 'days', days: 2 }, 400],
  ])('%s is refused', async (name, body, status) => {
    if (name === 'one that is over already') await deployed('ttl-bad', 5);
    expect((await put('environments/ttl-bad/ttl', body)).status).toBe(status);
  });

  test('is put off, as far as the project allows', async () => {
    await deployed('ttl-more', 1);
    expect((await api.call('POST', 'environments/ttl-more/ttl/extend', { body: { hours: 2 } })).status).toBe(409);
    await put('environments/ttl-more/ttl', hours(4));
    const extended = await api.call<Environment>('POST', 'environments/ttl-more/ttl/extend', { body: { hours: 2 } });
    expect(inHours(extended.body)).toBeCloseTo(5, 1);
    expect(extended.body.settings.ttl).toEqual(hours(4));
    await api.call('PATCH', 'projects/default', { body: { settings: { maximumTtlHours: 8 } } });
    expect(
      (await api.call<ProblemDetails>('POST', 'environments/ttl-more/ttl/extend', { body: { hours: 20 } })).body,
    ).toMatchObject({ status: 409 });
    expect((await put<ProblemDetails>('environments/ttl-more/ttl', { kind: 'unlimited' })).body.detail).toMatch(
      'maximum',
    );
    await api.call('PATCH', 'projects/default', { body: { settings: {} } });
  });

  test('an inactive environment whose date has passed asks for a new one', async () => {
    const { id } = await api.environment('ttl-over', {
      settings: { ttl: { kind: 'date', at: new Date(Date.now() + 60_000).toISOString() } },
    });
    await setEnvironment(id, {
      status: 'inactive',
      settings: JSON.stringify({ ttl: { kind: 'date', at: '2020-01-01T00:00:00Z' } }),
    });
    expect(
      (await api.call<ProblemDetails>('POST', 'environments/ttl-over/deployments', { body: {} })).body,
    ).toMatchObject({ status: 409, detail: expect.stringContaining('time to live') as string });
    expect((await api.call('POST', 'environments/ttl-over/deployments', { body: { type: 'plan' } })).status).toBe(202);
  });

  test('is as it was when Temporal cannot be told', async () => {
    await deployed('ttl-away', 1);
    await put('environments/ttl-away/ttl', hours(5));
    const before = (await api.call<Environment>('GET', 'environments/ttl-away')).body;
    api.gateway.failure = temporalAway;
    expect((await put('environments/ttl-away/ttl', hours(50))).status).toBe(503);
    const after = (await api.call<Environment>('GET', 'environments/ttl-away')).body;
    expect([after.expiresAt, after.settings]).toEqual([before.expiresAt, before.settings]);
  });
});

describe('schedules and drift checks', () => {
  test('a schedule is known to Temporal as it is set, and gone when it is taken away', async () => {
    const { id } = await api.environment('timed');
    const answer = await put<{ next: { deploy: string[]; destroy: string[] } }>('environments/timed/schedule', {
      deploy: '0 7 * * 1-5',
      destroy: '0 20 * * 1-5',
      timezone: 'Europe/Berlin',
    });
    expect(answer.body.next.deploy).toHaveLength(5);
    expect(api.gateway.schedules.get(`deploy:${id}`)).toMatchObject({
      cron: '0 7 * * 1-5',
      timezone: 'Europe/Berlin',
      paused: false,
      catchUpSeconds: 600,
    });
    await put('environments/timed/schedule', { destroy: '0 20 * * 1-5', paused: true });
    expect(api.gateway.schedules.has(`deploy:${id}`)).toBe(false);
    expect(api.gateway.schedules.get(`destroy:${id}`)).toMatchObject({ paused: true });
    expect((await api.call('GET', 'environments/timed/schedule')).body).toMatchObject({
      next: { deploy: [], destroy: [] },
      missed: 1,
    });
    api.gateway.failure = temporalAway;
    expect((await api.call('GET', 'environments/timed/schedule')).body).toMatchObject({
      schedule: { destroy: '0 20 * * 1-5' },
      missed: null,
    });
    api.gateway.failure = null;
    expect((await api.call('DELETE', 'environments/timed/schedule')).status).toBe(204);
    expect(api.gateway.schedules.has(`destroy:${id}`)).toBe(false);
  });

  test.each([
    ['six fields', { deploy: '0 0 7 * * 1' }],
    ['an hour that is none', { deploy: '0 25 * * *' }],
    ['a zone that is none', { deploy: '0 7 * * *', timezone: 'Mars/Olympus' }],
    ['neither deploy nor destroy', { paused: true }],
    ['a day that never comes', { deploy: '0 0 31 2 *' }],
  ])('%s is refused', async (_name, body) => {
    await api.call('POST', 'environments', { body: { name: 'timed badly', template: 'timed template' } });
    const answer = await put<ProblemDetails>('environments/timed%20badly/schedule', body);
    expect(answer.status).toBe(400);
    expect(answer.body.problems).toEqual(
      expect.arrayContaining([expect.objectContaining({ message: expect.any(String) as string })]),
    );
  });

  test('a firing of a schedule that is gone is no request', async () => {
    const { id } = await api.environment('unscheduled');
    const ask = {
      actor: { kind: 'system', id: 'windlass', name: 'Windlass', from: null } as const,
      environment: id,
      request: { type: 'destroy' as const },
      trigger: 'schedule' as const,
    };
    await expect(api.operations.requestDeployment(ask)).rejects.toMatchObject({ code: 'conflict' });
    await put('environments/unscheduled/schedule', { destroy: '0 20 * * *' });
    await expect(api.operations.requestDeployment(ask)).resolves.toMatchObject({
      deployment: { trigger: 'schedule', type: 'destroy' },
    });
  });

  test('drift checks are set, shown with what they found, and taken away', async () => {
    const { id } = await api.environment('drifting');
    expect((await put('environments/drifting/drift', { cron: '00 08,20 * * *', remediation: 'redeploy' })).status).toBe(
      200,
    );
    expect(api.gateway.schedules.get(`drift:${id}`)).toMatchObject({ cron: '00 08,20 * * *' });
    expect((await api.call('GET', 'environments/drifting/drift')).body).toMatchObject({
      drift: { remediation: 'redeploy' },
      results: [],
    });
    expect((await put('environments/drifting/drift', { cron: 'often enough' })).status).toBe(400);
    expect((await api.call('DELETE', 'environments/drifting/drift')).status).toBe(204);
    expect(api.gateway.schedules.has(`drift:${id}`)).toBe(false);
  });
});

describe('variables', () => {
  const create = (query: string, body: object) =>
    api.call<VariableDto & ProblemDetails>('POST', `variables?${query}`, { body });

  test('the nearest value is in force, and where it comes from is said', async () => {
    await api.environment('inherits');
    await create('scope=project', { name: 'region', value: 'eu' });
    await create('scope=environment&scopeId=inherits', { name: 'region', value: 'us' });
    const { body } = await api.call<{ items: object[] }>('GET', 'environments/inherits/variables');
    expect(body.items).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'region', value: 'us', level: 'environment', overrides: ['project'] }),
      ]),
    );
  });

  test('a secret goes in and never comes out', async () => {
    await api.environment('keeps');
    const made = await create('scope=environment&scopeId=keeps', {
      name: 'password',
      value: 'hunter2-variable',
      sensitive: true,
    });
    expect(made.body).toMatchObject({ value: null, hasValue: true, sensitive: true });
    const changed = await api.call('PATCH', `variables/${made.body.id}`, { body: { value: 'hunter2-changed' } });
    expect(changed.status).toBe(200);
    expect(
      (await api.call('PATCH', `variables/${made.body.id}`, { body: { description: 'kept' } })).body,
    ).toMatchObject({ hasValue: true, description: 'kept' });
    expect((await api.call('PATCH', `variables/${made.body.id}`, { body: { sensitive: false } })).status).toBe(400);
    const texts = await Promise.all(
      ['variables?scope=environment&scopeId=keeps', 'environments/keeps/variables', 'audit?limit=200'].map(
        async (path) => (await api.call('GET', path)).text,
      ),
    );
    expect(texts.join('') + made.text + changed.text + api.log.join('')).not.toContain('hunter2');
    const rows = await api.db.sql.selectFrom('variables').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain('hunter2');
  });

  test.each([
    ['a value of another type', { name: 'a', type: 'number', value: 'many' }, /number/],
    ['a value that does not match', { name: 'a', value: 'x1', regex: '^[a-z]+$' }, /match/],
    ['a value that is not allowed', { name: 'a', value: 'z', allowed: ['x', 'y'] }, /x.*y/],
    ['a pattern that is none', { name: 'a', value: 'z', regex: '(' }, /regular expression/],
    ['a name that is none', { name: '1a', value: 'z' }, /letter/],
    ['a reserved name', { name: 'WINDLASS_TOKEN', kind: 'environment', value: 'z' }, /Windlass sets it/],
    ['an environment variable with a dash', { name: 'a-b', kind: 'environment', value: 'z' }, /letters, digits/],
    ['a list for the process environment', { name: 'LIST', kind: 'environment', type: 'list', value: [] }, /lists/],
  ])('%s is refused', async (_name, body, message) => {
    const answer = await create('scope=project', body);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(message);
  });

  test('rules of farther levels hold', async () => {
    await api.environment('below');
    await create('scope=project', { name: 'fixed', value: 'a', readOnly: true });
    const answer = await create('scope=environment&scopeId=below', { name: 'fixed', value: 'b' });
    expect(answer.body).toMatchObject({ status: 400, detail: expect.stringContaining('read-only') as string });
  });

  test('a second one of the same name is refused, and which it is cannot change', async () => {
    const made = await create('scope=project', { name: 'unique', value: 'a' });
    expect((await create('scope=project', { name: 'unique', value: 'b' })).status).toBe(409);
    expect((await create('scope=project&alias=vpc', { name: 'unique', value: 'b' })).body).toMatchObject({
      alias: 'vpc',
    });
    expect((await api.call('PATCH', `variables/${made.body.id}`, { body: { name: 'other' } })).status).toBe(400);
    expect(
      (await api.call('PATCH', `variables/${made.body.id}`, { body: { name: 'unique', value: 'c' } })).body,
    ).toMatchObject({ value: 'c' });
    expect((await api.call('DELETE', `variables/${made.body.id}`)).status).toBe(204);
    expect((await api.call('DELETE', `variables/${made.body.id}`)).status).toBe(404);
    expect((await create('scope=environment', { name: 'x' })).status).toBe(400);
    expect((await create('scope=planet&scopeId=earth', { name: 'x' })).status).toBe(400);
  });
});

describe('checking a file', () => {
  const validate = (body: object) =>
    api.call<{ problems: { message: string; line?: number }[]; graph: Graph | null }>('POST', 'validate', { body });

  test('a good file answers its graph, a bad one its problems with their lines', async () => {
    const good = await validate({
      text: 'environments:\n  vpc:\n    templateName: VPC\n  db:\n    templateName: VPC\n    needs: [vpc]\n',
      fileName: 'windlass.workflow.yml',
    });
    expect(good.body).toMatchObject({
      problems: [],
      graph: { nodes: [{ alias: 'vpc' }, { alias: 'db', needs: ['vpc'] }] },
    });
    const bad = await validate({ text: 'environments:\n  db:\n    templateName: VPC\n    needs: [vcp]\n' });
    expect(bad.body).toMatchObject({ problems: [{ line: 4 }], graph: null });
    const missing = await validate({ text: 'environments:\n  db:\n    templateName: Nowhere\n', project: 'default' });
    expect(missing.body.problems[0]?.message).toMatch('Nowhere');
  });

  test('against a project, variables that are not there or do not fit are problems with their places', async () => {
    await api.call('POST', 'projects', { body: { name: 'checked' } });
    for (const body of [
      { name: 'STAGE', kind: 'environment', value: 'prod' },
      { name: 'TOKEN', kind: 'environment', value: 'hunter2', sensitive: true },
      { name: 'size', required: true },
      { name: 'zone', allowed: ['eu', 'us'], value: 'eu' },
    ]) {
      expect((await api.call('POST', 'variables?scope=project&scopeId=checked', { body })).status).toBe(201);
    }
    const file = (...lines: string[]) =>
      ['environments:', '  db:', '    vcs: {type: opentofu, path: db}', ...lines].join('\n');
    const check = async (text: string): Promise<string[]> =>
      (await validate({ text, project: 'checked' })).body.problems.map(({ line, message }) => `${line} ${message}`);
    expect(await check(file('    variables: {size: "${STAGE}", url: "${TOKEN}"}'))).toEqual([]);
    expect(await check(file('    name: db-${STAGEE}', '    workspace: ${TOKEN}'))).toEqual([
      '4 name of sub-environment "db": ${STAGEE} has no value; did you mean "STAGE"?',
      expect.stringContaining('5 workspace of sub-environment "db": ${TOKEN} is sensitive'),
    ]);
    expect(await check(file('    variables: {zone: mars}'))).toEqual([
      expect.stringContaining('2 sub-environment "db": variable "size" is required (project level)'),
      expect.stringContaining('2 sub-environment "db": variable "zone" does not fit: the value "mars"'),
    ]);
    expect(await check(file('    disabled: true'))).toEqual([]);
    expect(
      await check(
        file(
          '    inputs: {size: "${environments.net.outputs.size}"}',
          '    needs: [net]',
          '  net: {vcs: {type: shell}, variables: {size: s}}',
        ),
      ),
    ).toEqual([]);
  });

  test('code beside the file may lie as far up as its source reaches', async () => {
    const text = 'environments:\n  db:\n    vcs: {type: opentofu, path: ../stacks/db}\n';
    expect((await validate({ text })).body.problems[0]?.message).toContain('leads out of its source');
    expect((await validate({ text, directory: 'live' })).body.problems).toEqual([]);
  });

  test('a file larger than any real one is refused', async () => {
    expect((await validate({ text: 'x'.repeat(2 * 1024 * 1024) })).status).toBe(413);
    expect(
      (await validate({ text: `environments:\n${'#'.repeat(1_500_000)}\n  a:\n    templateName: VPC\n` })).status,
    ).toBe(200);
  });

  test('a YAML bomb is a problem of the file', async () => {
    const lines = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((c, i) => `${c}: &${c} [${Array(10).fill(`*${'abcdefghi'[i]}`).join(',')}]`),
    ];
    const answer = await validate({ text: lines.join('\n') });
    expect(answer.status).toBe(200);
    expect(answer.body.problems.length).toBeGreaterThan(0);
  });
});

describe('state', () => {
  test('what has no state says so, and versions that are not there are not found', async () => {
    await api.environment('stateless', { type: 'opentofu' });
    expect((await api.call('GET', 'environments/stateless/state')).body).toBeNull();
    expect((await api.call('GET', 'environments/stateless/state/versions')).body).toEqual({ items: [], next: null });
    for (const [method, path] of [
      ['GET', 'state/versions/7/download'],
      ['GET', 'state/diff?from=1&to=2'],
      ['POST', 'state/versions/7/restore'],
    ] as const) {
      expect((await api.call(method, `environments/stateless/${path}`)).status).toBe(404);
    }
    expect((await api.call('GET', 'environments/stateless/state/versions/latest/download')).status).toBe(400);
    expect((await api.call('POST', 'environments/stateless/state/unlock', { body: {} })).status).toBe(400);
    expect(
      (await api.call('POST', 'environments/stateless/state/unlock', { body: { reason: 'nobody holds it' } })).body,
    ).toEqual({ lock: null });
  });

  test('a person can say that a state is right', async () => {
    const { id } = await api.environment('unsure', { type: 'opentofu' });
    await setEnvironment(id, {
      state_unverified: JSON.stringify({
        since: new Date().toISOString(),
        deploymentId: 'dep_x',
        reason: 'worker gone',
        lockId: null,
      }),
    });
    expect((await api.call<Environment>('GET', 'environments/unsure')).body.flags.stateUnverified).not.toBeNull();
    const answer = await api.call<Environment>('POST', 'environments/unsure/state/verify', {
      body: { reason: 'looked at it' },
    });
    expect(answer.body.flags.stateUnverified).toBeNull();
  });
});

test('settings that are changed at the same time do not undo each other', async () => {
  await api.environment('busy');
  await Promise.all([
    api.call('PATCH', 'environments/busy', { body: { settings: { requiresApproval: true } } }),
    put('environments/busy/ttl', { kind: 'hours', hours: 5 }),
    put('environments/busy/schedule', { deploy: '0 7 * * *' }),
    put('environments/busy/drift', { cron: '0 * * * *' }),
  ]);
  const { body } = await api.call<Environment>('GET', 'environments/busy');
  expect(body.settings).toMatchObject({
    requiresApproval: true,
    ttl: { hours: 5 },
    schedule: { deploy: '0 7 * * *' },
    drift: { cron: '0 * * * *' },
  });
});
