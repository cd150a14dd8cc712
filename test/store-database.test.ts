import { sql } from 'kysely';
import { isDatabaseUnavailable, openDatabase, readEvents, recordEvent, recordEvents } from '../src/store/index.ts';
import type { Database, Db } from '../src/store/index.ts';
import { databaseKinds, openForTest, unique } from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

const event = (deploymentId: string, n: number) =>
  ({
    type: 'node.status',
    environmentId: null,
    deploymentId,
    alias: null,
    data: { index: n, status: 'running', n },
  }) as const;

/** Resolves with the first payload for which `wanted` holds; `ready` when it listens. */
async function heard(
  database: Database,
  wanted: (payload: string) => boolean,
): Promise<{ payload: Promise<string>; all: string[]; stop: () => Promise<void> }> {
  const all: string[] = [];
  let found: (payload: string) => void = () => undefined;
  const payload = new Promise<string>((resolve) => {
    found = resolve;
  });
  const stop = await database.listen('windlass_events', (text) => {
    all.push(text);
    if (wanted(text)) found(text);
  });
  return { payload, all, stop };
}

describe.each(databaseKinds)('a database on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
    await sql`CREATE TABLE sample (id bigserial PRIMARY KEY, name text UNIQUE, json jsonb, bytes bytea, at timestamptz, names text[])`.execute(
      db,
    );
  }, 120_000);
  afterAll(() => opened.close());

  const names = async (): Promise<string[]> =>
    (await sql<{ name: string }>`SELECT name FROM sample WHERE name IS NOT NULL ORDER BY id`.execute(db)).rows.map(
      ({ name }) => name,
    );
  const insert = (on: Db, name: string): Promise<unknown> =>
    sql`INSERT INTO sample (name) VALUES (${name})`.execute(on);

  test('gives numbers, dates, JSON and bytes back as they were written', async () => {
    const bytes = Buffer.from([0, 1, 127, 128, 255]);
    const at = new Date('2031-02-03T04:05:06.789Z');
    const list = ['a"b', 'c\\d', 'e,{f}', '', 'NULL', '😀'];
    const { rows } = await sql`
      INSERT INTO sample (json, bytes, at, names) VALUES (${JSON.stringify({ a: [1, null, 'ü'] })}::jsonb, ${bytes}, ${at}, ${list})
      RETURNING *, 9007199254740991::bigint AS large, (SELECT count(*) FROM sample) AS counted, NULL::text AS nothing, true AS yes, 1.5::numeric AS part`.execute(
      db,
    );
    expect(rows).toEqual([
      expect.objectContaining({
        json: { a: [1, null, 'ü'] },
        at,
        names: list,
        large: 9_007_199_254_740_991,
        counted: expect.any(Number),
        nothing: null,
        yes: true,
        part: 1.5,
      }),
    ]);
    const back = (rows[0] as { bytes: unknown }).bytes;
    expect(back instanceof Uint8Array && Buffer.from(back).equals(bytes)).toBe(true);
    expect(await sql<{ id: unknown }>`SELECT max(id) AS id FROM sample`.execute(db)).toMatchObject({
      rows: [{ id: expect.any(Number) }],
    });
    const updated = await db.updateTable('organizations').set({ settings: '{}' }).executeTakeFirst();
    expect(updated.numUpdatedRows).toBe(1n);
  });

  test('keeps all of a transaction, or nothing', async () => {
    await opened.database.transaction(async (tx) => {
      await insert(tx, 'kept 1');
      await insert(tx, 'kept 2');
    });
    await expect(
      opened.database.transaction(async (tx) => {
        await insert(tx, 'dropped');
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    await expect(opened.database.transaction((tx) => insert(tx, 'kept 1'))).rejects.toMatchObject({ code: '23505' });
    expect(await names()).toEqual(['kept 1', 'kept 2']);
  });

  test('does not call a transaction committed in which a statement failed unnoticed', async () => {
    await expect(
      opened.database.transaction(async (tx) => {
        await insert(tx, 'lost');
        await insert(tx, 'kept 1').catch(() => undefined);
      }),
    ).rejects.toMatchObject({ code: 'internal' });
    expect(await names()).not.toContain('lost');
    await insert(db, 'after');
    expect(await names()).toContain('after');
  });

  test('keeps many transactions and queries apart that run at once', async () => {
    const account = unique('account');
    await sql`INSERT INTO sample (name, json) VALUES (${account}, '0')`.execute(db);
    await Promise.all(
      Array.from({ length: 25 }, () =>
        opened.database.transaction(async (tx) => {
          const { rows } = await sql<{
            json: number;
          }>`SELECT json FROM sample WHERE name = ${account} FOR UPDATE`.execute(tx);
          await sql`UPDATE sample SET json = ${JSON.stringify((rows[0]?.json ?? 0) + 1)}::jsonb WHERE name = ${account}`.execute(
            tx,
          );
        }),
      ).concat(Array.from({ length: 25 }, async () => void (await sql`SELECT 1`.execute(db)))),
    );
    expect((await sql`SELECT json FROM sample WHERE name = ${account}`.execute(db)).rows).toEqual([{ json: 25 }]);
  });

  test('works with more different statements than it keeps prepared', async () => {
    for (let i = 0; i < 700; i++) {
      const { rows } = await sql`SELECT ${i}::int AS ${sql.ref(`c${i}`)}`.execute(db);
      expect(rows).toEqual([{ [`c${i}`]: i }]);
    }
    expect(await sql`SELECT ${1}::int AS ${sql.ref('c0')}`.execute(db)).toMatchObject({ rows: [{ c0: 1 }] });
  });

  describe('events', () => {
    test('are announced when their transaction commits, and not when it does not', async () => {
      const ids = { dropped: unique('dep'), kept: unique('dep') };
      const { payload, all, stop } = await heard(opened.database, (text) => text.includes(ids.kept));
      await opened.database
        .transaction(async (tx) => {
          await recordEvent(tx, event(ids.dropped, 1));
          throw new Error('no');
        })
        .catch(() => undefined);
      await opened.database.transaction((tx) => recordEvent(tx, event(ids.kept, 1)));
      const announced = JSON.parse(await payload) as { id: number };
      expect(announced).toEqual({ id: expect.any(Number), environmentId: null, deploymentId: ids.kept });
      expect(all.some((text) => text.includes(ids.dropped))).toBe(false);
      await stop();
      await stop();
      expect(await readEvents(db, { deploymentId: ids.kept, afterId: 0 })).toMatchObject([
        { id: announced.id, type: 'node.status', data: { n: 1 } },
      ]);
      expect(await readEvents(db, { deploymentId: ids.kept, afterId: announced.id })).toEqual([]);
      expect(await readEvents(db, { deploymentId: ids.dropped, afterId: 0 })).toEqual([]);
    });

    test('written together keep their order', async () => {
      const deploymentId = unique('dep');
      await recordEvents(
        db,
        Array.from({ length: 1000 }, (_, n) => event(deploymentId, n)),
      );
      const read = await readEvents(db, { deploymentId, afterId: 0, limit: 2000 });
      expect(read.map(({ data }) => data['n'])).toEqual(Array.from({ length: 1000 }, (_, n) => n));
    });

    test('are never missed by a reader that goes on from the last one it saw, while many write', async () => {
      const deploymentId = unique('dep');
      const writers = 8;
      const rounds = 40;
      let writing = writers;
      const write = async (): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          await opened.database
            .transaction(async (tx) => {
              // Some write before and some after other work, and some change their mind.
              if (round % 3 === 0) await insert(tx, unique('work'));
              await recordEvent(tx, event(deploymentId, round));
              if (round % 2 === 0)
                await sql`SELECT pg_sleep(${kind === 'postgres' ? Math.random() / 100 : 0})`.execute(tx);
              if (round % 5 === 4) throw new Error('rolled back');
              await recordEvent(tx, event(deploymentId, round));
            })
            .catch((error: unknown) => {
              if (!(error instanceof Error) || error.message !== 'rolled back') throw error;
            });
        }
        writing--;
      };
      const seen: number[] = [];
      const read = async (): Promise<void> => {
        let last = 0;
        for (let more = true; more;) {
          more = writing > 0;
          for (const { id } of await readEvents(db, { deploymentId, afterId: last })) {
            seen.push(id);
            last = id;
          }
        }
      };
      await Promise.all([read(), ...Array.from({ length: writers }, write)]);
      const { rows } = await sql<{
        id: number;
      }>`SELECT id FROM events WHERE deployment_id = ${deploymentId} ORDER BY id`.execute(db);
      expect(rows).toHaveLength(writers * rounds * 2 * 0.8);
      expect(seen).toEqual(rows.map(({ id }) => id));
    });
  });
});

