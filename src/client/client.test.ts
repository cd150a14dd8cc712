import { ApiError, collect, createClient } from './index.ts';
import type { StreamEvent } from './index.ts';
import { contract } from '../contract/index.ts';
import type { FakeServer } from './fake-server.test-support.ts';
import { openSse, page, problem, startFakeServer } from './fake-server.test-support.ts';
import { follow } from './stream.ts';

const logEvents = contract.deployments.logs.events;

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(routes: Parameters<typeof startFakeServer>[0]) {
  server = await startFakeServer(routes);
  return { server, client: createClient({ url: server.url, token: 'secret-key' }) };
}

const createdAt = '2026-01-01T00:00:00.000Z';
const project = (id: string) => ({ id, organizationId: 'org_1', name: id, settings: {}, createdAt });
const version = { version: '1.0.0', node: '22.0.0', temporalUiUrl: null };

describe('calls', () => {
  test('carry the key, and names with slashes and spaces arrive whole', async () => {
    const { server: fake, client } = await serve({ 'GET /environments/my%20shop%2Feks/graph': () => ({ nodes: [] }) });
    await client.environments.graph({ params: { ref: 'my shop/eks' } });
    expect(fake.calls[0]?.headers.authorization).toBe('Bearer secret-key');
  });

  test('queries are written as the server reads them', async () => {
    const { server: fake, client } = await serve({ 'GET /deployments': () => page() });
    const since = new Date(Date.UTC(2026, 0, 2));
    await client.deployments.list({ query: { status: ['failed', 'aborted'], since, project: undefined, limit: 3 } });
    expect(fake.lines()).toEqual([
      'GET /deployments?status=failed%2Caborted&since=2026-01-02T00%3A00%3A00.000Z&limit=3',
    ]);
  });

  test('a mutation whose line breaks is repeated under the same key', async () => {
    const keys: unknown[] = [];
    const { client } = await serve({
      'POST /projects': ({ headers, request }) => {
        keys.push(headers['idempotency-key']);
        if (keys.length > 1) return project('shop');
        request.socket.destroy();
        return undefined;
      },
    });
    await expect(client.projects.create({ body: { name: 'shop' } })).resolves.toEqual(project('shop'));
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  test('a call is sent once when that is asked for, under the key that is given', async () => {
    const { server: fake, client } = await serve({ 'POST /backup': ({ request }) => void request.socket.destroy() });
    const options = { tries: 1, timeoutMs: Infinity, idempotencyKey: 'mine' };
    const call = client.installation.backup.response({ body: { passphrase: 'x' } }, options);
    await expect(call).rejects.toMatchObject({ code: 'unreachable' });
    expect(fake.calls.map(({ headers }) => headers['idempotency-key'])).toEqual(['mine']);
  });

  test('a call that only names something has an empty body, and answers nothing where nothing is to be answered', async () => {
    const { server: fake, client } = await serve({
      'DELETE /keys/ci': ({ response }) => void response.writeHead(204).end(),
      'POST /validate': () => ({ problems: [], graph: null }),
    });
    await expect(client.keys.revoke({ params: { ref: 'ci' } })).resolves.toBeUndefined();
    await client.tools.validate({ body: { text: 'x' } });
    expect(fake.calls.map(({ body }) => body)).toEqual([undefined, { text: 'x' }]);
  });

  test('lists follow their pages up to the limit', async () => {
    const { server: fake, client } = await serve({
      'GET /environments/shop/children': ({ line }) =>
        line.includes('cursor=two') ? page() : { items: [], next: 'two' },
      'GET /projects': ({ line }) =>
        line.includes('cursor=two')
          ? page(project('c'), project('d'))
          : { items: [project('a'), project('b')], next: 'two' },
    });
    const names = (listing: { items: { name: string }[]; more: boolean }) => [
      listing.items.map(({ name }) => name).join(''),
      listing.more,
    ];
    expect(names(await collect(client.projects.list, {}))).toEqual(['abcd', false]);
    expect(names(await collect(client.projects.list, {}, { limit: 2 }))).toEqual(['ab', true]);
    await collect(client.environments.children, { params: { ref: 'shop' }, query: { detached: true } });
    expect([fake.lines()[0], fake.lines().at(-1)]).toEqual([
      'GET /projects?limit=200',
      'GET /environments/shop/children?detached=true&limit=200&cursor=two',
    ]);
  });

  test('what the server says of a failure passes through', async () => {
    const { client } = await serve({
      'GET /projects/sh': ({ response }) =>
        problem(response, 409, 'ambiguous', '"sh" could be shop or shoe', 'use the whole name'),
      'GET /version': ({ response }) => void response.writeHead(502).end('<html>bad gateway</html>'),
    });
    const refused: unknown = await client.projects.get({ params: { ref: 'sh' } }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ApiError);
    expect(refused).toMatchObject({
      message: '"sh" could be shop or shoe',
      hint: 'use the whole name',
      code: 'ambiguous',
      status: 409,
      requestId: 'req_1',
    });
    await expect(client.tools.version()).rejects.toMatchObject({ code: 'unavailable', status: 502 });
  });

  test('an answer of another shape is told as what it is', async () => {
    const { client } = await serve({
      'GET /version': () => ({ version: 7 }),
      'GET /me': ({ response }) => void response.end('<html>'),
    });
    await expect(client.tools.version()).rejects.toThrow('the answer to GET /version is not understood: version:');
    await expect(client.keys.current()).rejects.toThrow('is not JSON');
  });

  test('fields of a newer server are left out, also where the contract is strict', async () => {
    const newer = {
      ...project('shop'),
      color: 'red',
      settings: { defaultTtl: { kind: 'hours', hours: 2, unit: 'h' }, x: 1 },
    };
    const { client } = await serve({ 'GET /projects': () => ({ ...page(newer), total: 1 }) });
    const { items } = await client.projects.list();
    expect(items).toEqual([{ ...project('shop'), settings: { defaultTtl: { kind: 'hours', hours: 2 } } }]);
  });

  test('a server that is not there is named', async () => {
    const { server: fake, client } = await serve({});
    await fake.close();
    await expect(client.tools.version()).rejects.toMatchObject({
      message: expect.stringMatching(/^cannot reach http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/),
      code: 'unreachable',
    });
  });

  test('the key is not carried to wherever a redirect points', async () => {
    const { server: fake, client } = await serve({
      'GET /version': ({ response }) => void response.writeHead(302, { location: '/api/v1/me' }).end(),
      'GET /me': () => version,
    });
    await expect(client.tools.version()).rejects.toThrow();
    expect(fake.lines().every((line) => line === 'GET /version')).toBe(true);
  });
});

describe('following a stream', () => {
  const path = 'GET /deployments/dep_1/logs';
  const chunk = (id: number) => ({
    id,
    alias: 'vpc',
    stage: 'plan',
    compensation: false,
    try: 1,
    at: createdAt,
    text: `${id}`,
  });
  const log = (id: number) => ({ id, event: 'log', data: chunk(id) });
  const waitMs = { first: 1, longest: 2 };
  const params = { ref: 'dep_1' };

  async function read(events: AsyncIterable<StreamEvent<typeof logEvents>>, seen: string[] = []): Promise<string[]> {
    for await (const message of events) seen.push(message.event === 'log' ? message.data.text : message.event);
    return seen;
  }

  test('a line that breaks is met by connecting again after the last event seen', async () => {
    const resumed: unknown[] = [];
    const { client } = await serve({
      [path]: ({ headers, response }) => {
        resumed.push(headers['last-event-id']);
        const send = openSse(response);
        if (resumed.length === 1) {
          send(log(1));
          send(log(2));
          send({ event: 'of a newer server', data: {} });
          setImmediate(() => response.destroy());
        } else {
          send(log(3));
          send({ event: 'end', data: {} });
        }
        return undefined;
      },
    });
    const seen: string[] = [];
    await read(client.deployments.logs.stream({ params }, { waitMs, onConnection: (state) => seen.push(state) }), seen);
    expect(seen).toEqual(['1', '2', 'lost', 'back', '3', 'end']);
    expect(resumed).toEqual([undefined, '2']);
  });

  test('a server that is away for a while is waited for, also behind a proxy', async () => {
    let calls = 0;
    const { client } = await serve({
      [path]: ({ response }) => {
        calls++;
        if (calls === 1) return void response.writeHead(502).end('<html>bad gateway</html>');
        if (calls === 2) return problem(response, 503, 'unavailable', 'the database cannot be reached');
        openSse(response)({ event: 'end', data: {} });
        return undefined;
      },
    });
    const states: string[] = [];
    await read(client.deployments.logs.stream({ params }, { waitMs, onConnection: (state) => states.push(state) }));
    expect(states).toEqual(['lost', 'back']);
  });

  test('a refusal ends it at once, and so does an event that is not what the contract says', async () => {
    const { server: fake, client } = await serve({
      [path]: ({ response }) => void openSse(response)({ event: 'log', data: { id: 'x' } }),
    });
    await expect(read(client.deployments.logs.stream({ params: { ref: 'gone' } }))).rejects.toThrow('there is no');
    await expect(read(client.deployments.logs.stream({ params }))).rejects.toThrow('event log, is not understood: id:');
    expect(fake.calls).toHaveLength(2);
  });

  test('the signal ends it at once, also when the request has lost sight of it', async () => {
    const cancelled = jest.fn();
    const deaf = new ReadableStream<Uint8Array>({
      start: (body) => body.enqueue(new TextEncoder().encode(`event: log\ndata: ${JSON.stringify(chunk(1))}\n\n`)),
      cancel: cancelled,
    });
    const abort = new AbortController();
    const states: string[] = [];
    const source = { url: '', what: 'x', events: logEvents, open: () => Promise.resolve(deaf) };
    const options = { signal: abort.signal, onConnection: (state: string) => void states.push(state) };
    for await (const { event } of follow(source, options)) {
      expect(event).toBe('log');
      setImmediate(() => abort.abort());
    }
    expect(states).toEqual([]);
    expect(cancelled).toHaveBeenCalled();
  });

  test('who stops reading closes the connection, and what the reader throws is no broken line', async () => {
    const closed: Promise<void>[] = [];
    const { server: fake, client } = await serve({
      [path]: ({ response }) => {
        closed.push(new Promise((resolve) => response.once('close', resolve)));
        openSse(response)(log(1));
      },
    });
    await expect(async () => {
      for await (const _ of client.deployments.logs.stream({ params })) throw new TypeError('ours');
    }).rejects.toThrow('ours');
    await closed[0];
    expect(fake.calls).toHaveLength(1);
  });

  test('a server that stays away is given up', async () => {
    const { server: fake, client } = await serve({ [path]: ({ response }) => void openSse(response)(log(1)) });
    const events = client.deployments.logs.stream({ params }, { waitMs, giveUpAfterMs: 0 });
    await events.next();
    await fake.close();
    await expect(read(events)).rejects.toMatchObject({ code: 'unreachable' });
  });
});
