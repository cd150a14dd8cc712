import { sql } from 'kysely';
import { readEvents } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { actor, resource, openTestDatabase, startStateServer, stateText } from './testing.ts';
import type { Client, StateServer } from './testing.ts';
import { withSerial } from './state-file.ts';

jest.setTimeout(60_000);
let db: Database;
let server: StateServer;
beforeAll(async () => {
  db = await openTestDatabase();
  server = await startStateServer(db);
}, 60_000);
afterAll(async () => {
  await server.close();
  await db.close();
});

/** Saves these states one after the other and answers the ids of their versions, oldest first. */
async function save(client: Client, ...texts: string[]): Promise<number[]> {
  await client.lock('save');
  for (const text of texts) expect(await client.post('save', text)).toMatchObject({ status: 200 });
  await client.unlock('save');
  const { items } = await server.store.listVersions({ environmentId: client.environmentId, limit: 50 });
  return items.map(({ id }) => id).reverse();
}

test('versions are listed in pages, newest first', async () => {
  const client = await server.newClient();
  await save(client, ...[1, 2, 3, 4, 5].map((serial) => stateText({ serial })));
  const { environmentId } = client;
  const first = await server.store.listVersions({ environmentId, limit: 2 });
  expect(first.items.map(({ serial }) => serial)).toEqual([5, 4]);
  const second = await server.store.listVersions({ environmentId, limit: 2, cursor: first.next });
  expect(second.items.map(({ serial }) => serial)).toEqual([3, 2]);
  const third = await server.store.listVersions({ environmentId, limit: 2, cursor: second.next });
  expect(third).toMatchObject({ items: [{ serial: 1 }], next: null });
  await expect(server.store.listVersions({ environmentId, limit: 2, cursor: 'x' })).rejects.toMatchObject({
    code: 'invalidInput',
  });
});

test('a version is read only through its own environment', async () => {
  const client = await server.newClient();
  const [id = 0] = await save(client, stateText({ serial: 1 }));
  const found = await server.store.readVersion({ environmentId: client.environmentId, versionId: id });
  expect(Buffer.from(found.body).toString()).toBe(stateText({ serial: 1 }));
  const environmentId = await server.newEnvironment();
  await expect(server.store.readVersion({ environmentId, versionId: id })).rejects.toMatchObject({ code: 'notFound' });
  await db.sql.updateTable('state_versions').set({ environment_id: environmentId }).where('id', '=', id).execute();
  await expect(server.store.readVersion({ environmentId, versionId: id })).rejects.toMatchObject({ code: 'internal' });
});

test('a difference tells addresses and names of attributes, never values', async () => {
  const client = await server.newClient();
  const keyed = (secret: string) => ({
    mode: 'managed',
    module: 'module.app',
    type: 'aws_instance',
    name: 'web',
    instances: [
      { index_key: 'a', attributes: { id: '1', secret } },
      { index_key: 0, attributes: { id: '2' } },
    ],
  });
  const data = { mode: 'data', type: 'aws_ami', name: 'x', instances: [{ attributes: { id: 'old' } }] };
  const [from = 0, to = 0] = await save(
    client,
    stateText({
      serial: 1,
      resources: [resource('same', { a: { x: 1, y: 2 } }), resource('gone', {}), keyed('hunter2')],
      outputs: { keep: 1, drop: 2 },
    }),
    stateText({
      serial: 2,
      resources: [
        resource('same', { a: { y: 2, x: 1 } }),
        resource('new', {}),
        keyed('swordfish'),
        data,
        resource('bad', {}, { status: 'tainted' }),
      ],
      outputs: { keep: 2, more: 3 },
    }),
  );
  const diff = await server.store.diffVersions({ environmentId: client.environmentId, from, to });
  expect(diff).toEqual({
    added: ['terraform_data.bad', 'terraform_data.new'],
    removed: ['terraform_data.gone'],
    changed: [{ address: 'module.app.aws_instance.web["a"]', attributes: ['secret'] }],
    outputs: { added: ['more'], removed: ['drop'], changed: ['keep'] },
  });
  expect(JSON.stringify(diff)).not.toMatch(/hunter2|swordfish/);
});

test('a state that the tool has encrypted is kept, but not compared', async () => {
  const client = await server.newClient();
  const encrypted = (serial: number) =>
    JSON.stringify({ serial, lineage: 'e', meta: {}, encrypted_data: 'AAAA', encryption_version: 'v0' });
  const [from = 0, to = 0] = await save(client, encrypted(1), encrypted(2));
  await expect(server.store.diffVersions({ environmentId: client.environmentId, from, to })).rejects.toThrow(
    /tool has encrypted/,
  );
});

test('a restored version is a new one that follows the newest', async () => {
  const client = await server.newClient();
  const { environmentId } = client;
  const old = stateText({ serial: 3, resources: [resource('a', { big: 1 })] }).replace(
    '"big": 1',
    '"big": 12345678901234567890, "serial": 7',
  );
  const [id = 0] = await save(client, old, stateText({ serial: 9 }));
  const restored = await server.store.restore({ environmentId, versionId: id, actor });
  expect(restored).toMatchObject({
    serial: 10,
    lineage: 'lineage-1',
    restoredFrom: id,
    createdBy: 'Ada',
    resources: 1,
  });
  expect((await client.get()).text).toBe(old.replace('"serial": 3', '"serial": 10'));
  expect(await server.store.lockOf(environmentId)).toBeNull();
  await save(client, stateText({ serial: 11 }));
});

