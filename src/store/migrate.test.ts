import { sql } from 'kysely';
import { openDatabase } from './database.ts';
import type { Database, Db } from './database.ts';
import { migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';

let database: Database;
let db: Db;
beforeAll(async () => {
  database = await openDatabase({ kind: 'pglite', directory: null });
  db = database.sql;
}, 60_000);
afterAll(() => database.close());

describe('migrations', () => {
  test('run once', async () => {
    await migrate(db);
    const { rows } = await sql<{ name: string }>`SELECT name FROM windlass_migrations ORDER BY name`.execute(db);
    expect(rows.map(({ name }) => name)).toEqual(migrations.map(({ name }) => name));
  });

  test('of a newer Windlass are an error that names them', async () => {
    await sql`INSERT INTO windlass_migrations (name, checksum) VALUES ('9999-future', 'x')`.execute(db);
    await expect(migrate(db)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('9999-future'),
    });
    await sql`DELETE FROM windlass_migrations WHERE name = '9999-future'`.execute(db);
  });

  test('that were changed afterwards are an error', async () => {
    const [first, ...others] = migrations;
    if (!first) throw new Error('unreachable');
    await expect(migrate(db, [{ ...first, sql: `${first.sql} ` }, ...others])).rejects.toMatchObject({
      message: expect.stringContaining(first.name),
    });
  });

  test('that fail leave nothing behind', async () => {
    const broken = {
      name: '9998-broken',
      sql: 'CREATE TABLE half (id int); INSERT INTO half VALUES (1); SELECT nonsense;',
    };
    await expect(migrate(db, [...migrations, broken])).rejects.toMatchObject({
      message: expect.stringContaining('9998-broken'),
    });
    expect((await sql`SELECT to_regclass('half') AS half`.execute(db)).rows).toEqual([{ half: null }]);
    await migrate(db, [
      ...migrations,
      { ...broken, sql: 'CREATE TABLE half (id int); CREATE TABLE other_half (id int)' },
    ]);
    await sql`DROP TABLE half, other_half`.execute(db);
    await sql`DELETE FROM windlass_migrations WHERE name = '9998-broken'`.execute(db);
  });

  test('give keys that share a name names of their own, the oldest keeping it', async () => {
    await sql`DROP INDEX api_keys_name`.execute(db);
    const key = (id: string, name: string, minute: number, revoked = false) =>
      sql`INSERT INTO api_keys (id, name, prefix, hash, permissions, created_at, revoked_at)
        VALUES (${id}, ${name}, 'wlk_', ${id}, '[]', ${new Date(Date.UTC(2026, 0, 1, 0, minute))}, ${revoked ? new Date() : null})`.execute(
        db,
      );
    await key('key_0000000000000aaaaaaa', 'ci', 2);
    await key('key_0000000000000bbbbbbb', 'ci', 1);
    await key('key_0000000000000ccccccc', 'ci', 3);
    await key('key_0000000000000ddddddd', 'ci', 0, true);
    await key('key_0000000000000eeeeeee', 'ana', 0);
    await sql`DELETE FROM windlass_migrations WHERE name = '0041-key-names'`.execute(db);
    await migrate(db);
    const { rows } = await sql<{ name: string }>`SELECT name FROM api_keys ORDER BY id`.execute(db);
    expect(rows.map(({ name }) => name)).toEqual(['ci (aaaaaa)', 'ci', 'ci (cccccc)', 'ci', 'ana']);
    await sql`DELETE FROM api_keys`.execute(db);
  });
});
