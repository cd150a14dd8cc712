import { gzipSync } from 'node:zlib';
import type { ProblemDetails } from '../model/index.ts';
import { problemDetailsSchema } from '../model/index.ts';
import { startHarness } from './api.test-support.ts';
import type { CallOptions, Harness } from './api.test-support.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
}, 60_000);
afterAll(() => api.close());

async function problem(
  method: string,
  path: string,
  options?: CallOptions,
): Promise<ProblemDetails & { headers: Headers }> {
  const answer = await api.call(method, path, options);
  expect(answer.headers.get('content-type')).toMatch('application/problem+json');
  const details = problemDetailsSchema.parse(answer.body);
  expect(details.status).toBe(answer.status);
  expect(details.requestId).toBe(answer.headers.get('x-request-id'));
  return { ...details, headers: answer.headers };
}

describe('keys', () => {
  test.each([
    ['none', null, /needs a key/],
    ['another form', 'not-a-key', /not a Windlass key/],
    ['an unknown one', `wlk_${'0'.repeat(20)}_${'a'.repeat(43)}`, /not known here/],
  ])('%s is refused with what to send', async (_name, token, message) => {
    const answer = await problem('GET', 'projects', { token });
    expect(answer.status).toBe(401);
    expect(answer.detail).toMatch(message);
    expect(answer.headers.get('www-authenticate')).toMatch('Bearer');
  });

  test('a header of another scheme is refused', async () => {
    const answer = await problem('GET', 'projects', { token: null, headers: { authorization: 'Basic YTpi' } });
    expect(answer.status).toBe(401);
    expect(answer.hint).toMatch('Bearer wlk_');
  });

  test('a revoked key is refused at once', async () => {
    const made = await api.call<{ id: string; token: string }>('POST', 'keys', {
      body: { name: 'short', permissions: ['view'] },
    });
    expect((await api.call('GET', 'me', { token: made.body.token })).status).toBe(200);
    expect((await api.call('DELETE', `keys/${made.body.id}`)).status).toBe(204);
    expect((await problem('GET', 'me', { token: made.body.token })).detail).toMatch('revoked');
    expect((await api.call('DELETE', `keys/${made.body.id}`)).status).toBe(204);
  });

  test('bodies of strangers are not read', async () => {
    const answer = await problem('POST', 'projects', {
      token: null,
      raw: '{ this is not JSON',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(401);
  });

  test('a key without a permission is told which is missing', async () => {
    const token = await api.key(['view']);
    const answer = await problem('POST', 'projects', { token, body: { name: 'x' } });
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' });
    expect(answer.detail).toMatch('organization.manage');
  });

  test('nobody can give what they do not have', async () => {
    const token = await api.key(['organization.manage']);
    expect(await problem('POST', 'keys', { token, body: { name: 'x', permissions: ['*'] } })).toMatchObject({
      status: 403,
    });
    expect(await problem('POST', 'keys', { body: { name: 'x', permissions: ['everything'] } })).toMatchObject({
      status: 400,
      code: 'invalidInput',
    });
    expect(await problem('POST', 'keys', { body: { name: 'x', expiresAt: '2001-01-01T00:00:00Z' } })).toMatchObject({
      status: 400,
    });
  });

  test('tokens are in neither lists nor the audit log nor the request log', async () => {
    const made = await api.call<{ token: string }>('POST', 'keys', { body: { name: 'seen', permissions: ['view'] } });
    const everything = (await api.call('GET', 'keys')).text + (await api.call('GET', 'audit')).text + api.log.join('');
    expect(made.body.token).toMatch(/^wlk_/);
    expect(everything).not.toContain(made.body.token);
    expect(everything).not.toContain(api.token);
  });
});

describe('bodies', () => {
  const json = { 'content-type': 'application/json' };

  test.each<[string, CallOptions, number, RegExp]>([
    ['malformed', { raw: '{\n  "name": oops\n}', headers: json }, 400, /line 2, column 11/],
    ['cut off', { raw: '{"name": "a"', headers: json }, 400, /line 1, column/],
    ['empty', { raw: '', headers: json }, 400, /empty|name/],
    ['an array', { raw: '[]', headers: json }, 400, /expected object/i],
    ['null', { raw: 'null', headers: json }, 400, /expected object/i],
    ['of a wrong type', { body: { name: 7 } }, 400, /name/],
    ['with an unknown key', { body: { name: 'a', colour: 'red' } }, 400, /colour/],
    ['with a blank name', { body: { name: '   ' } }, 400, /name/],
    ['with a prototype', { raw: '{"name":"a","__proto__":{"x":1}}', headers: json }, 400, /__proto__/],
    ['too deep', { raw: `${'['.repeat(70)}${']'.repeat(70)}`, headers: json }, 400, /nested deeper/],
    ['without a content type', { raw: new TextEncoder().encode('{}') }, 415, /content type/],
    [
      'of another content type',
      { raw: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      /form-urlencoded/,
    ],
    [
      'in another charset',
      { raw: '{}', headers: { 'content-type': 'application/json; charset=utf-16' } },
      415,
      /utf-16/,
    ],
    ['too large', { raw: `{"name":"${'x'.repeat(1024 * 1024)}"}`, headers: json }, 413, /1 MiB/],
    [
      'a bomb',
      {
        raw: new Uint8Array(gzipSync(`{"name":"${'x'.repeat(8 * 1024 * 1024)}"}`)),
        headers: { ...json, 'content-encoding': 'gzip' },
      },
      413,
      /MiB/,
    ],
    ['in an unknown encoding', { raw: '{}', headers: { ...json, 'content-encoding': 'rot13' } }, 415, /rot13/i],
  ])('%s: a problem that says so', async (_name, options, status, message) => {
    const answer = await problem('POST', 'projects', options);
    expect(answer.status).toBe(status);
    expect([answer.detail, ...(answer.problems ?? []).map((one) => one.message)].join('\n')).toMatch(message);
  });

  test('every finding comes with its path', async () => {
    const answer = await problem('POST', 'templates', {
      body: { name: '', type: 'cobol', source: { kind: 'git', repository: '' }, retryOnDeploy: { maximum: 99 } },
    });
    expect(answer.problems?.map((one) => one.path)).toEqual(
      expect.arrayContaining(['name', 'type', 'source.repository', 'retryOnDeploy.maximum']),
    );
  });

  test('an address of a repository must not hold a password', async () => {
    const answer = await problem('POST', 'templates', {
      body: {
        name: 'a',
        type: 'opentofu',
        source: { kind: 'git', repository: 'https://me:hunter2@git.example.com/a.git' },
      },
    });
    expect(answer.detail).toMatch('source.credentials');
    expect(JSON.stringify(answer)).not.toContain('hunter2');
  });

  test('text with a NUL is refused and not a fault of ours', async () => {
    const answer = await problem('POST', 'projects', { body: { name: 'a\0b' } });
    expect(answer.status).toBe(400);
  });

  test('what needs no body takes none', async () => {
    expect(await problem('POST', 'deployments/dep_nope/cancel')).toMatchObject({ status: 404, code: 'notFound' });
  });
});

describe('addresses', () => {
  test('unknown routes list near ones', async () => {
    const answer = await problem('GET', 'enviroments');
    expect(answer.status).toBe(404);
    expect(answer.hint).toMatch('/api/v1/environments');
  });

  test('other methods are told which there are', async () => {
    const answer = await problem('PUT', 'projects', { body: {} });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toMatch('GET, POST');
    expect((await api.call('OPTIONS', 'projects')).headers.get('allow')).toMatch('GET, POST');
  });

  test('a wrong encoding of the address is the caller’s', async () => {
    expect(await problem('GET', 'environments/%E0%A4%A')).toMatchObject({ status: 400, code: 'invalidInput' });
  });

  test.each([
    ['projects?limit=0', /limit/],
    ['projects?limit=999', /limit/],
    ['projects?limit=ten', /limit/],
    ['projects?limit=5&limit=6', /limit/],
    ['projects?colour=red', /colour/],
    ['projects?cursor=abc', /cursor/],
    ['projects?cursor=WyIxIl0', /cursor/],
    ['deployments?status=broken', /status/],
    ['deployments?since=yesterday', /since/],
    ['environments?archived=perhaps', /archived/],
    ['variables', /scope/],
    ['deployments/dep_x/nodes?cursor=zz', /cursor|no deployment/],
    ['environments/none', /no environment/],
    ['approvals/apr_none', /no approval/],
    ['templates/none', /no template/],
  ])('GET %s is refused with the reason', async (path, message) => {
    const answer = await problem('GET', path);
    expect([400, 404]).toContain(answer.status);
    expect([answer.detail, answer.hint, JSON.stringify(answer.problems)].join(' ')).toMatch(message);
  });

  test('pages end, do not overlap, and are complete', async () => {
    for (let i = 0; i < 7; i++) await api.call('POST', 'projects', { body: { name: `page ${i}` } });
    const names: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { body: { items: { name: string }[]; next: string | null } } = await api.call(
        'GET',
        `projects?limit=3${query}`,
      );
      names.push(...page.body.items.map((item) => item.name));
      cursor = page.body.next;
    } while (cursor !== null);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.startsWith('page '))).toHaveLength(7);
  });
});

