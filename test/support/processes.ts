import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { searchAttributes } from '../../src/model/index.ts';
import { clockVariables } from './tools.ts';
import { until } from './until.ts';
import { createTestClient, testEnvironment } from './windlass.ts';
import type { TestClient } from './windlass.ts';

const root = join(__dirname, '..', '..');
/** Beside this file where it is compiled itself, as in the benchmarks. */
const besideUs = join(root, 'src', 'cli', 'main.js');
const main = existsSync(besideUs) ? besideUs : join(root, 'dist', 'src', 'cli', 'main.js');
const startWithinMs = 120_000;

/** Builds dist/ when the sources have changed: processes of their own run the compiled code, as users do. */
export function buildDist(): void {
  execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { cwd: root, stdio: 'pipe' });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export interface TestProcess {
  readonly pid: number;
  /** Everything it printed. */
  readonly logFile: string;
  readonly running: boolean;
  /** Ends it as a power cut would, and answers when it is gone. */
  kill(): Promise<void>;
  /** Asks it to end and waits; kills it when it takes too long. */
  stop(): Promise<void>;
}

export interface SpawnOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
}

/** Starts a program whose output goes to a file; nothing of the environment is passed on but PATH and HOME. */
export function startProcess({ command, args, env, logFile }: SpawnOptions): TestProcess {
  const log = openSync(logFile, 'a');
  const child: ChildProcess = spawn(command, args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...clockVariables(), ...env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const gone = once(child, 'exit');
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (running()) child.kill(signal);
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    logFile,
    get running() {
      return running();
    },
    kill: () => end('SIGKILL'),
    async stop() {
      const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
      await end('SIGTERM');
      clearTimeout(late);
    },
  };
}

/** The end of what a process printed, for the message of a test that fails. */
export function tailOf(logFile: string, length = 3000): string {
  return existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-length) : '';
}

/** Waits until a program is ready. What is not there yet is no error; a program that has ended is. */
export async function whileStarting(process: TestProcess, what: string, ready: () => Promise<boolean>): Promise<void> {
  await until(
    async () => {
      if (await ready().catch(() => false)) return true;
      if (process.running) return false;
      throw new Error(`${what} did not start:\n${tailOf(process.logFile)}`);
    },
    {
      withinMs: startWithinMs,
      everyMs: 100,
      what: `${what} has started`,
      explain: async () => tailOf(process.logFile),
    },
  );
}

/** Waits until a program has ended by itself. */
export async function untilOver(process: TestProcess, what: string): Promise<void> {
  await until(() => !process.running, { what: `${what} is over`, explain: async () => tailOf(process.logFile) });
}

const answersWell = async (url: string): Promise<boolean> => (await fetch(url)).ok;

export interface TestApi extends TestProcess {
  readonly client: TestClient;
}

/** Answers when the server is ready and has written its token. A server that does not get there is ended. */
async function clientOf(process: TestProcess, url: string, dataDirectory: string): Promise<TestApi> {
  const file = join(dataDirectory, 'administrator.token');
  try {
    await whileStarting(process, 'Windlass', async () => (await answersWell(`${url}/readyz`)) && existsSync(file));
  } catch (error) {
    await process.kill();
    throw error;
  }
  const token = readFileSync(file, 'utf8').trim();
  return Object.assign(process, { client: createTestClient(url, token) });
}

export interface UpOptions {
  readonly dataDirectory: string;
  readonly port: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Compiled program that is started in place of `windlass`, from the root of dist/. */
  readonly program?: string;
}

/** `windlass up` in a process of its own. */
export function startUp({ dataDirectory, port, env = {}, program }: UpOptions): Promise<TestApi> {
  const process_ = startProcess({
    command: process.execPath,
    args: [program === undefined ? main : join(root, 'dist', program), 'up'],
    env: { ...testEnvironment(dataDirectory), WINDLASS_PORT: String(port), ...env },
    logFile: join(dataDirectory, '..', 'up.log'),
  });
  return clientOf(process_, `http://127.0.0.1:${port}`, dataDirectory);
}

