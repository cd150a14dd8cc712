import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from './support/postgres.ts';
import type { TestPostgres } from './support/postgres.ts';
import { buildDist, freePort, startProcess, tailOf } from './support/processes.ts';
import { noteSeen, until } from './support/until.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';

const main = join(__dirname, '..', 'dist', 'src', 'cli', 'main.js');
let postgres: TestPostgres;
let root: string;
let shared: Record<string, string>;

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-administrator-'));
  postgres = await startPostgres();
  shared = {
    WINDLASS_DATABASE_URL: await postgres.createDatabase('windlass'),
    WINDLASS_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    // Nobody is there: the key belongs to the database alone.
    TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}`,
    WINDLASS_LOG_LEVEL: 'debug',
  };
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Starts `windlass server` on a data directory, lets something look at it, and answers what it logged. */
async function whileServing(
  name: string,
  flags: readonly string[],
  look: (url: string, keyFile: string) => Promise<void>,
): Promise<string> {
  const dataDirectory = join(root, name);
  mkdirSync(dataDirectory, { recursive: true });
  const port = await freePort();
  const logFile = join(root, `${name}.log`);
  const server = startProcess({
    command: process.execPath,
    args: [main, 'server', ...flags],
    env: { ...testEnvironment(dataDirectory), ...shared, WINDLASS_PORT: String(port) },
    logFile,
  });
  try {
    // The line about the key is the last of a start.
    await until(() => {
      noteSeen('its log', tailOf(logFile));
      if (!server.running) throw new Error(`the server did not start:\n${tailOf(logFile)}`);
      return /administrator key/.test(tailOf(logFile));
    });
    await look(`http://127.0.0.1:${port}`, join(dataDirectory, 'administrator.token'));
  } finally {
    await server.stop();
  }
  return readFileSync(logFile, 'utf8');
}

it('is made once for a database, told to a file alone, and made again only when asked for', async () => {
  let key = '';
  const names = async (url: string): Promise<string[]> =>
    (await createTestClient(url, key).request<{ items: { name: string }[] }>('GET', '/keys')).items.map(
      ({ name }) => name,
    );
  const first = await whileServing('first', [], async (url, keyFile) => {
    key = readFileSync(keyFile, 'utf8').trim();
    expect(await names(url)).toEqual(['administrator']);
  });
  expect(first).toContain(join(root, 'first', 'administrator.token'));
  const second = await whileServing('second', [], async (url, keyFile) => {
    expect(existsSync(keyFile)).toBe(false);
    expect(await names(url)).toEqual(['administrator']);
  });
  const asked = await whileServing('third', ['--new-administrator-key'], async (url, keyFile) => {
    expect(readFileSync(keyFile, 'utf8').trim()).not.toBe(key);
    expect(await names(url)).toEqual(['administrator', 'administrator 2']);
  });
  for (const log of [first, second, asked]) expect(log).not.toMatch(/wlk_[0-9a-z]{20}_/);
});
