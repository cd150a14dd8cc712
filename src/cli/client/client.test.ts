import fc from 'fast-check';
import { z } from 'zod';
import type { FakeServer } from '../testing/fake-server.test-support.ts';
import { openSse, page, problem, startFakeServer } from '../testing/fake-server.test-support.ts';
import { createClient } from './api-client.ts';
import { createSseParser } from './sse.ts';
import type { SseMessage } from './sse.ts';
import { followStream } from './stream.ts';

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(routes: Parameters<typeof startFakeServer>[0]) {
  server = await startFakeServer(routes);
  return { server, client: createClient({ url: server.url, token: 'secret-key' }) };
}

describe('the parser of event streams', () => {
  const parse = (...pieces: string[]): SseMessage[] => {
    const messages: SseMessage[] = [];
    const take = createSseParser((message) => messages.push(message));
    for (const piece of pieces) take(piece);
    return messages;
  };

  test('ids last, events do not, comments are nothing, data of several lines is one', () => {
    expect(parse('id: 7\nevent: node.status\ndata: a\ndata: b\n\n', ': still here\n\n', 'data:c\n\n')).toEqual([
      { id: '7', event: 'node.status', data: 'a\nb' },
      { id: '7', event: 'message', data: 'c' },
    ]);
  });

  test('pieces may end anywhere, lines in any of the three ways', () => {
    const stream = 'id: 1\r\nevent: x\r\ndata: {"a":1}\r\n\r\nid: 2\rdata: two\r\rdata: ü\n\n ';
    const whole = parse(stream);
    expect(whole).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
        expect(parse(...at.slice(1).map((end, i) => stream.slice(at[i], end)))).toEqual(whole);
      }),
    );
  });
});

