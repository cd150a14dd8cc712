import { randomBytes } from 'node:crypto';
import { Masker } from '../masking/index.ts';
import { appendLog, logChannel, openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { WindlassError } from '../model/index.ts';
import { openLog } from './log-writer.ts';
import type { LogOptions } from './log-writer.ts';

let db: Database;
beforeAll(async () => {
  const url = process.env['WINDLASS_TEST_DATABASE_URL'];
  db = await openDatabase(url ? { kind: 'postgres', url } : { kind: 'pglite', directory: null });
}, 60_000);
afterAll(() => db.close());

// another prefix each time, since the database may be a server that is kept
const prefix = randomBytes(4).toString('hex');
let counter = 0;
function setup({ db: of = db, ...options }: Partial<LogOptions> & { readonly db?: Pick<Database, 'sql'> } = {}) {
  const deploymentId = `dep_${prefix}_${counter++}`;
  const masker = new Masker();
  const owner = { deploymentId, index: 1, compensation: false, try: 1 };
  const log = openLog({ masker, append: (chunks) => appendLog(of.sql, owner, chunks), ...options });
  const stored = async () =>
    db.sql.selectFrom('log_chunks').selectAll().where('deployment_id', '=', deploymentId).orderBy('id').execute();
  const text = async () => (await stored()).map((row) => row.text).join('');
  return { deploymentId, masker, log, stored, text };
}

/** A database that can be taken away. */
function flaky() {
  const state = { down: false, statements: 0 };
  const sql = new Proxy(db.sql, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'getExecutor' || typeof value !== 'function') return value;
      return () => {
        state.statements++;
        if (state.down) throw new WindlassError('unavailable', 'the database is away');
        return Reflect.apply(value, target, []);
      };
    },
  });
  return { state, db: { sql } };
}

test('text is kept in order, joined, per stage', async () => {
  const { log, stored } = setup();
  log.write('init', 'one\n');
  log.write('init', 'two\n');
  log.write('apply', 'three\n');
  log.write('init', 'four\n');
  expect(await log.close()).toEqual({ droppedBytes: 0 });
  expect((await stored()).map(({ stage, text, try: tryNumber, index }) => ({ stage, text, tryNumber, index }))).toEqual(
    [
      { stage: 'init', text: 'one\ntwo\n', tryNumber: 1, index: 1 },
      { stage: 'apply', text: 'three\n', tryNumber: 1, index: 1 },
      { stage: 'init', text: 'four\n', tryNumber: 1, index: 1 },
    ],
  );
});

test('one flush is one statement, announced once', async () => {
  const { state, db: watched } = flaky();
  const { log, deploymentId } = setup({ db: watched });
  const heard: string[] = [];
  const stop = await db.listen(logChannel, (payload) => heard.push(payload));
  for (let i = 0; i < 100; i++) log.write(i % 2 ? 'plan' : 'apply', `line ${i}\n`);
  expect(await log.flush()).toBe(true);
  expect(state.statements).toBe(1);
  await db.ping();
  expect(heard.map((payload) => JSON.parse(payload) as unknown)).toEqual([{ deploymentId }]);
  await stop();
  await log.close();
});

test('text is stored by itself, without a flush', async () => {
  const stored = await new Promise<number>((resolve) => {
    const { log } = setup({ onFlush: ({ bytes }) => resolve(bytes) });
    log.write('apply', 'by itself');
  });
  expect(stored).toBe(9);
});

test('a secret split over writes, at every place, is masked', async () => {
  const secret = 'hunter2-swordfish';
  for (let cut = 1; cut < secret.length; cut++) {
    const { log, masker, text } = setup();
    masker.add(secret);
    log.write('apply', `password = ${secret.slice(0, cut)}`);
    await log.flush();
    log.write('apply', `${secret.slice(cut)} done\n`);
    await log.close();
    const found = await text();
    expect(found).toBe('password = *** done\n');
  }
});

test('a secret with a terminal sequence in its midst, in base64, or between two sequences is masked', async () => {
  const { log, masker, text } = setup();
  masker.add('hunter2-swordfish');
  log.write('apply', 'a hunter2\u001b[0m-swordfish b ');
  log.write('apply', `${Buffer.from('x hunter2-swordfish y').toString('base64')} c`);
  await log.close();
  const found = await text();
  expect(found).toContain('a *** b ');
  expect(found).not.toContain('hunter2');
  expect(found).not.toContain(Buffer.from('hunter2-swordfish').toString('base64').slice(0, 12));
});

