import { openDatabase, revokeKey } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { authenticate, createKey, listKeys } from './keys.ts';

let database: Database;
beforeAll(async () => {
  database = await openDatabase({ kind: 'pglite', directory: null });
}, 60_000);
afterAll(() => database.close());

const lastUsed = async (id: string): Promise<Date | null> =>
  (await database.sql.selectFrom('api_keys').select('last_used_at').where('id', '=', id).executeTakeFirstOrThrow())
    .last_used_at;

test('a key opens the door with what it may do, and is stored as a hash only', async () => {
  const { token, key } = await createKey(database.sql, { name: 'ci', permissions: ['view', 'execute@prj_1'] });
  expect(token).toMatch(/^wlk_[0-9a-z]+_[A-Za-z0-9_-]{43}$/);
  expect(await authenticate(database.sql, token, '127.0.0.1')).toEqual({
    kind: 'key',
    id: key.id,
    name: 'ci',
    from: '127.0.0.1',
    permissions: ['view', 'execute@prj_1'],
  });
  const row = await database.sql.selectFrom('api_keys').selectAll().where('id', '=', key.id).executeTakeFirstOrThrow();
  expect(JSON.stringify(row)).not.toContain(token.slice(-20));
  expect((await listKeys(database.sql)).map(({ id }) => id)).toContain(key.id);
});

test('a token that is malformed, unknown or changed is refused with the reason', async () => {
  const { token } = await createKey(database.sql, { name: 'x', permissions: ['*'] });
  const changed = token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A');
  for (const wrong of ['', 'Bearer', `${token}x`, changed, token.replace(/wlk_.{20}/, `wlk_${'0'.repeat(20)}`)]) {
    await expect(authenticate(database.sql, wrong, null)).rejects.toMatchObject({ code: 'unauthenticated' });
  }
});

test('a key that has expired or was revoked says so', async () => {
  const past = new Date(Date.now() - 1000).toISOString();
  const expired = await createKey(database.sql, { name: 'old', permissions: ['*'], expiresAt: past });
  await expect(authenticate(database.sql, expired.token, null)).rejects.toMatchObject({
    message: expect.stringContaining('expired'),
  });
  const revoked = await createKey(database.sql, {
    name: 'lost',
    permissions: ['*'],
    expiresAt: '2999-01-01T00:00:00.000Z',
  });
  await authenticate(database.sql, revoked.token, null);
  expect(await revokeKey(database.sql, revoked.key.id)).toBe(true);
  expect(await revokeKey(database.sql, revoked.key.id)).toBe(false);
  await expect(authenticate(database.sql, revoked.token, null)).rejects.toMatchObject({
    message: expect.stringContaining('revoked'),
  });
  expect((await listKeys(database.sql)).map(({ id }) => id)).not.toContain(revoked.key.id);
});

test('the last use is written down at most once a minute', async () => {
  const { token, key } = await createKey(database.sql, { name: 'busy', permissions: ['*'] });
  expect(await lastUsed(key.id)).toBeNull();
  await authenticate(database.sql, token, null);
  const first = await lastUsed(key.id);
  expect(first).not.toBeNull();
  await authenticate(database.sql, token, null);
  expect(await lastUsed(key.id)).toEqual(first);
  const longAgo = new Date(Date.now() - 3_600_000);
  await database.sql.updateTable('api_keys').set({ last_used_at: longAgo }).where('id', '=', key.id).execute();
  await authenticate(database.sql, token, null);
  expect((await lastUsed(key.id))?.getTime()).toBeGreaterThan(longAgo.getTime());
});

test('a permission that does not exist is not granted', async () => {
  await expect(createKey(database.sql, { name: 'x', permissions: ['deploy'] })).rejects.toMatchObject({
    code: 'invalidInput',
  });
});
