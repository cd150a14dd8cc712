import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import type { KyselyPlugin } from 'kysely';
import type { Database } from '../store/index.ts';
import { lockBody, resource, openTestDatabase, startStateServer, stateText } from './testing.ts';
import type { StateServer } from './testing.ts';

jest.setTimeout(60_000);
let db: Database;
let server: StateServer;
beforeAll(async () => {
  db = await openTestDatabase();
  server = await startStateServer(db, { keepVersions: 3 });
}, 60_000);
afterAll(async () => {
  await server.close();
  await db.close();
});

async function versions(environmentId: string): Promise<number[]> {
  return (await server.store.listVersions({ environmentId, limit: 50 })).items.map(({ serial }) => serial);
}

describe('one apply', () => {
  test('locks, reads, saves, unlocks', async () => {
    const client = await server.newClient();
    expect((await client.get()).status).toBe(204);
    expect((await client.lock('a')).status).toBe(200);
    const body = stateText({ serial: 1, resources: [resource('x', { secret: 'hunter2' })] });
    expect((await client.post('a', body)).status).toBe(200);
    expect((await client.unlock('a')).status).toBe(200);
    const read = await client.get();
    expect(read.status).toBe(200);
    expect(read.text).toBe(body);
    expect(read.headers.get('content-md5')).toBe(createHash('md5').update(body).digest('base64'));
    expect(await server.store.latest(client.environmentId)).toMatchObject({ serial: 1, lineage: 'lineage-1' });
    const { items } = await server.store.listVersions({ environmentId: client.environmentId, limit: 10 });
    expect(items).toMatchObject([
      { serial: 1, resources: 1, size: Buffer.byteLength(body), deploymentId: client.deploymentId },
    ]);
    const row = await db.sql
      .selectFrom('state_versions')
      .select('body')
      .where('environment_id', '=', client.environmentId)
      .executeTakeFirstOrThrow();
    expect(Buffer.from(row.body).includes('hunter2')).toBe(false);
    expect(await server.store.lockOf(client.environmentId)).toBeNull();
  });
});

describe('who may use a state', () => {
  test('nobody without a grant, with a wrong token, or with a grant for another environment', async () => {
    const client = await server.newClient();
    const other = await server.newClient();
    const as = (id: string, token: string) => ({
      authorization: `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}`,
    });
    const attempts = [
      { authorization: '' },
      { authorization: 'Bearer x' },
      as(client.grantId, 'wrong'),
      as(client.grantId, `${client.token}x`),
      as('grant_000000000000000000000000', client.token),
      as("' OR 1=1 --", client.token),
      as(other.grantId, other.token),
    ];
    for (const headers of attempts) {
      for (const method of ['GET', 'LOCK', 'POST', 'DELETE', 'UNLOCK']) {
        const body = method === 'GET' ? undefined : lockBody('a');
        const answer = await client.request(method, { headers, ...(body ? { body } : {}) });
        expect([method, headers, answer.status]).toEqual([method, headers, 401]);
      }
    }
    expect(await server.store.lockOf(client.environmentId)).toBeNull();
  });

  test('a server that did not make the grant knows it too', async () => {
    const client = await server.newClient();
    const second = await startStateServer(db);
    try {
      const address = `${second.url}/${client.environmentId}`;
      const authorization = `Basic ${Buffer.from(`${client.grantId}:${client.token}`).toString('base64')}`;
      expect((await fetch(address, { headers: { authorization } })).status).toBe(204);
      await server.store.fenceGrant(client.grantId);
      expect((await fetch(address, { headers: { authorization } })).status).toBe(403);
    } finally {
      await second.close();
    }
  });

  test('a grant that only reads may read, and nothing else', async () => {
    const writer = await server.newClient();
    await writer.lock('a');
    await writer.post('a', stateText({ serial: 1 }));
    const reader = await server.newClient({ environmentId: writer.environmentId, readOnly: true });
    expect((await reader.get()).status).toBe(200);
    for (const answer of [
      await reader.lock('b'),
      await reader.post('a', stateText({ serial: 2 })),
      await reader.unlock('a'),
      await reader.request('DELETE'),
    ]) {
      expect(answer.status).toBe(403);
      expect(answer.text).toContain('may only read');
    }
    expect(await versions(writer.environmentId)).toEqual([1]);
    expect(await server.store.lockOf(writer.environmentId)).toMatchObject({ lockId: 'a' });
  });

  test('a fenced grant may do nothing, and hears why', async () => {
    const client = await server.newClient();
    await client.lock('a');
    await client.post('a', stateText({ serial: 1 }));
    expect(await server.store.fenceRun({ deploymentId: client.deploymentId, index: 0, compensation: true })).toEqual(
      [],
    );
    expect(await server.store.fenceRun({ deploymentId: client.deploymentId, index: 0, compensation: false })).toEqual([
      client.grantId,
    ]);
    const answers = [
      await client.get(),
      await client.post('a', stateText({ serial: 2 })),
      await client.unlock('a'),
      await client.lock('b'),
      await client.request('DELETE'),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(403);
      expect(answer.text).toContain('taken its access away');
    }
    expect(await versions(client.environmentId)).toEqual([1]);
    expect(await server.store.lockOf(client.environmentId)).toMatchObject({ lockId: 'a', grantId: client.grantId });
  });
});