test('terminal sequences, NUL and what is not UTF-8 do not stop the log', async () => {
  const { log, text } = setup();
  log.write('apply', '\u001b[32mgreen\u001b[0m\u0000\r\n');
  log.write('apply', Buffer.from([0xff, 0x61, 0x0a]));
  log.write('apply', 'lone \ud800 surrogate\n');
  expect(await log.close()).toEqual({ droppedBytes: 0 });
  expect(await text()).toBe('green\n\ufffda\nlone \ufffd surrogate\n');
});

test('long text is split into chunks of at most 64 KiB', async () => {
  const { log, stored, text } = setup();
  const long = `${'ä'.repeat(500)}\n`.repeat(300);
  log.write('apply', long);
  await log.close();
  const rows = await stored();
  expect(rows.length).toBeGreaterThan(4);
  for (const row of rows) expect(Buffer.byteLength(row.text)).toBeLessThanOrEqual(64 * 1024);
  expect(await text()).toBe(long);
});

test('a log that grows without end is cut off with one line that says so', async () => {
  const { log, text } = setup({ limits: { maxBytes: 1_000 } });
  for (let i = 0; i < 500; i++) log.write('apply', '0123456789');
  await log.close();
  const found = await text();
  expect(found.match(/windlass: this log is larger than 1 KiB/g)).toHaveLength(1);
  expect(Buffer.byteLength(found)).toBeLessThan(1_200);
  expect(found.startsWith('0123456789'.repeat(100))).toBe(true);
});

test('while the database is away text is held, and stored when it is back', async () => {
  const { state, db: away } = flaky();
  const { log, text } = setup({ db: away });
  state.down = true;
  log.write('apply', 'during the outage\n');
  expect(await log.flush()).toBe(false);
  log.write('apply', 'still\n');
  state.down = false;
  expect(await log.flush()).toBe(true);
  await log.close();
  expect(await text()).toBe('during the outage\nstill\n');
});

test('an outage that is too long for the memory is told in the log', async () => {
  const { state, db: away } = flaky();
  const { log, text } = setup({ db: away, limits: { maxBufferBytes: 1_000 } });
  state.down = true;
  for (let i = 0; i < 10; i++) log.write('apply', `${'x'.repeat(299)}\n`);
  await log.flush();
  state.down = false;
  expect(await log.flush()).toBe(true);
  log.write('apply', 'back again\n');
  expect(await log.close()).toEqual({ droppedBytes: 2_100 });
  const found = await text();
  expect(found.match(/x{299}/g)).toHaveLength(3);
  expect(found).toMatch(/3 KiB of this log were lost while the database could not be reached\]\nback again\n$/);
});

test('closing gives up in bounded time when the database stays away', async () => {
  const { state, db: away } = flaky();
  const { log } = setup({ db: away, limits: { closeTimeoutMs: 300 } });
  state.down = true;
  log.write('apply', 'lost');
  expect(await log.close()).toEqual({ droppedBytes: 4 });
  log.write('apply', 'ignored');
  expect(await log.close()).toEqual({ droppedBytes: 4 });
});

test('many writers at once keep their own order', async () => {
  const deploymentId = `dep_${randomBytes(4).toString('hex')}`;
  const logs = Array.from({ length: 20 }, (_, index) =>
    openLog({
      masker: new Masker(),
      append: (chunks) => appendLog(db.sql, { deploymentId, index, compensation: false, try: 1 }, chunks),
    }),
  );
  for (let line = 0; line < 200; line++) for (const log of logs) log.write('apply', `${line}\n`);
  await Promise.all(logs.map((log) => log.close()));
  const rows = await db.sql
    .selectFrom('log_chunks')
    .selectAll()
    .where('deployment_id', '=', deploymentId)
    .orderBy('id')
    .execute();
  const expected = Array.from({ length: 200 }, (_, line) => `${line}\n`).join('');
  for (let index = 0; index < 20; index++) {
    expect(
      rows
        .filter((row) => row.index === index)
        .map((row) => row.text)
        .join(''),
    ).toBe(expected);
  }
});
