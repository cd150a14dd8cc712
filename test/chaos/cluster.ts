import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'node:net';
import { dynamicConfig, sqlitePragmas } from '../../src/embedded/index.ts';
import { searchAttributes } from '../../src/model/index.ts';
import { freePort, processesOf, startProcess, tailOf } from '../support/processes.ts';
import type { TestProcess } from '../support/processes.ts';
import { startPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { startTemporalCluster, temporalServices } from '../support/temporal-cluster.ts';
import type { TemporalService } from '../support/temporal-cluster.ts';
import { toolPath } from '../support/tools.ts';

const windlassMembers = ['worker-1', 'worker-2', 'api'] as const;
/** Of Temporal there is one process, `temporal`, or one for each service of a cluster. */
export type MemberName = (typeof windlassMembers)[number] | 'temporal' | TemporalService;
/** What runs and waits are kept by: the development server, or a cluster of seven processes. */
export type TemporalKind = 'server' | 'cluster';

/** Compiled beside this file: dist/src and dist/test. */
const main = join(__dirname, '..', '..', 'src', 'cli', 'main.js');
const startWithinMs = 120_000;
const lookEveryMs = 200;

interface Member {
  readonly start: () => Promise<TestProcess>;
  process: TestProcess | null;
  /** A restart before this moment is held back. */
  downUntilMs: number;
  killedByUs: boolean;
}

const newMember = (start: Member['start'], process_: TestProcess | null = null): Member => ({
  start,
  process: process_,
  downUntilMs: 0,
  killedByUs: false,
});

/** Temporal, started. */
interface TemporalMembers {
  readonly address: string;
  readonly members: ReadonlyMap<MemberName, Member>;
  stop(): Promise<void>;
}

async function oneProcess(_: TestPostgres, directory: string): Promise<TemporalMembers> {
  mkdirSync(directory);
  const ports = { port: await freePort(), uiPort: await freePort() };
  const start = (): Promise<TestProcess> => startTemporal(directory, ports);
  const member = newMember(start, await start());
  return {
    address: `127.0.0.1:${ports.port}`,
    members: new Map([['temporal', member]]),
    stop: async () => member.process?.stop(),
  };
}

async function manyProcesses(postgres: TestPostgres, directory: string): Promise<TemporalMembers> {
  const { address, process: processOf, start, stop } = await startTemporalCluster(postgres, directory);
  const member = (name: TemporalService): [MemberName, Member] => [name, newMember(() => start(name), processOf(name))];
  return { address, members: new Map(temporalServices.map(member)), stop };
}

export interface Tool {
  readonly pid: number;
  readonly deploymentId: string;
  readonly alias: string;
}

/** Windlass as its users run it on servers: every part a process of its own, and somebody who starts what has ended. */
export interface Cluster {
  readonly directory: string;
  readonly apiUrl: string;
  readonly temporalAddress: string;
  readonly databaseUrl: string;
  readonly temporalMembers: readonly MemberName[];
  token(): string;
  /** Ends a part as a power cut would; it is started again after the given time. False when it did not run. */
  kill(name: MemberName, downMs: number): Promise<boolean>;
  /** OpenTofu processes that run now. */
  tools(): Tool[];
  /** Everything is up and answers. */
  ready(): Promise<void>;
  /** Parts that ended although nobody killed them, with the end of their logs. */
  readonly endedAlone: string[];
  stop(options: { readonly keepFiles: boolean }): Promise<void>;
}

export async function startCluster(temporalKind: TemporalKind): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-chaos-'));
  const postgres = await startPostgres({ settings: ['max_connections=300'] });
  const databaseUrl = await postgres.createDatabase('windlass');
  const apiPort = await freePort();
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const temporal = await (temporalKind === 'cluster' ? manyProcesses : oneProcess)(
    postgres,
    join(directory, 'temporal'),
  ).catch(async (error: unknown) => {
    await postgres.stop();
    throw error;
  });
  const temporalAddress = temporal.address;
  const key = randomBytes(32).toString('hex');
  const dataOf = (name: MemberName): string => join(directory, name);
  const environmentOf = (name: MemberName): Record<string, string> => ({
    WINDLASS_DATA: dataOf(name),
    WINDLASS_CACHE: join(directory, 'cache'),
    WINDLASS_DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporalAddress,
    WINDLASS_ENCRYPTION_KEY: key,
    WINDLASS_PORT: String(apiPort),
    WINDLASS_STATE_URL: apiUrl,
    WINDLASS_TOFU: toolPath('tofu'),
    // Stacks keep their journals here.
    WINDLASS_STACK_PATHS: join(directory, 'sources'),
    WINDLASS_LOCAL_SOURCES: directory,
    WINDLASS_LOG_LEVEL: 'info',
    WINDLASS_SHUTDOWN_GRACE_SECONDS: '2',
  });
  const windlass = (name: MemberName, command: string) => (): Promise<TestProcess> => {
    mkdirSync(dataOf(name), { recursive: true });
    return Promise.resolve(
      startProcess({
        command: process.execPath,
        args: [main, command],
        env: environmentOf(name),
        logFile: join(directory, `${name}.log`),
      }),
    );
  };
  const members = new Map<MemberName, Member>(temporal.members);
  members.set('api', newMember(windlass('api', 'server')));
  for (const name of ['worker-1', 'worker-2'] as const) members.set(name, newMember(windlass(name, 'worker')));
  const endedAlone: string[] = [];
  const tokenFile = join(dataOf('api'), 'administrator.token');
  const logOf = (name: MemberName): string =>
    join(temporal.members.has(name) ? join(directory, 'temporal') : directory, `${name}.log`);

  let stopping = false;
  const keep = async ([name, it]: [MemberName, Member]): Promise<void> => {
    while (!stopping) {
      if (it.process !== null && !it.process.running) {
        if (!it.killedByUs) endedAlone.push(`${name}: ${tailOf(logOf(name), 600)}`);
        it.process = null;
        it.killedByUs = false;
      }
      if (it.process === null && Date.now() >= it.downUntilMs) {
        it.process = await it.start().catch((error: unknown) => {
          endedAlone.push(`${name} did not start: ${error instanceof Error ? error.message : String(error)}`);
          return null;
        });
      }
      await delay(lookEveryMs);
    }
  };
  const answers = async (): Promise<boolean> => {
    if ([...members.values()].some((it) => it.process?.running !== true)) return false;
    return (await fetch(`${apiUrl}/readyz`)).ok && existsSync(tokenFile);
  };
  const ready = async (): Promise<void> => {
    for (const it of members.values()) it.downUntilMs = 0;
    const deadline = Date.now() + startWithinMs;
    while (!(await answers().catch(() => false))) {
      if (Date.now() > deadline) throw new Error(`Windlass did not come up: ${tailOf(logOf('api'), 2000)}`);
      await delay(lookEveryMs);
    }
  };
  async function stop({ keepFiles }: { readonly keepFiles: boolean }): Promise<void> {
    stopping = true;
    await Promise.all(keepers);
    // Windlass first, which ends what it has begun.
    for (const it of [...members.values()].reverse()) await it.process?.stop();
    await temporal.stop();
    for (const tool of toolsOf(directory)) process.kill(tool.pid, 'SIGKILL');
    await postgres.stop();
    if (!keepFiles) rmSync(directory, { recursive: true, force: true });
  }

  // The first start in order; later each part finds the others by itself.
  let keepers: Promise<void>[] = [];
  try {
    const api = members.get('api');
    if (api) api.process = await api.start();
    keepers = [...members].map(keep);
    await ready();
  } catch (error) {
    await stop({ keepFiles: true });
    throw error;
  }
  return {
    directory,
    apiUrl,
    temporalAddress,
    databaseUrl,
    temporalMembers: [...temporal.members.keys()],
    token: () => readFileSync(tokenFile, 'utf8').trim(),
    async kill(name, downMs) {
      const it = members.get(name);
      if (it === undefined || it.process === null || !it.process.running) return false;
      it.killedByUs = true;
      it.downUntilMs = Date.now() + downMs;
      await it.process.kill();
      return true;
    },
    tools: () => toolsOf(directory),
    ready,
    endedAlone,
    stop,
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}

/** A development server of Temporal with its data in a file, so that it can be killed and go on. */
async function startTemporal(directory: string, ports: { port: number; uiPort: number }): Promise<TestProcess> {
  const server = startProcess({
    command: toolPath('temporal'),
    args: [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.port), '--ui-port', String(ports.uiPort)],
      ...['--db-filename', join(directory, 'temporal.db'), '--log-level', 'warn'],
      ...Object.entries(sqlitePragmas).flatMap(([name, value]) => ['--sqlite-pragma', `${name}=${value}`]),
      ...Object.entries(dynamicConfig).flatMap(([name, value]) => ['--dynamic-config-value', `${name}=${value}`]),
      ...Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ],
    env: {},
    logFile: join(directory, 'temporal.log'),
  });
  for (const deadline = Date.now() + 60_000; !(await accepts(ports.port)); await delay(100)) {
    if (server.running && Date.now() < deadline) continue;
    await server.kill();
    throw new Error(`Temporal did not start: ${tailOf(server.logFile, 1000)}`);
  }
  return server;
}

function toolsOf(directory: string): Tool[] {
  return processesOf(directory).flatMap(({ pid, args }): Tool[] => {
    if (!(args[0] ?? '').endsWith('/tofu')) return [];
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const value = (name: string): string =>
        variables.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
      return [{ pid, deploymentId: value('WINDLASS_DEPLOYMENT_ID'), alias: value('WINDLASS_ALIAS') }];
    } catch {
      // It has ended in the meantime.
      return [];
    }
  });
}
