import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { sql } from 'kysely';
import type { Deployment, Environment, EventData, LogChunk, NodeRun } from '../model/index.ts';
import { announceProgress, appendLog, createEnvironment, recordEvent } from '../store/index.ts';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';
import { openStream } from './sse.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
}, 60_000);
afterAll(() => api.close());

interface Message {
  readonly id: number | null;
  readonly event: string;
  readonly data: Record<string, unknown> & { status?: string };
}

interface Reader {
  /** The next message that is not a comment. */
  next(): Promise<Message>;
  /** All messages up to and with the first of this kind. */
  until(event: string): Promise<Message[]>;
  /** Everything up to the end of the stream. */
  rest(): Promise<Message[]>;
  close(): void;
}

async function follow(path: string, headers: Record<string, string> = {}): Promise<Reader> {
  const abort = new AbortController();
  const response = await fetch(`${api.url}/api/v1/${path}`, {
    headers: { authorization: `Bearer ${api.token}`, accept: 'text/event-stream', ...headers },
    signal: abort.signal,
  });
  expect(response.headers.get('content-type')).toMatch('text/event-stream');
  const reader = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  async function nextOrEnd(): Promise<Message | null> {
    const { done, value } = await reader.read();
    if (done) return null;
    const { id, event = 'message', data } = value;
    return { id: id === undefined ? null : Number(id), event, data: JSON.parse(data) as Message['data'] };
  }
  async function next(): Promise<Message> {
    const message = await nextOrEnd();
    if (message === null) throw new Error('the stream has ended');
    return message;
  }
  return {
    next,
    async until(event) {
      const messages: Message[] = [];
      for (;;) {
        const message = await next();
        messages.push(message);
        if (message.event === event) return messages;
      }
    },
    async rest() {
      const messages: Message[] = [];
      for (let message = await nextOrEnd(); message !== null; message = await nextOrEnd()) messages.push(message);
      return messages;
    },
    close: () => abort.abort(),
  };
}

async function running(name: string): Promise<{ root: Environment; node: Environment; deployment: Deployment }> {
  const root = await api.environment(name);
  const node = await createEnvironment(api.db.sql, {
    projectId: root.projectId,
    name: 'VPC',
    templateId: root.templateId,
    parent: { id: root.id, alias: 'vpc' },
    settings: root.settings,
  });
  const { body } = await api.call<Deployment>('POST', `environments/${name}/deployments`, { body: {} });
  await api.db.sql
    .updateTable('deployments')
    .set({ status: 'running', started_at: new Date() })
    .where('id', '=', body.id)
    .execute();
  await api.db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: body.id,
      index: 0,
      alias: 'vpc',
      name: 'VPC',
      environment_id: node.id,
      action: 'deploy',
      status: 'running',
      started_at: new Date(),
    })
    .execute();
  return { root, node, deployment: body };
}

const nodeEvent = (deployment: Deployment, node: Environment, data: object) =>
  recordEvent(api.db.sql, {
    type: 'node.status',
    environmentId: node.id,
    deploymentId: deployment.id,
    alias: 'vpc',
    data: data as EventData<'node.status'>,
  });

async function finish(deployment: Deployment): Promise<void> {
  await api.db.transaction(async (tx) => {
    await tx
      .updateTable('deployments')
      .set({ status: 'succeeded', finished_at: new Date() })
      .where('id', '=', deployment.id)
      .execute();
    await recordEvent(tx, {
      type: 'deployment.status',
      environmentId: deployment.environmentId,
      deploymentId: deployment.id,
      alias: null,
      data: { status: 'succeeded' },
    });
  });
}