/** `windlass server`. */
export function startServer(options: UpOptions): Promise<TestApi> {
  const { dataDirectory, port, env = {} } = options;
  const process_ = startProcess({
    command: process.execPath,
    args: [main, 'server'],
    env: { ...testEnvironment(dataDirectory), WINDLASS_PORT: String(port), ...env },
    logFile: join(dataDirectory, '..', 'server.log'),
  });
  return clientOf(process_, `http://127.0.0.1:${port}`, dataDirectory);
}

/** `windlass worker`. It is ready when it has taken its first task; nothing has to be waited for. */
export function startWorker(dataDirectory: string, env: Readonly<Record<string, string>>): TestProcess {
  return startProcess({
    command: process.execPath,
    args: [main, 'worker'],
    env: { ...testEnvironment(dataDirectory), ...env },
    logFile: join(dataDirectory, '..', 'worker.log'),
  });
}

/** A worker of a runner pool: what it knows is where the server and Temporal are, and the pool's token. */
export function startPoolWorker(
  dataDirectory: string,
  pool: { readonly name: string; readonly token: string; readonly url: string; readonly temporalAddress: string },
): TestProcess {
  return startProcess({
    command: process.execPath,
    args: [main, 'worker', '--pool', pool.name],
    env: {
      ...testEnvironment(dataDirectory),
      TEMPORAL_ADDRESS: pool.temporalAddress,
      WINDLASS_URL: pool.url,
      WINDLASS_POOL_TOKEN: pool.token,
    },
    logFile: join(dataDirectory, '..', 'pool-worker.log'),
  });
}

export interface TestTemporal extends TestProcess {
  readonly address: string;
}

/** A Temporal server with its data in a file, so that it can be killed and started again. */
export async function startTemporal(
  program: string,
  directory: string,
  ports: { port: number; uiPort: number },
): Promise<TestTemporal> {
  const fast = [
    'history.transferProcessorMaxPollRPS=2000',
    'history.timerProcessorMaxPollRPS=2000',
    'matching.numTaskqueueReadPartitions=1',
    'matching.numTaskqueueWritePartitions=1',
  ];
  const process_ = startProcess({
    command: program,
    args: [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.port), '--ui-port', String(ports.uiPort)],
      ...['--db-filename', join(directory, 'temporal.db'), '--log-level', 'warn'],
      ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal'],
      ...fast.flatMap((setting) => ['--dynamic-config-value', setting]),
      ...Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ],
    env: {},
    logFile: join(directory, 'temporal.log'),
  });
  const address = `127.0.0.1:${ports.port}`;
  const describe = ['operator', 'namespace', 'describe', 'default', '--address', address];
  const ready = async (): Promise<boolean> => {
    await promisify(execFile)(program, describe, { timeout: 10_000 });
    return true;
  };
  try {
    await whileStarting(process_, 'Temporal', ready);
  } catch (error) {
    await process_.kill();
    throw error;
  }
  return Object.assign(process_, { address });
}

export interface FoundProcess {
  readonly pid: number;
  readonly parent: number;
  readonly args: readonly string[];
}

/** Processes that have the text in their arguments or work in a directory under it. Linux only. */
export function processesOf(text: string): FoundProcess[] {
  return readdirSync('/proc').flatMap((entry): FoundProcess[] => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return [];
    try {
      const args = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').slice(0, -1);
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z') return [];
      const cwd = readlinkSync(`/proc/${entry}/cwd`);
      if (!cwd.startsWith(text) && !args.some((arg) => arg.includes(text))) return [];
      return [{ pid: Number(entry), parent: Number(fields[1]), args }];
    } catch {
      // It ended in the meantime, or belongs to somebody else.
      return [];
    }
  });
}
