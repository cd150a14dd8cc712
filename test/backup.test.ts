import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { confirmKeys, createSecretBox } from '../src/access/index.ts';
import { createArtifacts } from '../src/artifacts/index.ts';
import { openTarget, readBackup, restoreRecords, writeBackup } from '../src/backup/index.ts';
import { loadConfig } from '../src/config.ts';
import { backupHere, restoreHere } from '../src/moving.ts';
import { openDatabase, recordEvent, replaceOutputs } from '../src/store/index.ts';
import type { Database } from '../src/store/index.ts';
import { databaseKinds, openForTest, runningShop } from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';
import { startPostgres } from './support/postgres.ts';
import type { TestPostgres } from './support/postgres.ts';

const passphrase = 'correct horse battery staple';
let directory: string;
let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windlass-backup-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const keys = [randomBytes(32), randomBytes(32)];
const box = createSecretBox(keys);

/** Records of every kind, some of them hard to write down. */
async function fill(database: Database): Promise<{ artifact: string; body: Buffer }> {
  const db = database.sql;
  await confirmKeys(db, box, 'a file');
  const { network, deployment, shop } = await runningShop(db);
  await replaceOutputs(db, box, network.id, [
    { name: 'nothing', type: 'map', value: null, sensitive: false },
    { name: 'text', type: 'text', value: 'é"\\\n\u2028\t€', sensitive: true },
  ]);
  const body = randomBytes(3_000_000);
  const artifact = await createArtifacts({ db: database, secrets: box }).put({
    deploymentId: deployment.id,
    index: 0,
    kind: 'plan',
    body,
  });
  await recordEvent(db, {
    type: 'environment.warning',
    environmentId: shop.id,
    deploymentId: null,
    alias: null,
    data: { message: 'x' },
  });
  await sql`UPDATE deployments SET definition = '{"number": 12345678901234567890.123}' WHERE id = ${deployment.id}`.execute(
    db,
  );
  await sql`INSERT INTO log_chunks (deployment_id, index, stage, text) SELECT ${deployment.id}, 0, 'apply', repeat(md5(g::text), 20) FROM generate_series(1, 3000) g`.execute(
    db,
  );
  return { artifact, body };
}

