import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, revokeKey } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { administratorKeyFile, provideAdministratorKey } from './administrator-key.ts';
import { authenticate, listKeys } from './keys.ts';

let database: Database;
let root: string;
const directory = (name: string): string => join(root, name);
beforeAll(async () => {
  database = await openDatabase({ kind: 'pglite', directory: null });
}, 60_000);
afterAll(() => database.close());
beforeEach(async () => {
  await database.sql.deleteFrom('api_keys').execute();
  root = mkdtempSync(join(tmpdir(), 'windlass-administrator-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('the first start makes one key, in a file that only its owner can read; later starts take it', async () => {
  const first = await provideAdministratorKey(database, { dataDirectory: directory('one') });
  const file = administratorKeyFile(directory('one'));
  expect(first).toMatchObject({ created: true, file });
  expect(readFileSync(file, 'utf8').trim()).toBe(first.token);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await authenticate(database.sql, first.token ?? '', null)).toMatchObject({ permissions: ['*'] });
  expect(await provideAdministratorKey(database, { dataDirectory: directory('one') })).toMatchObject({
    created: false,
    token: first.token,
  });
});

test('another directory on the same database gets no key of its own, unless it asks for one', async () => {
  await provideAdministratorKey(database, { dataDirectory: directory('one') });
  const other = { dataDirectory: directory('other') };
  expect(await provideAdministratorKey(database, other)).toMatchObject({ created: false, token: null });
  expect(await listKeys(database.sql)).toHaveLength(1);
  const asked = await provideAdministratorKey(database, { ...other, anew: true });
  expect(asked).toMatchObject({ created: true, token: expect.stringMatching(/^wlk_/) });
  expect(await listKeys(database.sql)).toHaveLength(2);
});

test('a key whose file is gone is not replaced by itself; one that was revoked is', async () => {
  const one = { dataDirectory: directory('one') };
  await provideAdministratorKey(database, one);
  unlinkSync(administratorKeyFile(directory('one')));
  expect(await provideAdministratorKey(database, one)).toMatchObject({ created: false, token: null });
  const [key] = await listKeys(database.sql);
  await revokeKey(database.sql, key?.id ?? '');
  expect(await provideAdministratorKey(database, one)).toMatchObject({ created: true });
});

test('servers that start together make one key', async () => {
  const made = await Promise.all(
    ['a', 'b', 'c'].map((name) => provideAdministratorKey(database, { dataDirectory: directory(name) })),
  );
  expect(made.filter(({ created }) => created)).toHaveLength(1);
});