describe('the lock', () => {
  test('is held by one grant; others see who has it', async () => {
    const first = await server.newClient();
    const second = await server.newClient({ environmentId: first.environmentId });
    expect((await first.lock('a')).status).toBe(200);
    expect((await first.lock('a')).status).toBe(200);
    const refused = await second.lock('b');
    expect(refused.status).toBe(423);
    expect(JSON.parse(refused.text)).toMatchObject({
      ID: 'a',
      Who: 'ada@host',
      Operation: 'OperationTypeApply',
      Info: `Windlass deployment ${first.deploymentId}`,
    });
    expect((await second.lock('a')).status).toBe(423);
    expect((await first.lock('c')).status).toBe(423);
    expect((await first.unlock('a')).status).toBe(200);
    expect((await second.lock('b')).status).toBe(200);
  });

  test('is given to one of many that ask at once', async () => {
    const environmentId = await server.newEnvironment();
    const clients = await Promise.all(Array.from({ length: 10 }, () => server.newClient({ environmentId })));
    const answers = await Promise.all(clients.map((client, i) => client.lock(`lock-${i}`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 423)]);
  });

  test('is only freed by its holder, with its id; freeing nothing is fine', async () => {
    const first = await server.newClient();
    const second = await server.newClient({ environmentId: first.environmentId });
    expect((await first.unlock('a')).status).toBe(200);
    await first.lock('a');
    for (const answer of [await first.unlock('b'), await second.unlock('a'), await first.request('UNLOCK')]) {
      expect(answer.status).toBe(409);
      expect(answer.text).toContain('with lock a');
    }
    expect(await server.store.lockOf(first.environmentId)).toMatchObject({ lockId: 'a' });
  });

  test('is needed to save: the same grant, the same id', async () => {
    const first = await server.newClient();
    const second = await server.newClient({ environmentId: first.environmentId });
    const body = stateText({ serial: 1 });
    expect((await first.post('a', body)).status).toBe(423);
    expect((await first.request('POST', { body })).status).toBe(423);
    await first.lock('a');
    for (const answer of [
      await first.post('b', body),
      await second.post('a', body),
      await first.request('POST', { body }),
      await second.request('DELETE'),
    ]) {
      expect(answer.status).toBe(423);
    }
    expect((await second.post('a', body)).text).toContain('is locked for deployment');
    expect(await versions(first.environmentId)).toEqual([]);
  });

  test('with a body that is none is refused', async () => {
    const client = await server.newClient();
    for (const body of ['', '{', '[]', '{"ID":""}', '{"ID":5}', `{"ID":"${'x'.repeat(300)}"}`]) {
      expect((await client.request('LOCK', { body })).status).toBe(400);
    }
    expect((await client.request('LOCK', { body: 'x'.repeat(70_000) })).status).toBe(413);
    expect((await client.request('LOCK', { body: JSON.stringify({ ID: 'a', Who: 'nul\0' }) })).status).toBe(200);
  });
});