describe('calls', () => {
  test('carry the key, and names with slashes and spaces arrive whole', async () => {
    const { server: fake, client } = await serve({ 'GET /environments/my%20shop%2Feks': () => ({ ok: true }) });
    await client.get(`environments/${encodeURIComponent('my shop/eks')}`, z.object({ ok: z.boolean() }));
    expect(fake.calls[0]?.headers.authorization).toBe('Bearer secret-key');
  });

  test('a mutation whose line breaks is repeated under the same key', async () => {
    const keys: unknown[] = [];
    const { client } = await serve({
      'POST /things': ({ headers, request }) => {
        keys.push(headers['idempotency-key']);
        if (keys.length > 1) return { ok: true };
        request.socket.destroy();
        return undefined;
      },
    });
    await expect(client.post('things', z.object({ ok: z.boolean() }), {})).resolves.toEqual({ ok: true });
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  test('lists follow their pages up to the limit', async () => {
    const { server: fake, client } = await serve({
      'GET /numbers': ({ line }) => (line.includes('cursor=two') ? page(3, 4) : { items: [1, 2], next: 'two' }),
    });
    expect(await client.list('numbers', z.number(), { query: { name: 'a b' } })).toEqual({
      items: [1, 2, 3, 4],
      more: false,
    });
    expect(await client.list('numbers', z.number(), { limit: 2 })).toEqual({ items: [1, 2], more: true });
    expect(fake.lines()[0]).toBe('GET /numbers?name=a+b&limit=200');
  });

  test('what the server says of a failure passes through', async () => {
    const { client } = await serve({
      'GET /x': ({ response }) =>
        problem(response, 409, 'ambiguous', '"sh" could be shop or shoe', 'use the whole name'),
      'GET /y': ({ response }) => problem(response, 403, 'forbidden', 'this key may only look'),
    });
    await expect(client.get('x', z.unknown())).rejects.toMatchObject({
      message: '"sh" could be shop or shoe',
      hint: 'use the whole name',
      exitCode: 2,
    });
    await expect(client.get('y', z.unknown())).rejects.toMatchObject({ exitCode: 3 });
  });

  test('an answer of another shape is told as what it is', async () => {
    const { client } = await serve({
      'GET /x': () => ({ id: 7 }),
      'GET /html': ({ response }) => void response.end('<html>'),
    });
    await expect(client.get('x', z.object({ id: z.string() }))).rejects.toThrow(
      'the answer to GET x is not understood: id:',
    );
    await expect(client.get('html', z.unknown())).rejects.toThrow('is not JSON');
  });

  test('a server that is not there is named, with what to do', async () => {
    const { server: fake, client } = await serve({});
    await fake.close();
    await expect(client.get('x', z.unknown())).rejects.toMatchObject({
      message: expect.stringMatching(/^cannot reach http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/),
      hint: expect.stringContaining('windlass up'),
      exitCode: 1,
    });
  });

  test('the key is not carried to wherever a redirect points', async () => {
    const { server: fake, client } = await serve({
      'GET /x': ({ response }) => void response.writeHead(302, { location: '/api/v1/y' }).end(),
      'GET /y': () => ({}),
    });
    await expect(client.get('x', z.unknown())).rejects.toThrow();
    expect(fake.lines().every((line) => line === 'GET /x')).toBe(true);
  });
});

describe('following a stream', () => {
  test('a line that breaks is met by connecting again after the last event seen', async () => {
    const resumed: unknown[] = [];
    const { client } = await serve({
      'GET /events': ({ headers, response }) => {
        resumed.push(headers['last-event-id']);
        const send = openSse(response);
        if (resumed.length === 1) {
          send({ id: 1, data: 'one' });
          send({ id: 2, data: 'two' });
          setImmediate(() => response.destroy());
        } else {
          send({ id: 3, data: 'three' });
          send({ event: 'end', data: {} });
        }
        return undefined;
      },
    });
    const seen: string[] = [];
    await followStream({
      client,
      path: 'events',
      signal: new AbortController().signal,
      waitMs: { first: 1, longest: 2 },
      onConnection: (state) => seen.push(state),
      onMessage: (message) => {
        if (message.event !== 'end') seen.push(message.data);
        return message.event === 'end';
      },
    });
    expect(seen).toEqual(['"one"', '"two"', 'lost', 'back', '"three"']);
    expect(resumed).toEqual([undefined, '2']);
  });

  test('a server that is away for a while is waited for, also behind a proxy', async () => {
    let calls = 0;
    const { client } = await serve({
      'GET /events': ({ response }) => {
        calls++;
        if (calls === 1) return void response.writeHead(502).end('<html>bad gateway</html>');
        if (calls === 2) return problem(response, 503, 'unavailable', 'the database cannot be reached');
        openSse(response)({ event: 'end', data: {} });
        return undefined;
      },
    });
    const states: string[] = [];
    await followStream({
      client,
      path: 'events',
      signal: new AbortController().signal,
      waitMs: { first: 1, longest: 2 },
      onConnection: (state) => states.push(state),
      onMessage: (message) => message.event === 'end',
    });
    expect(states).toEqual(['lost', 'back']);
  });

  test('a refusal ends it at once', async () => {
    const { server: fake, client } = await serve({
      'GET /events': ({ response }) => problem(response, 404, 'notFound', 'there is no such deployment'),
    });
    const options = {
      client,
      path: 'events',
      signal: new AbortController().signal,
      onConnection: () => undefined,
      onMessage: () => false,
    };
    await expect(followStream(options)).rejects.toThrow('there is no such deployment');
    expect(fake.calls).toHaveLength(1);
  });

  test('the signal ends it at once, also when the request has lost sight of it', async () => {
    const { client } = await serve({});
    const cancelled = jest.fn();
    const deaf = new ReadableStream<Uint8Array>({
      start: (body) => body.enqueue(new TextEncoder().encode('data: one\n\n')),
      cancel: cancelled,
    });
    const abort = new AbortController();
    const states: string[] = [];
    await followStream({
      client: { ...client, open: () => Promise.resolve(deaf) },
      path: 'events',
      signal: abort.signal,
      onConnection: (state) => states.push(state),
      onMessage: () => {
        setImmediate(() => abort.abort());
        return false;
      },
    });
    expect(states).toEqual([]);
    expect(cancelled).toHaveBeenCalled();
  });

  test('what the receiver throws is no broken line', async () => {
    const { server: fake, client } = await serve({
      'GET /events': ({ response }) => void openSse(response)({ data: 'x' }),
    });
    const options = {
      client,
      path: 'events',
      signal: new AbortController().signal,
      onConnection: () => undefined,
      onMessage: () => {
        throw new TypeError('ours');
      },
    };
    await expect(followStream(options)).rejects.toThrow('ours');
    expect(fake.calls).toHaveLength(1);
  });
});