describe('following a deployment', () => {
  test('begins with a snapshot, tells what happens in order, and ends with the run', async () => {
    const { deployment, node } = await running('followed');
    const stream = await follow(`deployments/${deployment.id}/events`);
    const snapshot = await stream.next();
    expect(snapshot).toMatchObject({
      event: 'snapshot',
      data: { deployment: { id: deployment.id, status: 'running' }, nodes: [{ alias: 'vpc', status: 'running' }] },
    });
    for (const n of [1, 2, 3]) await nodeEvent(deployment, node, { index: 0, status: 'running', try: n });
    await finish(deployment);
    const messages = await stream.rest();
    expect(messages.map(({ event }) => event)).toEqual([
      'node.status',
      'node.status',
      'node.status',
      'deployment.status',
      'snapshot',
      'end',
    ]);
    expect(messages.slice(0, 3).map(({ data }) => (data['data'] as { try: number }).try)).toEqual([1, 2, 3]);
    expect(messages.at(-1)).toMatchObject({ data: { status: 'succeeded' }, id: messages[3]?.id });
  });

  test('goes on where it was cut, without a gap or a repetition', async () => {
    const { deployment, node } = await running('resumed');
    const first = await follow(`deployments/${deployment.id}/events`);
    await first.next();
    for (let n = 1; n <= 20; n++) await nodeEvent(deployment, node, { index: 0, status: 'running', try: n });
    const seen: Message[] = [];
    while (seen.length < 7) seen.push(await first.next());
    first.close();
    await nodeEvent(deployment, node, { index: 0, status: 'succeeded', try: 21 });
    await finish(deployment);
    for (const [path, headers] of [
      ['', { 'last-event-id': String(seen.at(-1)?.id) }],
      [`?after=${seen.at(-1)?.id}`, {}],
      ['?after=0', { 'last-event-id': String(seen.at(-1)?.id) }],
    ] as const) {
      const second = await follow(`deployments/${deployment.id}/events${path}`, headers);
      const [snapshot, ...rest] = await second.rest();
      expect(snapshot).toMatchObject({ event: 'snapshot', id: seen.at(-1)?.id });
      const tries = [...seen, ...rest]
        .filter(({ event }) => event === 'node.status')
        .map(({ data }) => (data['data'] as { try: number }).try);
      expect(tries).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
      expect(rest.at(-1)?.event).toBe('end');
    }
  });

  test('of a finished run it is short; from 0 it is the whole story', async () => {
    const { deployment, node } = await running('over');
    await nodeEvent(deployment, node, { index: 0, status: 'succeeded' });
    await finish(deployment);
    expect((await (await follow(`deployments/${deployment.id}/events`)).rest()).map(({ event }) => event)).toEqual([
      'snapshot',
      'end',
    ]);
    const whole = await (await follow(`deployments/${deployment.id}/events?after=0`)).rest();
    expect(whole.filter(({ event }) => event !== 'snapshot').map(({ event }) => event)).toEqual([
      'deployment.status',
      'node.status',
      'deployment.status',
      'end',
    ]);
  });

  test('tells how far tools are', async () => {
    const { deployment, root } = await running('progress');
    const stream = await follow(`deployments/${deployment.id}/events`);
    await stream.next();
    await announceProgress(
      api.db.sql,
      { deploymentId: deployment.id, index: 0, compensation: false },
      { alias: 'vpc', entityId: root.id },
      { text: '3 of 5 resources', keep: true },
    );
    expect(await stream.next()).toEqual({
      id: null,
      event: 'progress',
      data: { index: 0, alias: 'vpc', progress: '3 of 5 resources' },
    });
    stream.close();
    await api.db.sql
      .updateTable('node_runs')
      .set({ status: 'running' })
      .where('deployment_id', '=', deployment.id)
      .execute();
    const nodes = await api.call<{ items: NodeRun[] }>('GET', `deployments/${deployment.id}/nodes`);
    expect(nodes.body.items[0]?.progress).toBe('3 of 5 resources');
  });

  test('many followers share one listener on the database', async () => {
    const { deployment, node } = await running('shared');
    const listen = jest.spyOn(api.db, 'listen');
    const streams = await Promise.all(Array.from({ length: 12 }, () => follow(`deployments/${deployment.id}/events`)));
    await Promise.all(streams.map((stream) => stream.next()));
    await nodeEvent(deployment, node, { index: 0, status: 'failed' });
    expect(
      (await Promise.all(streams.map((stream) => stream.next()))).every(({ event }) => event === 'node.status'),
    ).toBe(true);
    expect(listen.mock.calls.length).toBeLessThanOrEqual(2);
    listen.mockRestore();
    for (const stream of streams) stream.close();
  });

  test.each([
    ['a Last-Event-ID that is no number', '', { 'last-event-id': 'abc' }, 400],
    ['a negative one', '', { 'last-event-id': '-1' }, 400],
    ['an after that is no number', '?after=abc', {}, 400],
    ['an unknown parameter', '?since=1', {}, 400],
    ['another media type', '', { accept: 'image/png' }, 406],
  ])('%s is a problem, not a stream', async (_name, query, headers, status) => {
    const { items } = (await api.call<{ items: Deployment[] }>('GET', 'deployments?limit=1')).body;
    const answer = await api.call('GET', `deployments/${items[0]?.id ?? ''}/events${query}`, {
      headers: { accept: 'text/event-stream', ...headers },
    });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
  });

  test('it takes a key that may view', async () => {
    const { items } = (await api.call<{ items: Deployment[] }>('GET', 'deployments?limit=1')).body;
    const path = `deployments/${items[0]?.id ?? ''}/events`;
    expect((await api.call('GET', path, { token: null })).status).toBe(401);
    expect((await api.call('GET', path, { token: await api.key(['view@prj_other']) })).status).toBe(404);
  });
});

describe('following an environment', () => {
  test('tells of it and its nodes, and of nothing else', async () => {
    const { root, node, deployment } = await running('watched');
    const other = await running('not-watched');
    const stream = await follow('environments/watched/events');
    expect(await stream.next()).toMatchObject({ event: 'snapshot', data: { environment: { id: root.id } } });
    await nodeEvent(other.deployment, other.node, { index: 0, status: 'failed' });
    await nodeEvent(deployment, node, { index: 0, status: 'succeeded' });
    expect(await stream.next()).toMatchObject({
      event: 'node.status',
      data: { environmentId: node.id, deploymentId: deployment.id },
    });
    stream.close();
    const page = await api.call<{ items: { id: number }[]; next: string | null }>(
      'GET',
      'environments/watched/events?limit=1',
      { headers: { accept: 'application/json' } },
    );
    expect(page.body.items).toHaveLength(1);
    const second = await api.call<{ items: { id: number }[] }>(
      'GET',
      `environments/watched/events?cursor=${page.body.next}`,
      { headers: { accept: 'application/json' } },
    );
    expect(second.body.items[0]?.id).toBeGreaterThan(page.body.items[0]?.id ?? Infinity);
  });
});