describe('a version', () => {
  test('follows the one before it, or is refused with the reason', async () => {
    const client = await server.newClient();
    await client.lock('a');
    expect((await client.post('a', stateText({ serial: 5 }))).status).toBe(200);
    expect((await client.post('a', stateText({ serial: 5 }))).status).toBe(200);
    const cases = [
      [stateText({ serial: 4 }), 'serial 5 is kept already, and serial 4 was sent'],
      [stateText({ serial: 5, outputs: { a: 1 } }), 'serial 5 is kept already'],
      [stateText({ serial: 6, lineage: 'other' }), 'its lineage is lineage-1, but other was sent'],
    ] as const;
    for (const [body, reason] of cases) {
      const answer = await client.post('a', body);
      expect(answer.status).toBe(409);
      expect(answer.text).toContain(reason);
    }
    expect(await versions(client.environmentId)).toEqual([5]);
    expect((await client.post('a', stateText({ serial: 6 }))).status).toBe(200);
    expect(await versions(client.environmentId)).toEqual([6, 5]);
  });

  test.each([
    ['no JSON', 'hello', 'it is not JSON'],
    ['nothing', '', 'it is not JSON'],
    ['no object', '[1]', 'not a Terraform or OpenTofu state'],
    ['no lineage', '{"serial":1}', 'lineage'],
    ['a serial that is text', '{"serial":"1","lineage":"a"}', 'serial'],
    ['a serial below zero', '{"serial":-1,"lineage":"a"}', 'serial'],
    ['resources that are none', '{"serial":1,"lineage":"a","resources":[{"mode":"managed"}]}', 'resources.0.type'],
  ])('with %s is refused', async (_, body, reason) => {
    const client = await server.newClient();
    await client.lock('a');
    const answer = await client.post('a', body);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(reason);
    expect(await versions(client.environmentId)).toEqual([]);
  });

  test('that is not UTF-8, was damaged or compressed is refused', async () => {
    const client = await server.newClient();
    await client.lock('a');
    const body = stateText({ serial: 1 });
    const damaged = await client.request('POST', {
      query: '?ID=a',
      body,
      headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' },
    });
    expect(damaged.status).toBe(400);
    expect(damaged.text).toContain('damaged');
    expect(
      (await client.request('POST', { query: '?ID=a', body, headers: { 'content-encoding': 'gzip' } })).status,
    ).toBe(400);
    const md5 = createHash('md5').update(body).digest('base64');
    expect((await client.request('POST', { query: '?ID=a', body, headers: { 'content-md5': md5 } })).status).toBe(200);
  });

  test('that says it is larger than 64 MiB is refused before it is sent', async () => {
    const client = await server.newClient();
    const { port, pathname } = new URL(client.address);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', reject);
      socket.once('data', (data) => {
        resolve(String(data));
        socket.destroy();
      });
      const authorization = Buffer.from(`${client.grantId}:${client.token}`).toString('base64');
      socket.write(
        `POST ${pathname}?ID=a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${authorization}\r\nContent-Type: application/json\r\nContent-Length: ${65 * 1024 ** 2}\r\n\r\n`,
      );
    });
    expect(answer).toContain('413');
    expect(answer).toContain('larger than 64 MiB');
    expect(answer).toContain('Connection: close');
  });

  test('goes when there are too many, oldest first', async () => {
    const client = await server.newClient();
    await client.lock('a');
    for (let serial = 1; serial <= 6; serial++) await client.post('a', stateText({ serial }));
    expect(await versions(client.environmentId)).toEqual([6, 5, 4]);
  });

  test('that was saved can be removed, and another stack may begin', async () => {
    const client = await server.newClient();
    await client.lock('a');
    await client.post('a', stateText({ serial: 3 }));
    expect((await client.request('DELETE')).status).toBe(200);
    expect((await client.get()).status).toBe(204);
    expect(await server.store.latest(client.environmentId)).toBeNull();
    expect((await client.post('a', stateText({ serial: 0, lineage: 'new' }))).status).toBe(200);
    expect((await client.get()).status).toBe(200);
  });

  test('is one of two when the holder saves twice at once', async () => {
    const client = await server.newClient();
    await client.lock('a');
    const answers = await Promise.all([
      client.post('a', stateText({ serial: 1 })),
      client.post('a', stateText({ serial: 1, outputs: { x: 1 } })),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(await versions(client.environmentId)).toEqual([1]);
  });
});

test('other methods are told what is spoken', async () => {
  const client = await server.newClient();
  const answer = await client.request('PUT', { body: 'x' });
  expect(answer.status).toBe(405);
  expect(answer.headers.get('allow')).toContain('LOCK');
});

test('one apply costs five statements', async () => {
  const statements: string[] = [];
  const counting: KyselyPlugin = {
    transformQuery({ node }) {
      statements.push(node.kind);
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  };
  const counted = await startStateServer({ ...db, sql: db.sql.withPlugin(counting) });
  try {
    const client = await counted.newClient();
    statements.length = 0;
    const answers = [
      await client.lock('a'),
      await client.get(),
      await client.post('a', stateText({ serial: 1 })),
      await client.unlock('a'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 204, 200, 200]);
    expect(statements).toHaveLength(5);
  } finally {
    await counted.close();
  }
});