describe('idempotency keys', () => {
  test('the same key gives the same answer and changes things once', async () => {
    const options = { body: { name: 'once' }, headers: { 'idempotency-key': 'k-1' } };
    const first = await api.call<{ id: string }>('POST', 'projects', options);
    const second = await api.call<{ id: string }>('POST', 'projects', options);
    expect(first.status).toBe(201);
    expect(second).toMatchObject({ status: 201, body: first.body });
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second.headers.get('idempotency-replayed')).toBe('true');
  });

  test('another request with the same key is refused', async () => {
    await api.call('POST', 'projects', { body: { name: 'k2' }, headers: { 'idempotency-key': 'k-2' } });
    const answer = await problem('POST', 'projects', {
      body: { name: 'k2 other' },
      headers: { 'idempotency-key': 'k-2' },
    });
    expect(answer).toMatchObject({ status: 422, code: 'idempotencyMismatch' });
  });

  test('the same key of somebody else is another key', async () => {
    const options = { body: { name: 'k3' }, headers: { 'idempotency-key': 'k-3' } };
    expect((await api.call('POST', 'projects', options)).status).toBe(201);
    expect((await api.call('POST', 'projects', { ...options, token: await api.key(['*']) })).status).toBe(409);
  });

  test('a call that failed may be tried again under its key', async () => {
    const headers = { 'idempotency-key': 'k-4' };
    expect((await api.call('POST', 'projects', { body: { name: 'k4', organization: 'nope' }, headers })).status).toBe(
      404,
    );
    expect((await api.call('POST', 'projects', { body: { name: 'k4' }, headers })).status).toBe(201);
  });

  test('two at once change things once', async () => {
    const options = { body: { name: 'k5' }, headers: { 'idempotency-key': 'k-5' } };
    const answers = await Promise.all([1, 2, 3].map(() => api.call('POST', 'projects', options)));
    const statuses = answers.map((answer) => answer.status);
    expect(statuses.every((status) => status === 201 || status === 409)).toBe(true);
    const listed = await api.call<{ items: { name: string }[] }>('GET', 'projects?limit=200');
    expect(listed.body.items.filter((item) => item.name === 'k5')).toHaveLength(1);
  });

  test('a made key is told once, also when the call is repeated', async () => {
    const options = { body: { name: 'told once', permissions: ['view'] }, headers: { 'idempotency-key': 'k-6' } };
    const first = await api.call<{ id: string; token: string | null }>('POST', 'keys', options);
    const second = await api.call<{ id: string; token: string | null }>('POST', 'keys', options);
    expect(first.body.token).toMatch(/^wlk_/);
    expect(second.body).toEqual({ ...first.body, token: null });
  });

  test('keys that no header can carry are refused', async () => {
    const answer = await problem('POST', 'projects', { body: { name: 'x' }, headers: { 'idempotency-key': 'a b' } });
    expect(answer.status).toBe(400);
    expect(
      await problem('POST', 'projects', { body: { name: 'x' }, headers: { 'idempotency-key': 'x'.repeat(201) } }),
    ).toMatchObject({ status: 400 });
  });
});