describe('logs', () => {
  const write = (deployment: Deployment, index: number, stage: 'init' | 'plan' | 'apply', text: string) =>
    appendLog(api.db.sql, { deploymentId: deployment.id, index, compensation: false, try: 1 }, [{ stage, text }]);

  test('come as pages, as text grouped by node, and live', async () => {
    const { deployment, node } = await running('logged');
    await api.db.sql
      .insertInto('node_runs')
      .values({
        deployment_id: deployment.id,
        index: 1,
        alias: 'db',
        name: 'DB',
        environment_id: node.id,
        action: 'deploy',
        status: 'running',
        started_at: new Date(Date.now() + 1000),
      })
      .execute();
    await write(deployment, 0, 'init', 'vpc init\n');
    await write(deployment, 1, 'init', 'db init\n');
    await write(deployment, 0, 'apply', 'vpc apply\n');

    const pages: LogChunk[] = [];
    let cursor: string | null = null;
    do {
      const page: { body: { items: LogChunk[]; next: string | null } } = await api.call(
        'GET',
        `deployments/${deployment.id}/logs?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`,
      );
      pages.push(...page.body.items);
      cursor = page.body.next;
    } while (cursor !== null);
    expect(pages.map(({ text }) => text)).toEqual(['vpc init\n', 'db init\n', 'vpc apply\n']);
    const only = await api.call<{ items: LogChunk[] }>('GET', `deployments/${deployment.id}/logs?node=vpc&stage=apply`);
    expect(only.body.items).toMatchObject([{ alias: 'vpc', stage: 'apply', text: 'vpc apply\n' }]);
    expect((await api.call('GET', `deployments/${deployment.id}/logs?format=text`)).text).toBe(
      '== vpc\nvpc init\nvpc apply\n== db\ndb init\n',
    );
    expect((await api.call('GET', `deployments/${deployment.id}/logs?format=text&node=db`)).text).toBe('db init\n');
    expect((await api.call('GET', `deployments/${deployment.id}/logs?stage=cooking`)).status).toBe(400);

    const live = await follow(`deployments/${deployment.id}/logs?follow=true&node=vpc`);
    expect([await live.next(), await live.next()].map(({ data }) => data['text'])).toEqual([
      'vpc init\n',
      'vpc apply\n',
    ]);
    await write(deployment, 0, 'apply', 'done\n');
    const last = await live.next();
    expect(last).toMatchObject({ event: 'log', data: { text: 'done\n' } });
    await finish(deployment);
    expect((await live.rest()).map(({ event }) => event)).toEqual(['end']);
    const again = await follow(`deployments/${deployment.id}/logs?follow=true&node=vpc`, {
      'last-event-id': String(last.id),
    });
    expect((await again.rest()).map(({ event }) => event)).toEqual(['end']);
  });
});

describe('a reader that does not read', () => {
  test('holds one message and not a growing queue, and gets the rest once it reads', async () => {
    const message = { event: 'big', data: 'x'.repeat(1024 * 1024) };
    let sent = 0;
    let stopped: (() => void) | undefined;
    const stalled = new Promise<void>((resolve) => (stopped = resolve));
    const server = createServer((_request, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      const stream = openStream(
        Object.assign(response, {
          set: (headers: Record<string, string>) =>
            Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
          status: () => response,
        }) as never,
        gone.signal,
      );
      void (async () => {
        for (let i = 0; i < 64; i++) {
          const pending = stream.send(message);
          if (response.writableNeedDrain) stopped?.();
          await pending;
          sent++;
        }
        stream.end();
      })();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await stalled;
    expect(sent).toBeLessThan(64);
    socket.resume();
    await once(socket, 'end');
    socket.end();
    server.close();
    expect(sent).toBe(64);
  });
});

test('events of a transaction that is undone are never told', async () => {
  const { deployment, node } = await running('undone');
  const stream = await follow(`deployments/${deployment.id}/events`);
  await stream.next();
  await api.db
    .transaction(async (tx) => {
      await recordEvent(tx, {
        type: 'node.status',
        environmentId: node.id,
        deploymentId: deployment.id,
        alias: 'vpc',
        data: { status: 'failed', index: 0 },
      });
      throw new Error('undone');
    })
    .catch(() => undefined);
  await sql`SELECT pg_notify('windlass_events', '{}')`.execute(api.db.sql);
  await nodeEvent(deployment, node, { index: 0, status: 'succeeded' });
  expect(await stream.next()).toMatchObject({ event: 'node.status', data: { data: { status: 'succeeded' } } });
  stream.close();
});
