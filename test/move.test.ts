import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { startPostgres } from './support/postgres.ts';
import type { TestPostgres } from './support/postgres.ts';
import {
  buildDist,
  freePort,
  startProcess,
  startServer,
  startTemporal,
  startUp,
  startWorker,
  tailOf,
  untilOver,
} from './support/processes.ts';
import type { TestApi, TestTemporal } from './support/processes.ts';
import { shownDirectory } from './support/stack-paths.ts';
import { toolPath } from './support/tools.ts';
import { testEnvironment } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

const main = join(__dirname, '..', 'dist', 'src', 'cli', 'main.js');
const passphrase = 'correct horse battery staple';
let root: string;
/** What the stack writes outside of its work directory. */
let shared: string;
let dataDirectory: string;
let source: string;
const running: { stop(): Promise<unknown> }[] = [];

jest.setTimeout(900_000);

beforeAll(() => buildDist());
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-move-'));
  shared = shownDirectory('move');
  dataDirectory = join(root, 'old', 'data');
  source = join(root, 'source');
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  mkdirSync(source);
  writeFileSync(join(source, 'readme.md'), '');
});
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
  rmSync(root, { recursive: true, force: true });
  rmSync(shared, { recursive: true, force: true });
});

/** Runs a command line to its end; answers its exit code and what it said. */
async function windlass(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: boolean; said: string }> {
  const logFile = join(root, `cli-${args[0] ?? ''}-${Math.random()}.log`);
  const cli = startProcess({
    command: process.execPath,
    args: [
      '-e',
      `process.argv.splice(1, 0, ${JSON.stringify(main)}); process.on('exit', (code) => console.log('exit ' + code)); require(${JSON.stringify(main)})`,
      '--',
      ...args,
    ],
    env: {
      ...testEnvironment(dataDirectory),
      XDG_CONFIG_HOME: join(root, 'config'),
      WINDLASS_BACKUP_PASSPHRASE: passphrase,
      ...env,
    },
    logFile,
  });
  await untilOver(cli, 'the command');
  const said = readFileSync(logFile, 'utf8');
  return { code: said.includes('exit 0'), said };
}

const up = async (): Promise<TestApi> => {
  const started = await startUp({ dataDirectory, port: await freePort() });
  running.push(started);
  return started;
};

/** What the stack has done, oldest first. */
const journal = (): string[] =>
  existsSync(join(shared, 'journal')) ? readFileSync(join(shared, 'journal'), 'utf8').trim().split('\n') : [];

async function makeShop(client: TestClient, settings: Record<string, unknown>): Promise<Environment> {
  await client.createTemplate({
    name: 'shop',
    type: 'shell',
    source: { kind: 'local', directory: source },
    config: {
      deployScript: `echo deploy >> ${shared}/journal; test ! -e ${shared}/slow || sleep 8`,
      destroyScript: `echo destroy >> ${shared}/journal`,
    },
  });
  return client.createEnvironment({ name: 'shop', template: 'shop', settings });
}

const runsOf = async (client: TestClient): Promise<Deployment[]> =>
  (await client.request<Page<Deployment>>('GET', '/environments/shop/deployments')).items;

const cron = { schedule: { deploy: '0 6 * * *', timezone: 'Europe/Berlin', paused: false } };