test('a removed state can be restored', async () => {
  const client = await server.newClient();
  const [id = 0] = await save(client, stateText({ serial: 4 }));
  await client.lock('a');
  await client.request('DELETE');
  await client.unlock('a');
  const { environmentId } = client;
  const [tombstone] = (await server.store.listVersions({ environmentId, limit: 1 })).items;
  expect(tombstone).toMatchObject({ size: 0 });
  await expect(server.store.restore({ environmentId, versionId: tombstone?.id ?? 0, actor })).rejects.toMatchObject({
    code: 'notFound',
  });
  await server.store.restore({ environmentId, versionId: id, actor });
  expect(JSON.parse((await client.get()).text)).toMatchObject({ serial: 5 });
});

test('nothing is restored while a tool holds the lock', async () => {
  const client = await server.newClient();
  const { environmentId } = client;
  const [id = 0] = await save(client, stateText({ serial: 1 }));
  await client.lock('busy');
  const error: unknown = await server.store
    .restore({ environmentId, versionId: id, actor })
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'locked', message: expect.stringContaining(client.deploymentId) });
  expect(await server.store.lockOf(environmentId)).toMatchObject({ lockId: 'busy' });
  await client.unlock('busy');
  await expect(server.store.restore({ environmentId, versionId: 999_999, actor })).rejects.toMatchObject({
    code: 'notFound',
  });
  expect(await server.store.lockOf(environmentId)).toBeNull();
});

test('recovery frees exactly the lock that it names', async () => {
  const client = await server.newClient();
  const { environmentId } = client;
  await client.lock('mine');
  expect(await server.store.releaseLock({ environmentId, lockId: 'other', because: 'x' })).toBe(false);
  expect(await server.store.releaseLock({ environmentId, lockId: 'mine', because: 'its worker is dead' })).toBe(true);
  expect(await readEvents(db.sql, { environmentId, afterId: 0 })).toMatchObject([
    { type: 'environment.warning', data: { lockId: 'mine', message: expect.stringContaining('its worker is dead') } },
  ]);
  expect(await server.store.releaseLock({ environmentId, lockId: 'mine', because: 'x' })).toBe(false);
});

test('a lock that a person breaks ends the power of its holder', async () => {
  const client = await server.newClient();
  const { environmentId } = client;
  expect(await server.store.forceUnlock({ environmentId, actor, reason: 'stuck' })).toBeNull();
  await client.lock('stuck');
  expect(await server.store.forceUnlock({ environmentId, actor, reason: 'stuck' })).toMatchObject({
    lockId: 'stuck',
    deploymentId: client.deploymentId,
  });
  const entries = await db.sql.selectFrom('audit_log').selectAll().where('target_id', '=', environmentId).execute();
  expect(entries).toMatchObject([
    { action: 'state.unlock', actor: { name: 'Ada' }, before: { lockId: 'stuck' }, after: { reason: 'stuck' } },
  ]);
  expect((await client.post('stuck', stateText({ serial: 1 }))).status).toBe(403);
  expect((await client.lock('again')).status).toBe(403);
  const next = await server.newClient({ environmentId });
  expect((await next.lock('next')).status).toBe(200);
  expect((await client.unlock('stuck')).status).toBe(403);
  expect(await server.store.lockOf(environmentId)).toMatchObject({ lockId: 'next' });
});

test('nothing is saved after a fence has returned, however the two meet', async () => {
  for (let round = 0; round < 20; round++) {
    const client = await server.newClient();
    await client.lock('a');
    let fencedAt = Number.POSITIVE_INFINITY;
    let serial = 0;
    const saved: { serial: number; afterFence: boolean }[] = [];
    const writing = (async () => {
      for (;;) {
        const afterFence = fencedAt === 0;
        const { status } = await client.post('a', stateText({ serial: ++serial }));
        if (status !== 200) return status;
        saved.push({ serial, afterFence });
      }
    })();
    const fence = server.store.fenceGrant(client.grantId).then(() => {
      fencedAt = 0;
    });
    expect((await Promise.all([writing, fence]))[0]).toBe(403);
    expect(saved.filter(({ afterFence }) => afterFence)).toEqual([]);
    const before = (await server.store.latest(client.environmentId))?.serial ?? 0;
    expect((await client.post('a', stateText({ serial: serial + 1 }))).status).toBe(403);
    expect((await server.store.latest(client.environmentId))?.serial ?? 0).toBe(before);
  }
});

test('old grants are removed, unless they hold a lock', async () => {
  const idle = await server.newClient();
  const holder = await server.newClient();
  await holder.lock('a');
  await db.sql
    .updateTable('state_grants')
    .set({ created_at: sql`now() - interval '2 days'` })
    .where('id', 'in', [idle.grantId, holder.grantId])
    .execute();
  expect(await server.store.pruneGrants(86_400_000)).toBe(1);
  expect((await idle.get()).status).toBe(403);
  expect((await holder.get()).status).toBe(204);
});

test.each([
  ['{"serial":1}', '{"serial":42}'],
  [
    '{ "a": {"serial": 5}, "b": ["serial", 1], "\\u0073erial" : 1 }',
    '{ "a": {"serial": 5}, "b": ["serial", 1], "\\u0073erial" : 42 }',
  ],
  ['{"x":"\\"serial\\":9","serial":\n 7,"y":1e400}', '{"x":"\\"serial\\":9","serial":\n 42,"y":1e400}'],
])('the serial of %s alone is replaced', (text, expected) => {
  expect(Buffer.from(withSerial(Buffer.from(text), 42)).toString()).toBe(expected);
});
