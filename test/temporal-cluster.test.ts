import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Deployment } from '../src/model/index.ts';
import { startPostgres } from './support/postgres.ts';
import type { TestPostgres } from './support/postgres.ts';
import { buildDist, freePort, startServer, startWorker, tailOf } from './support/processes.ts';
import type { TestApi, TestProcess } from './support/processes.ts';
import { makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { setTimeLimit } from './support/until.ts';
import { startTemporalCluster, temporalServices } from './support/temporal-cluster.ts';
import type { TemporalCluster } from './support/temporal-cluster.ts';

setTimeLimit(900_000);

const environments = 100;
const names = ['base', 'app'] as const;
/** How long a killed part stays away. */
const downMs = 3000;

/** Parts that come back under the same name; where each listens does not change. */
interface Part {
  readonly name: string;
  kill(): Promise<void>;
  start(): Promise<unknown>;
}

let root: string;
let project: TestProject;
let postgres: TestPostgres;
let temporal: TemporalCluster;
const apis: TestApi[] = [];
const workers: TestProcess[] = [];
const parts: Part[] = [];

const directory = (name: string): string => {
  const path = join(root, name, 'data');
  mkdirSync(path, { recursive: true });
  return path;
};

/** A stack that says under which run it was applied. */
function stack(name: string): void {
  project.write(
    `stacks/${name}/main.tf`,
    `resource "terraform_data" "this" {
  provisioner "local-exec" {
    command = "echo $WINDLASS_DEPLOYMENT_ID >> ${join(project.journal, name)}"
  }
}
`,
  );
}

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-temporal-cluster-'));
  project = makeProject('temporal-cluster');
  names.forEach(stack);
  project.workflow({ environments: { base: node('base'), app: node('app', { needs: ['base'] }) } });
  postgres = await startPostgres({ settings: ['synchronous_commit=on', 'max_connections=300'] });
  temporal = await startTemporalCluster(postgres, join(root, 'temporal'));
  for (const name of temporalServices)
    parts.push({ name, kill: () => temporal.process(name).kill(), start: () => temporal.start(name) });
  await startWindlass();
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await Promise.all(apis.map((api) => api.stop()));
  await temporal?.stop();
  await postgres?.stop();
  project?.remove();
  rmSync(root, { recursive: true, force: true });
});

/** Two API servers and two workers on the cluster. */
async function startWindlass(): Promise<void> {
  const ports = [await freePort(), await freePort()];
  const env = {
    WINDLASS_DATABASE_URL: await postgres.createDatabase('windlass'),
    TEMPORAL_ADDRESS: temporal.address,
    WINDLASS_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    WINDLASS_STATE_URL: `http://127.0.0.1:${ports[0]}`,
  };
  for (const [index, port] of ports.entries()) {
    const dataDirectory = directory(`api-${index}`);
    // The administrator's key is told once, to the server that has made it.
    if (index > 0) cpSync(join(directory('api-0'), 'administrator.token'), join(dataDirectory, 'administrator.token'));
    const start = async (): Promise<void> => {
      apis[index] = await startServer({ dataDirectory, port, env });
    };
    await start();
    parts.push({ name: `api-${index}`, kill: () => apis[index]?.kill() ?? Promise.resolve(), start });
  }
  for (const index of [0, 1]) {
    const start = (): Promise<void> => {
      workers[index] = startWorker(directory(`worker-${index}`), env);
      return Promise.resolve();
    };
    await start();
    parts.push({ name: `worker-${index}`, kill: () => workers[index]?.kill() ?? Promise.resolve(), start });
  }
}

/** Asks until somebody answers: a server that is being killed takes no request, and the key makes a second try harmless. */
async function asked<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { 'idempotency-key': randomBytes(8).toString('hex') };
  const deadline = Date.now() + 120_000;
  for (let turn = 0; ; turn++) {
    const api = apis[turn % apis.length];
    const answer = await api?.client.raw<T>(method, path, body, headers).catch(() => null);
    if (answer && answer.status < 400) return answer.body;
    if (answer && answer.status < 500 && answer.status !== 429)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    if (Date.now() > deadline) throw new Error(`${method} ${path}: ${JSON.stringify(answer?.body ?? 'no answer')}`);
    await delay(500);
  }
}

/** Kills each part once, one after the other, and starts it again. Answers the names in order. */
async function killEachInTurn(): Promise<string[]> {
  const killed: string[] = [];
  for (const part of parts) {
    await part.kill();
    killed.push(part.name);
    await delay(downMs);
    await part.start();
  }
  return killed;
}

const open = (run: Deployment): boolean => run.finishedAt === null;

it('nothing is lost and nothing done twice when any part is killed while a hundred environments deploy', async () => {
  await asked('POST', '/templates', {
    name: 'pair',
    type: 'workflow',
    source: { kind: 'local', directory: project.directory },
  });
  const ids = Array.from({ length: environments }, (_, index) => `pair-${index}`);
  for (const name of ids) await asked('POST', '/environments', { name, template: 'pair' });

  const started = performance.now();
  const killing = killEachInTurn();
  const runs = await Promise.all(ids.map((name) => asked<Deployment>('POST', `/environments/${name}/deployments`, {})));
  const openAtEndOfKills = killing.then(async () => {
    const states = await Promise.all(runs.map(({ id }) => asked<Deployment>('GET', `/deployments/${id}`)));
    return states.filter(open).length;
  });
  const killed = await killing;
  process.stdout.write(
    `      ${killed.length} parts killed in ${Math.round((performance.now() - started) / 1000)} s, then ${await openAtEndOfKills} of ${environments} runs open\n`,
  );
  expect(killed).toHaveLength(parts.length);
  for (const { id } of runs) {
    const ended = await apis[0]?.client.ended(id);
    expect([id, ended?.status, ended?.error?.message]).toEqual([id, 'succeeded', undefined]);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  process.stdout.write(`      ${environments} environments of ${names.length} stacks in ${seconds} s\n`);

  const inOrder = runs.map(({ id }) => id).sort();
  for (const name of names) expect(project.lines(name).sort()).toEqual(inOrder);
  for (const name of ids) {
    for (const alias of names) {
      const ref = encodeURIComponent(`${name}/${alias}`);
      const state = await asked<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
      expect([ref, state?.lock ?? null]).toEqual([ref, null]);
    }
  }
  expect(new Set(apis.map((api) => tailOf(api.logFile).includes('Uncaught')))).toEqual(new Set([false]));
});
