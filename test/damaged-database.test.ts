import {
  cpSync,
  mkdtempSync,
  openSync,
  closeSync,
  readSync,
  rmSync,
  writeSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { openDatabase } from '../src/store/index.ts';
import type { Database } from '../src/store/index.ts';

const rows = 2000;
/** A directory with a closed database that has a table of many pages. */
let made: string;
const paths: Record<string, string> = {};
let directory: string;

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), 'windlass-damage-'));
  const database = await openDatabase({ kind: 'pglite', directory: made });
  await sql`CREATE TABLE ledger (id int PRIMARY KEY, text text)`.execute(database.sql);
  await sql`INSERT INTO ledger SELECT g, md5(g::text) || repeat('x', 60) FROM generate_series(1, ${rows}) g`.execute(
    database.sql,
  );
  for (const name of ['ledger', 'ledger_pkey']) {
    const { rows: found } = await sql<{ path: string }>`SELECT pg_relation_filepath(${name}) AS path`.execute(
      database.sql,
    );
    paths[name] = found[0]?.path ?? '';
  }
  await database.close();
});
afterAll(() => rmSync(made, { recursive: true, force: true }));
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windlass-damage-'));
  cpSync(made, directory, { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (ignoreDamage = false): Promise<Database> => openDatabase({ kind: 'pglite', directory, ignoreDamage });

/** Turns the bits of one byte of a file around. */
function flip(file: string, at: number): void {
  const handle = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(handle, byte, 0, 1, at);
  writeSync(handle, Buffer.of((byte[0] ?? 0) ^ 0xff), 0, 1, at);
  closeSync(handle);
}

const countOf = async (database: Database): Promise<number> =>
  (await sql<{ count: number }>`SELECT count(*) AS count FROM ledger`.execute(database.sql)).rows[0]?.count ?? 0;

test.each([
  ['table ledger', 'ledger', 3],
  ['index ledger_pkey', 'ledger_pkey', 2],
])(
  'a flipped byte in a page of a %s is noticed at the next start, which names it and the ways back',
  async (name, key, page) => {
    const file = join(directory, 'pgdata', paths[key] ?? '');
    flip(file, page * 8192 + 4000);
    const refused = open();
    await expect(refused).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(`${name}: ${file}, page ${page}`),
      hint: expect.stringMatching(/windlass restore FILE --force.*windlass up --ignore-damage/),
    });
    const saved = await open(true);
    expect(await countOf(saved)).toBe(rows);
    await saved.close();
  },
);

test('a damaged catalogue is named by its file at least', async () => {
  const file = join(directory, 'pgdata', 'global', '1262');
  writeFileSync(
    file,
    readFileSync(file).map((byte, at) => (at % 5 === 0 ? byte ^ 0x55 : byte)),
  );
  await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(file) });
});

test('a database that was not closed is looked at when its log has been replayed', async () => {
  const database = await open();
  await sql`UPDATE ledger SET text = text || 'y'`.execute(database.sql);
  // As a kill would leave it.
  const copy = mkdtempSync(join(tmpdir(), 'windlass-damage-'));
  cpSync(directory, copy, { recursive: true });
  await database.close();
  rmSync(join(copy, 'database.lock'), { force: true });
  const again = await openDatabase({ kind: 'pglite', directory: copy });
  expect(await countOf(again)).toBe(rows);
  await again.close();
  rmSync(copy, { recursive: true, force: true });
});