/** All rows of all tables, as text, but what a restore itself says. */
async function contentOf(database: Database): Promise<Record<string, string[]>> {
  const { rows: tables } = await sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`.execute(database.sql);
  const content: Record<string, string[]> = {};
  for (const { name } of tables) {
    if (['windlass_migrations', 'workers', 'installation', 'pacing', 'state_grants', 'state_locks'].includes(name))
      continue;
    const { rows } = await sql<{
      row: string;
    }>`SELECT md5(t::text) AS row FROM ${sql.table(name)} t ORDER BY 1`.execute(database.sql);
    content[name] = rows.map(({ row }) => row);
  }
  return content;
}

describe.each(databaseKinds)('a backup of a database on %s', (kind) => {
  let opened: OpenedForTest;
  beforeEach(async () => {
    opened = await openForTest(kind);
  });
  afterEach(() => opened.close());

  test.each(databaseKinds)('is the same in an empty database on %s, with keys and artifacts', async (target) => {
    const { artifact, body } = await fill(opened.database);
    const file = join(directory, 'b');
    await writeBackup({ db: opened.database, keys, passphrase, version: '1', file });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, 'latin1');
    for (const key of keys) expect(text).not.toContain(key.toString('base64'));
    const backup = await readBackup(file, passphrase);
    expect(backup.keys.map((key) => Buffer.from(key))).toEqual(keys);
    const { db } = await openTarget(
      target === 'pglite'
        ? { kind: 'pglite', directory: null }
        : { kind: 'postgres', url: await postgres.createDatabase(`b${randomBytes(4).toString('hex')}`) },
      { aside: false },
    );
    try {
      await restoreRecords(db, backup, { graceHours: 24 });
      expect(await contentOf(db)).toEqual(await contentOf(opened.database));
      const read = await createArtifacts({ db, secrets: createSecretBox(backup.keys) }).get(artifact);
      expect(Buffer.from(read.body).equals(body)).toBe(true);
      // The next id comes after those that were restored.
      await recordEvent(db.sql, {
        type: 'environment.warning',
        environmentId: null,
        deploymentId: null,
        alias: null,
        data: { message: 'y' },
      });
    } finally {
      await db.close();
    }
  });
});

describe('a backup that must not be restored', () => {
  let file: string;
  let opened: OpenedForTest;
  beforeEach(async () => {
    opened = await openForTest('pglite');
    await confirmKeys(opened.db, box, 'a file');
    file = join(directory, 'b');
    await writeBackup({ db: opened.database, keys, passphrase, version: '1', file });
  });
  afterEach(() => opened.close());

  const edit = (change: (bytes: Buffer) => Buffer): void => writeFileSync(file, change(readFileSync(file)));

  test.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
    [
      'with a flipped bit',
      (bytes) => bytes.fill((bytes.at(-500) ?? 0) ^ 1, bytes.length - 500, bytes.length - 499),
      /checksum does not fit/,
    ],
    ['cut off', (bytes) => bytes.subarray(0, bytes.length - 100), /its end is missing/],
    ['empty', () => Buffer.alloc(0), /not a backup/],
    ['of something else', () => Buffer.from('PGDMP'), /not a backup/],
    [
      'of a newer format',
      (bytes) => Buffer.from(bytes.toString('latin1').replace('"format":1', '"format":2'), 'latin1'),
      /newer Windlass/,
    ],
  ])('%s is refused with the reason', async (_, change, reason) => {
    edit(change);
    await expect(readBackup(file, passphrase)).rejects.toThrow(reason);
  });

  test('of a newer version names the migration that is not known here', async () => {
    await sql`INSERT INTO windlass_migrations (name, checksum) VALUES ('9999-future', 'x')`.execute(opened.db);
    await writeBackup({ db: opened.database, keys, passphrase, version: '9', file: `${file}2` });
    await expect(readBackup(`${file}2`, passphrase)).rejects.toThrow('9999-future');
  });

  test('is not opened by another passphrase, nor made with a short one', async () => {
    await expect(readBackup(file, 'another passphrase')).rejects.toThrow('does not open the backup');
    await expect(
      writeBackup({ db: opened.database, keys, passphrase: 'short', version: '1', file: `${file}3` }),
    ).rejects.toThrow('too short');
    expect(existsSync(`${file}3`)).toBe(false);
  });
});

test('a data directory that is not empty is refused, and with --force kept aside', async () => {
  const [from, to] = [join(directory, 'from'), join(directory, 'to')];
  for (const path of [from, to]) {
    const key = randomBytes(32);
    const database = await openDatabase({ kind: 'pglite', directory: join(path, 'database') });
    await confirmKeys(database.sql, createSecretBox(key), 'a file');
    await sql`UPDATE organizations SET name = ${path}`.execute(database.sql);
    await database.close();
    writeFileSync(join(path, 'encryption.key'), `${key.toString('hex')}\n`, { mode: 0o600 });
  }
  const file = join(directory, 'b');
  const configOf = (path: string) => loadConfig({ WINDLASS_DATA: path });
  await backupHere(configOf(from), { file, passphrase, version: '1' });
  const restore = { file, passphrase, graceHours: 24 };
  await expect(restoreHere(configOf(to), { ...restore, force: false })).rejects.toMatchObject({ code: 'conflict' });
  const { keptIn } = await restoreHere(configOf(to), { ...restore, force: true });
  for (const [path, name] of [
    [to, from],
    [keptIn ?? '', to],
  ] as const) {
    const database = await openDatabase({ kind: 'pglite', directory: join(path, 'database') });
    const { rows } = await sql<{ name: string }>`SELECT name FROM organizations`.execute(database.sql);
    expect(rows).toEqual([{ name }]);
    await database.close();
  }
  expect(Buffer.from(readFileSync(join(to, 'encryption.key'), 'utf8'), 'base64')).toEqual(
    Buffer.from(readFileSync(join(from, 'encryption.key'), 'utf8').trim(), 'hex'),
  );
});