describe('what is beside the API', () => {
  test('health tells of the process, readiness of what it needs', async () => {
    expect((await api.call('GET', '/healthz', { token: null })).body).toEqual({ status: 'ok' });
    const ready = await api.call<{ ready: boolean; checks: { name: string }[] }>('GET', '/readyz', { token: null });
    expect(ready.body.ready).toBe(true);
    expect(ready.body.checks.map((check) => check.name)).toEqual(['database', 'Temporal', 'encryption key']);
  });

  test('the pages come from here alone and may load nothing from elsewhere', async () => {
    for (const path of ['/', '/docs/api']) {
      const page = await api.call('GET', path, { token: null });
      expect(page.status).toBe(200);
      expect(page.text).not.toMatch(/(src|href)="https?:/);
      expect(page.headers.get('content-security-policy')).toMatch("default-src 'none'");
      expect(page.headers.get('x-content-type-options')).toBe('nosniff');
      const linked = [...page.text.matchAll(/(?:src|href)="(\/(?:static|docs)[^"]*\.\w+)"/g)].map(
        (match) => match[1] ?? '',
      );
      expect(linked.length).toBeGreaterThan(1);
      for (const file of linked) expect((await api.call('GET', file, { token: null })).status).toBe(200);
    }
    expect((await api.call('GET', '/docs/api/assets/package.json', { token: null })).status).toBe(404);
    expect((await api.call('GET', '/static/..%2fapp.ts', { token: null })).status).toBe(404);
  });

  test('the document describes every route that answers, and only those', async () => {
    const { body } = await api.call<{
      openapi: string;
      paths: Record<string, Record<string, { operationId: string }>>;
    }>('GET', 'openapi.json', { token: null });
    expect(body.openapi).toBe('3.1.0');
    const operations = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => ({ path, method, operationId })),
    );
    expect(operations.length).toBeGreaterThan(60);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { path, method } of operations) {
      const answer = await api.call(method.toUpperCase(), path.replace(/\{\w+\}/g, '1'), { token: null });
      expect([path, method, answer.status]).toEqual([path, method, 401]);
    }
  });

  test('a request id of the caller is kept when it is a plain one', async () => {
    expect((await api.call('GET', 'me', { headers: { 'x-request-id': 'abc-1' } })).headers.get('x-request-id')).toBe(
      'abc-1',
    );
    expect((await api.call('GET', 'me', { headers: { 'x-request-id': 'a"b' } })).headers.get('x-request-id')).toMatch(
      /^req_/,
    );
  });
});