describe('a move to PostgreSQL and another Temporal', () => {
  let postgres: TestPostgres;
  let temporal: TestTemporal;
  let url: string;
  beforeEach(async () => {
    postgres = await startPostgres();
    running.push(postgres);
    url = await postgres.createDatabase('moved');
    mkdirSync(join(root, 'temporal'));
    temporal = await startTemporal(toolPath('temporal'), join(root, 'temporal'), {
      port: await freePort(),
      uiPort: await freePort(),
    });
    running.push(temporal);
  });

  const move = (...more: string[]) =>
    windlass(['move', '--temporal-address', temporal.address, '--data', dataDirectory, ...more], {
      WINDLASS_MOVE_DATABASE_URL: url,
    });

  async function query(statement: string): Promise<void> {
    const database = new Client(url);
    await database.connect();
    await database.query(statement);
    await database.end();
  }

  async function newServer(): Promise<TestApi> {
    const there = join(root, 'new', 'data');
    mkdirSync(there, { recursive: true });
    copyFileSync(join(dataDirectory, 'administrator.token'), join(there, 'administrator.token'));
    const env = {
      WINDLASS_DATABASE_URL: url,
      TEMPORAL_ADDRESS: temporal.address,
      WINDLASS_ENCRYPTION_KEY_FILE: join(dataDirectory, 'encryption.key'),
    };
    const server = await startServer({ dataDirectory: there, port: await freePort(), env });
    mkdirSync(join(root, 'worker', 'data'), { recursive: true });
    running.push(startWorker(join(root, 'worker', 'data'), { ...env, WINDLASS_STATE_URL: server.client.url }));
    running.push(server);
    return server;
  }

  test('waits for open runs, holds new ones back, and takes times to live, schedules and held runs with it', async () => {
    const old = await up();
    const shop = await makeShop(old.client, cron);
    writeFileSync(join(shared, 'slow'), '');
    const open = await old.client.start('shop');
    await old.client.until(async () => journal().length === 1);

    const refused = await move();
    expect(refused.code).toBe(false);
    expect(refused.said).toContain('#1 of "shop"');
    expect(old.running).toBe(true);

    const moving = move('--wait');
    await old.client.until(async () => (await old.client.request<{ hold: unknown }>('GET', '/installation')).hold);
    const held = await old.client.start('shop', { comment: 'held' });
    expect(held.status).toBe('queued');
    const moved = await moving;
    expect([moved.code, moved.said]).toEqual([true, expect.stringContaining('Moved to 127.0.0.1')]);
    expect(old.running).toBe(false);
    rmSync(join(shared, 'slow'));

    // Most important: the old one is over.
    const again = await windlass(['up', '--data', dataDirectory]);
    expect(again.code).toBe(false);
    expect(again.said).toContain('this installation was moved to');

    const { client } = await newServer();
    expect((await client.ended(open.id)).status).toBe('succeeded');
    expect((await client.ended(held.id)).status).toBe('succeeded');
    expect(journal()).toEqual(['deploy', 'deploy']);
    const schedule = await client.until(async () => {
      const answer = await client.request<{ next: { deploy: string[] }; missed: number | null }>(
        'GET',
        '/environments/shop/schedule',
      );
      return answer.missed === 0 && answer;
    });
    expect(schedule.next.deploy.length).toBeGreaterThan(0);

    await client.request('PUT', `/environments/${shop.id}/ttl`, {
      kind: 'date',
      at: new Date(Date.now() + 4000).toISOString(),
    });
    await client.until(async () => journal().includes('destroy'));
  });

  test('destroys an environment whose time to live ends at the new place, once', async () => {
    const old = await up();
    await makeShop(old.client, {});
    await old.client.run('shop');
    const at = new Date(Date.now() + 3_600_000).toISOString();
    await old.client.request('PUT', '/environments/shop/ttl', { kind: 'date', at });
    expect((await move()).said).toContain('Moved to');
    // Its hour passes while nothing runs.
    await query(`UPDATE environments SET expires_at = now() WHERE expires_at IS NOT NULL`);
    const { client } = await newServer();
    await client.until(async () => (await client.environment('shop')).status === 'inactive');
    expect(journal()).toEqual(['deploy', 'destroy']);
    expect((await runsOf(client)).filter(({ type }) => type === 'destroy').map(({ trigger }) => trigger)).toEqual([
      'ttl',
    ]);
  });

  test('destroys a node whose time to live ends at the new place, once', async () => {
    const old = await up();
    const vcs = (name: string) =>
      `{ type: shell, path: ., deployScript: 'echo deploy ${name} >> ${shared}/journal', destroyScript: 'echo destroy ${name} >> ${shared}/journal' }`;
    const file = `environments:\n  a: { vcs: ${vcs('a')} }\n  b: { vcs: ${vcs('b')}, needs: [a], ttl: 1h }\n`;
    writeFileSync(join(source, 'windlass.workflow.yml'), file);
    const local = { kind: 'local' as const, directory: source };
    await old.client.createTemplate({ name: 'shop', type: 'workflow', source: local });
    await old.client.createEnvironment({ name: 'shop', template: 'shop', settings: {} });
    expect((await old.client.run('shop')).status).toBe('succeeded');
    expect((await move()).said).toContain('Moved to');
    // Its hour passes while nothing runs.
    await query(`UPDATE environments SET expires_at = now() WHERE expires_at IS NOT NULL`);
    const { client } = await newServer();
    await client.until(async () => (await client.environment('shop/b')).status === 'inactive');
    expect(journal()).toEqual(['deploy a', 'deploy b', 'destroy b']);
    expect((await client.environment('shop/a')).status).toBe('active');
    expect((await runsOf(client)).map(({ trigger }) => trigger)).toEqual(['ttl', 'api']);
  });

  test('to a database that is not empty changes nothing', async () => {
    const old = await up();
    await query('CREATE TABLE theirs (id int)');
    const refused = await move();
    expect(refused.said).toContain('the database is not empty');
    expect(old.running).toBe(true);
    expect((await old.client.request<{ hold: unknown }>('GET', '/installation')).hold).toBeNull();
  });
});

test('a backup of a running server is restored into an empty one, where schedules run and ends that passed wait', async () => {
  const old = await up();
  await makeShop(old.client, cron);
  await old.client.run('shop');
  await old.client.request('PUT', '/environments/shop/ttl', {
    kind: 'date',
    at: new Date(Date.now() + 20_000).toISOString(),
  });
  const file = join(root, 'windlass.backup');
  expect((await windlass(['backup', file, '--data', dataDirectory])).said).toContain('Wrote');
  await old.stop();
  const token = join(dataDirectory, 'administrator.token');

  const before = dataDirectory;
  dataDirectory = join(root, 'restored', 'data');
  const restored = await windlass(['restore', file, '--data', dataDirectory]);
  expect([restored.code, restored.said]).toEqual([true, expect.stringContaining('Restored')]);
  copyFileSync(join(before, 'administrator.token'), join(dataDirectory, 'administrator.token'));
  expect(existsSync(token)).toBe(true);

  const fresh = await up();
  const { client } = fresh;
  const expiresAt = await client.until(async () => {
    const at = Date.parse((await client.environment('shop')).expiresAt ?? '');
    return at > Date.now() + 23 * 3_600_000 && at;
  });
  expect(expiresAt).toBeLessThan(Date.now() + 25 * 3_600_000);
  const { missed } = await client.until(async () => {
    const answer = await client.request<{ missed: number | null; next: { deploy: string[] } }>(
      'GET',
      '/environments/shop/schedule',
    );
    return answer.missed === 0 && answer.next.deploy.length > 0 && answer;
  });
  expect(missed).toBe(0);
  expect((await client.run('shop')).status).toBe('succeeded');
  expect(journal()).toEqual(['deploy', 'deploy']);
  expect(tailOf(fresh.logFile)).not.toContain('encryption');
});