describe('on PostgreSQL', () => {
  let opened: OpenedForTest;
  beforeAll(async () => {
    opened = await openForTest('postgres');
  }, 120_000);
  afterAll(() => opened.close());
  const server = () => {
    if (!opened.server) throw new Error('unreachable');
    return opened.server;
  };

  test('processes that start at once on an empty database wait for each other', async () => {
    const url = await server().createDatabase('fresh');
    const databases = await Promise.all(
      Array.from({ length: 4 }, () => openDatabase({ kind: 'postgres', url, poolSize: 2 })),
    );
    const [first] = databases;
    if (!first) throw new Error('unreachable');
    const { rows } = await sql`SELECT count(*) AS projects FROM projects`.execute(first.sql);
    expect(rows).toEqual([{ projects: 1 }]);
    await Promise.all(databases.map((database) => database.close()));
  });

  test('an event is hidden while an earlier one is not committed, and not longer', async () => {
    const deploymentId = unique('dep');
    let commit: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      commit = resolve;
    });
    let written: () => void = () => undefined;
    const first = new Promise<void>((resolve) => {
      written = resolve;
    });
    const slow = opened.database.transaction(async (tx) => {
      await recordEvent(tx, event(deploymentId, 1));
      written();
      await held;
    });
    await first;
    try {
      await recordEvent(opened.db, event(deploymentId, 2));
      expect(await readEvents(opened.db, { deploymentId, afterId: 0 })).toEqual([]);
    } finally {
      commit();
    }
    await slow;
    expect((await readEvents(opened.db, { deploymentId, afterId: 0 })).map(({ data }) => data['n'])).toEqual([1, 2]);
  });

  test('while the server is away queries say so, and work again without a restart', async () => {
    const { database, db } = opened;
    const deploymentId = unique('dep');
    const reconnected = await heard(database, (text) => text === '');
    const announced = await heard(database, (text) => text.includes(deploymentId));
    const cut = database.transaction(async (tx) => {
      await recordEvent(tx, event(deploymentId, 1));
      await server().kill();
      await recordEvent(tx, event(deploymentId, 2));
    });
    const error: unknown = await cut.catch((thrown: unknown) => thrown);
    expect(isDatabaseUnavailable(error)).toBe(true);
    await expect(database.ping()).rejects.toMatchObject({
      code: 'unavailable',
      class: 'internal',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await expect(readEvents(db, { deploymentId, afterId: 0 })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(database.transaction(async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
    await server().start();
    await database.ping();
    expect(await readEvents(db, { deploymentId, afterId: 0 })).toEqual([]);
    await reconnected.payload;
    await recordEvent(db, event(deploymentId, 3));
    expect(JSON.parse(await announced.payload)).toMatchObject({ deploymentId });
    await reconnected.stop();
    await announced.stop();
  });

  test('a server that is not there, does not know the database or is shut says why', async () => {
    const gone = 'postgres://windlass@127.0.0.1:1/postgres';
    await expect(openDatabase({ kind: 'postgres', url: gone })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await expect(
      openDatabase({ kind: 'postgres', url: server().url.replace(/postgres$/, 'nope') }),
    ).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('"nope" does not exist'),
    });
    const database = await openDatabase({ kind: 'postgres', url: server().url });
    await database.close();
    await database.close();
    await expect(database.ping()).rejects.toMatchObject({ code: 'unavailable' });
  });
});
