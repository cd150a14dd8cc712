import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sql } from 'kysely';
import { openDatabase } from '../src/store/index.ts';

let directory = '';
/** A directory with a closed database: making one takes seconds, copying it does not. */
let made = '';
beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), 'windlass-db-'));
  await (await openDatabase({ kind: 'pglite', directory: made })).close();
});
afterAll(() => rmSync(made, { recursive: true, force: true }));
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windlass-db-'));
  cpSync(made, directory, { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = () => openDatabase({ kind: 'pglite', directory });
const lock = (): string => join(directory, 'database.lock');

/** Another process that opens the same directory and runs `body` on its database; answers the lines it prints. */
function inAnotherProcess(body: string): { child: ChildProcess; lines: AsyncIterator<string> } {
  const script = `
    const { sql } = require('kysely');
    require('./src/store/index.ts').openDatabase({ kind: 'pglite', directory: ${JSON.stringify(directory)} }).then(async (database) => { ${body} })
      .catch((error) => console.log('failed: ' + error.message));`;
  const child = spawn(process.execPath, ['-r', './scripts/register-typescript.cjs', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('unreachable');
  return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
}

async function next(lines: AsyncIterator<string>): Promise<string> {
  const line = await lines.next();
  if (line.done) throw new Error('the process ended');
  return line.value;
}

describe('a database in a directory', () => {
  test('is there again after it was closed', async () => {
    const first = await open();
    const [project] = await first.sql.selectFrom('projects').selectAll().execute();
    await first.close();
    expect(existsSync(lock())).toBe(false);
    const second = await open();
    expect(await second.sql.selectFrom('projects').selectAll().execute()).toEqual([project]);
    await second.close();
  });

  test('belongs to one process at a time, and says which', async () => {
    const { child, lines } = inAnotherProcess(`console.log('open'); setInterval(() => {}, 1000);`);
    expect(await next(lines)).toBe('open');
    await expect(open()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`in use by process ${child.pid}`),
    });
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    const database = await open();
    await expect(open()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    await database.close();
  });

  test.each([
    ['of a process that is over', () => JSON.stringify({ pid: 2 ** 22 - 1, started: null, boot: null })],
    ['of another process that had this id', () => JSON.stringify({ pid: process.pid, started: '1', boot: null })],
    ['from before the machine was started', () => JSON.stringify({ pid: process.pid, started: null, boot: 'another' })],
    ['that cannot be read', () => '{'],
  ])('takes over a lock %s', async (_, content) => {
    writeFileSync(lock(), content());
    const database = await open();
    expect(JSON.parse(readFileSync(lock(), 'utf8'))).toMatchObject({ pid: process.pid });
    await database.close();
    expect(readdirSync(directory)).toEqual(['pgdata']);
  });

  test('that was being made when the process was killed is made anew', async () => {
    const unfinished = join(directory, 'pgdata.new-1');
    rmSync(join(directory, 'pgdata'), { recursive: true });
    writeFileSync(unfinished, 'half');
    const second = await open();
    await second.ping();
    await second.close();
    expect(existsSync(unfinished)).toBe(false);
  });

  test('that cannot be opened says where and why', async () => {
    rmSync(join(directory, 'pgdata'), { recursive: true });
    writeFileSync(join(directory, 'pgdata'), 'not a directory');
    await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(directory) });
    expect(existsSync(lock())).toBe(false);
  });

  test('keeps every write that was answered when its process is killed in the middle of writing', async () => {
    for (let round = 1; round <= 3; round++) {
      const { child, lines } = inAnotherProcess(`
        await sql\`CREATE TABLE IF NOT EXISTS written (round int, n int, filler text, PRIMARY KEY (round, n))\`.execute(database.sql);
        await sql\`CREATE TABLE IF NOT EXISTS pairs (round int, n int, half int)\`.execute(database.sql);
        for (let n = 1; ; n++) {
          await database.transaction(async (tx) => {
            await sql\`INSERT INTO written VALUES (${round}, \${n}, \${'x'.repeat(n % 3000)})\`.execute(tx);
            await sql\`INSERT INTO pairs VALUES (${round}, \${n}, 1)\`.execute(tx);
            await sql\`INSERT INTO pairs VALUES (${round}, \${n}, 2)\`.execute(tx);
            if (n % 100 === 0) await sql\`UPDATE written SET filler = filler || 'y'\`.execute(tx);
          });
          console.log(n);
        }`);
      let answered = 0;
      while (answered < 150 * round) answered = Number(await next(lines));
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      // What it had still printed counts as answered too.
      for (let line = await lines.next(); !line.done; line = await lines.next()) answered = Number(line.value);

      const database = await open();
      const { rows } = await sql<{ count: number; last: number }>`
        SELECT count(*) AS count, max(n) AS last FROM written WHERE round = ${round}`.execute(database.sql);
      expect(rows[0]?.count).toBe(rows[0]?.last);
      expect(rows[0]?.last).toBeGreaterThanOrEqual(answered);
      expect(rows[0]?.last).toBeLessThanOrEqual(answered + 1);
      const halves = await sql`SELECT n FROM pairs WHERE round = ${round} GROUP BY n HAVING count(*) <> 2`.execute(
        database.sql,
      );
      expect(halves.rows).toEqual([]);
      await database.close();
    }
  });
});
