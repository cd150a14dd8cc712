/**
 * How long a deploy stands still when the worker that runs it is killed: a server, two workers and PostgreSQL, each a
 * process of its own; the worker is killed in mid-apply and the other one takes its tool over.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment, Event, Page } from '../src/model/index.ts';
import { isTerminalDeployment } from '../src/model/index.ts';
import { startPostgres } from '../test/support/postgres.ts';
import { freePort, processesOf, startProcess, tailOf } from '../test/support/processes.ts';
import type { TestProcess } from '../test/support/processes.ts';

export interface Takeover {
  readonly name: string;
  readonly rounds: number;
  /** From the kill to the first sign of another worker on the node. */
  readonly medianMs: number;
  readonly worstMs: number;
  /** From the kill to the recorded end of the run, whose tool needs no more time after the takeover. */
  readonly endMedianMs: number;
  readonly endWorstMs: number;
  /** What the project holds itself to, for the worst. */
  readonly limitMs: number;
}

export interface TakeoverOptions {
  readonly root: string;
  readonly temporalAddress: string;
  readonly tofu: string;
  readonly cacheDirectory: string;
  readonly rounds: number;
}

const limitMs = 15_000;
const giveUpAfterMs = 180_000;

async function until<T>(what: string, check: () => Promise<T | null | undefined | false>): Promise<T> {
  const giveUpAtMs = Date.now() + giveUpAfterMs;
  for (;;) {
    const found = await check();
    if (found !== null && found !== undefined && found !== false) return found;
    if (Date.now() > giveUpAtMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The worker among whose children a process is. */
function workerAbove(pid: number, workers: readonly TestProcess[]): TestProcess | null {
  for (let at = pid; at > 1; at = parentOf(at)) {
    const found = workers.find((worker) => worker.pid === at);
    if (found) return found;
  }
  return null;
}

/** Runs the rounds one after the other, each with two workers that live. */
export async function measureTakeover(options: TakeoverOptions): Promise<Takeover> {
  const { root, rounds } = options;
  const postgres = await startPostgres({ settings: ['synchronous_commit=on'] });
  const started: TestProcess[] = [];
  try {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const env = {
      WINDLASS_DATABASE_URL: await postgres.createDatabase('windlass'),
      TEMPORAL_ADDRESS: options.temporalAddress,
      WINDLASS_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
      WINDLASS_STATE_URL: url,
      WINDLASS_PORT: String(port),
      WINDLASS_TOFU: options.tofu,
      WINDLASS_CACHE: options.cacheDirectory,
      WINDLASS_LOG_LEVEL: 'warn',
      // Holds the code, and the gate at which stacks wait.
      WINDLASS_STACK_PATHS: root,
      WINDLASS_LOCAL_SOURCES: root,
    };
    const main = join(__dirname, '..', 'src', 'cli', 'main.js');
    const start = (command: 'server' | 'worker'): TestProcess => {
      const data = join(root, `takeover-${command}`);
      mkdirSync(data, { recursive: true });
      const process_ = startProcess({
        command: process.execPath,
        args: [main, command],
        env: { ...env, WINDLASS_DATA: data },
        logFile: join(root, `takeover-${command}.log`),
      });
      started.push(process_);
      return process_;
    };
    const server = start('server');
    const tokenFile = join(root, 'takeover-server', 'administrator.token');
    await until('the server', async () => {
      if (!server.running) throw new Error(`the server did not start:\n${tailOf(server.logFile)}`);
      const ready = await fetch(`${url}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      );
      return ready && existsSync(tokenFile);
    });
    const token = readFileSync(tokenFile, 'utf8').trim();
    const workers = [start('worker'), start('worker')];
    const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    };

    const takenMs: number[] = [];
    const endedMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const name = `takeover-${round}`;
      const directory = join(root, name);
      const gate = join(directory, 'go');
      writeStack(directory, gate);
      await api('POST', '/templates', { name, type: 'opentofu', source: { kind: 'local', directory, path: 'stack' } });
      const environment = await api<{ id: string }>('POST', '/environments', { name, template: name });
      const run = await api<Deployment>('POST', `/environments/${environment.id}/deployments`, {});
      await until('the create', () => Promise.resolve(existsSync(join(directory, 'begun'))));
      const worker = await until('the worker of the tool', () =>
        Promise.resolve(
          processesOf(gate)
            .map(({ pid }) => workerAbove(pid, workers))
            .find((found) => found !== null),
        ),
      );
      const killedAtMs = Date.now();
      await worker.kill();
      const taken = await until('the takeover', async () => {
        const page = await api<Page<Event>>('GET', `/deployments/${run.id}/events?limit=1000`);
        return page.items.find((event) => event.type === 'node.stage' && event.data['stage'] === 'recover');
      });
      takenMs.push(Date.parse(taken.at) - killedAtMs);
      writeFileSync(gate, '');
      const ended = await until('the end of the run', async () => {
        const deployment = await api<Deployment>('GET', `/deployments/${run.id}`);
        return isTerminalDeployment(deployment.status) && deployment;
      });
      if (ended.status !== 'succeeded')
        throw new Error(`the run ended ${ended.status}: ${JSON.stringify(ended.error)}`);
      endedMs.push(Date.parse(ended.finishedAt ?? '') - killedAtMs);
      workers.splice(workers.indexOf(worker), 1, start('worker'));
    }
    return {
      name: 'worker killed in mid-apply',
      rounds,
      medianMs: middleOf(takenMs),
      worstMs: Math.max(...takenMs),
      endMedianMs: middleOf(endedMs),
      endWorstMs: Math.max(...endedMs),
      limitMs,
    };
  } finally {
    await Promise.all(started.map((process_) => process_.stop()));
    await postgres.stop();
  }
}

const middleOf = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** A stack whose create says that it has begun and ends when the gate is there. */
function writeStack(directory: string, gate: string): void {
  mkdirSync(join(directory, 'stack'), { recursive: true });
  const wait = `while [ -d ${directory} ] && [ ! -e ${gate} ]; do sleep 0.1; done`;
  writeFileSync(
    join(directory, 'stack', 'main.tf'),
    `resource "terraform_data" "this" {
  provisioner "local-exec" {
    command = "touch ${join(directory, 'begun')}; ${wait}"
  }
}
`,
  );
}
