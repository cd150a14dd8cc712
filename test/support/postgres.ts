import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { clockVariables, toolPath } from './tools.ts';
import { until } from './until.ts';

const run = promisify(execFile);

export interface TestPostgres {
  /** Of the database `postgres`. */
  readonly url: string;
  /** Its processes have their files and work in it. */
  readonly directory: string;
  /** Makes an empty database and answers its address. */
  createDatabase(name: string): Promise<string>;
  /** Ends the server at once, as a crash does, keeps its files, and answers when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same files. */
  start(): Promise<void>;
  /** Ends it and starts it again. */
  restart(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** The directory of the real binaries: wrappers in front of them may choose a user or a cluster of their own. */
function binaries(): string {
  const installed = '/usr/lib/postgresql';
  if (process.env['WINDLASS_INITDB'] === undefined && existsSync(installed)) {
    const newest = readdirSync(installed).sort((a, b) => Number(b) - Number(a));
    for (const version of newest) {
      const directory = join(installed, version, 'bin');
      if (existsSync(join(directory, 'initdb')) && existsSync(join(directory, 'postgres'))) return directory;
    }
  }
  return dirname(realpathSync(toolPath('initdb')));
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root; then it runs as the user that comes with its packages. */
async function userToRunAs(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string): Promise<number> => Number((await run('id', [flag, 'postgres'])).stdout.trim());
  return { uid: await id('-u'), gid: await id('-g') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** A real PostgreSQL server of its own in a temporary directory, without fsync, on a free port of 127.0.0.1. */
export async function startPostgres(options: { readonly settings?: readonly string[] } = {}): Promise<TestPostgres> {
  const bin = binaries();
  const user = await userToRunAs();
  const directory = mkdtempSync(join(tmpdir(), 'windlass-pg-'));
  if (user) chownSync(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', ...clockVariables() };
  const initdb = ['-D', data, '-U', 'windlass', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
  await run(join(bin, 'initdb'), initdb, { ...user, env: environment, cwd: directory });

  const port = await freePort();
  const url = `postgres://windlass@127.0.0.1:${port}/postgres`;
  const settings = [
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'shared_buffers=32MB',
    'max_connections=60',
  ];
  let server: ChildProcess | null = null;
  let said = '';

  async function start(): Promise<void> {
    const chosen = [...settings, ...(options.settings ?? [])].flatMap((setting) => ['-c', setting]);
    const args = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', directory, ...chosen];
    const child = spawn(join(bin, 'postgres'), args, {
      ...user,
      env: environment,
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
    server = child;
    await until(
      async () => {
        if (await answers(url)) return true;
        if (child.exitCode === null) return false;
        throw new Error(`PostgreSQL did not start:\n${said}`);
      },
      { withinMs: 60_000, what: 'PostgreSQL answers', explain: async () => said },
    );
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const child = server;
    server = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  // SIGQUIT is the immediate shutdown: clients are cut off, and the next start recovers from the log. SIGKILL would
  // leave its children and their shared memory behind.
  const kill = (): Promise<void> => end('SIGQUIT');
  await start();
  return {
    url,
    directory,
    async createDatabase(name) {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        await client.query(`CREATE DATABASE "${name}"`);
      } finally {
        await client.end();
      }
      return url.replace(/\/postgres$/, `/${name}`);
    },
    kill,
    start,
    async restart() {
      await kill();
      await start();
    },
    async stop() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
