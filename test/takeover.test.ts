import { readFileSync } from 'node:fs';
import type { Deployment, Environment } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf, tailOf } from './support/processes.ts';
import type { TestProcess } from './support/processes.ts';
import type { TestClient } from './support/windlass.ts';

let cluster: TestCluster;
let project: TestProject;
let environment: Environment;
const projects: TestProject[] = [];

beforeAll(async () => {
  buildDist();
  cluster = await startCluster({ workers: 2 });
});
afterAll(async () => {
  await cluster?.stop();
  for (const made of projects) made.remove();
});

const client = (): TestClient => cluster.api.client;

async function shop(slowSeconds: number): Promise<void> {
  project = makeProject('takeover');
  projects.push(project);
  for (const name of ['quick', 'after']) project.stack(name);
  project.stack('slow', { sleepSeconds: slowSeconds });
  project.workflow({
    environments: {
      quick: node('quick'),
      slow: node('slow', { needs: ['quick'] }),
      after: node('after', { needs: ['slow'] }),
    },
  });
  environment = await makeEnvironment(client(), project);
}
const names = ['quick', 'slow', 'after'] as const;

async function inSlow(): Promise<Deployment> {
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => project.lines('slow').length > 0);
  return run;
}
const parentOf = (pid: number): number =>
  Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
/** The worker that runs the tool which is in the create of `slow`. */
function workerOfSlow(): TestProcess {
  for (let pid = processesOf(project.journal)[0]?.pid ?? 0; pid > 1; pid = parentOf(pid)) {
    const worker = cluster.workers.find((known) => known.pid === pid);
    if (worker) return worker;
  }
  throw new Error('no worker runs it');
}
async function expectWhole(run: Deployment): Promise<void> {
  const ended = await client().ended(run.id);
  if (ended.status !== 'succeeded') {
    const logs = new Set(cluster.workers.map((worker) => tailOf(worker.logFile)));
    throw new Error(`${JSON.stringify([ended, await client().nodes(run.id)])}\n${[...logs].join('\n')}`);
  }
  // Nothing of it runs for ever: no node, no environment, no lock, no process.
  expect(await client().statuses(run.id)).toEqual({ quick: 'succeeded', slow: 'succeeded', after: 'succeeded' });
  expect((await client().environment(environment.id)).status).toBe('active');
  for (const name of names) {
    const ref = encodeURIComponent(`${environment.name}/${name}`);
    const state = await client().request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
    expect([name, state?.lock ?? null]).toEqual([name, null]);
  }
  expect(processesOf(project.journal)).toEqual([]);
}
const linesOfAll = (): string[][] => names.map((name) => project.lines(name));
const once = names.map(() => ['apply']);
const say = (text: string): boolean => process.stdout.write(`      ${text}\n`);

it('a worker that is killed in an apply: another takes the tool over, and nothing is applied twice', async () => {
  await shop(45);
  const run = await inSlow();
  const worker = workerOfSlow();
  const killedMs = Date.now();
  await worker.kill();
  await beforeEnd(client(), run, () => !worker.running);
  const taken = 'An earlier call of the tool ended unseen';
  await client().until(async () =>
    (await client().text(`/deployments/${run.id}/logs?format=text&node=slow`)).includes(taken),
  );
  const seconds = (Date.now() - killedMs) / 1000;
  say(`another worker took over after ${seconds.toFixed(1)} s`);
  // It did so while the tool was still running: the tool takes longer than that.
  expect(project.lines('after')).toEqual([]);
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
  cluster.startWorker();
});

it('an abort while the worker of the tool is dead stops the tool all the same, and leaves no lock', async () => {
  await shop(3600);
  const run = await inSlow();
  await workerOfSlow().kill();
  // Until Temporal has noticed that the worker is gone, it is said that nobody answered.
  await client().until(async () => (await client().raw('POST', `/deployments/${run.id}/abort`, {})).status < 300);
  cluster.startWorker();
  expect((await client().ended(run.id)).status).toBe('aborted');
  expect(await client().statuses(run.id)).toMatchObject({ slow: 'aborted', after: 'cancelled' });
  await client().until(() => Promise.resolve(processesOf(project.journal).length === 0));
  const state = await client().request<{ lock: unknown } | null>(
    'GET',
    `/environments/${encodeURIComponent(`${environment.name}/slow`)}/state`,
  );
  expect(state?.lock ?? null).toBeNull();
});

it('a worker that is asked to stop in an apply leaves the tool running, and another one goes on with it', async () => {
  await shop(12);
  const run = await inSlow();
  await workerOfSlow().stop();
  cluster.startWorker();
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
});

it('the worker of another directory on this machine takes over what is left there', async () => {
  await Promise.all(cluster.workers.filter((worker) => worker.running).map((worker) => worker.stop()));
  const first = cluster.startWorker('one');
  await shop(0);
  expect((await client().run(environment.id)).status).toBe('succeeded');
  // Both have worked on these nodes before, so both have directories of them.
  await first.stop();
  const second = cluster.startWorker('two');
  expect((await client().run(environment.id)).status).toBe('succeeded');

  project.stack('slow', { sleepSeconds: 40, value: 'two' });
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => project.lines('slow').length === 3);
  await second.kill();
  cluster.startWorker('one');
  await expectWhole(run);
  expect(project.lines('slow')).toEqual(['apply', 'destroy', 'apply']);
  cluster.startWorker();
});

it('the API that is killed: runs go on without it, and it answers again after a start', async () => {
  await shop(4);
  const run = await inSlow();
  await cluster.api.kill();
  await cluster.startApi();
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
});

it('Temporal that is away: requests say so or are kept, and runs go on when it is back', async () => {
  await shop(6);
  const run = await inSlow();
  await cluster.temporal.kill();
  const kept = await client().raw<Deployment & { warning?: string }>(
    'POST',
    `/environments/${environment.id}/deployments`,
    { type: 'plan' },
  );
  expect(kept.status).toBe(202);
  expect(kept.body.warning).toContain('begins when Temporal');
  await cluster.startTemporal();
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
  expect((await client().ended(kept.body.id)).status).toBe('succeeded');
});

it('PostgreSQL that is away for a while: the API says so, the run goes on when it is back, nothing runs for ever', async () => {
  await shop(3);
  const run = await inSlow();
  await cluster.postgres.kill();
  const refused = await client().raw<{ detail: string }>('GET', `/deployments/${run.id}`);
  expect(refused.status).toBe(503);
  expect(refused.body.detail).toMatch(/database/i);
  await client().until(() => Promise.resolve(processesOf(project.journal).length === 0));
  await cluster.postgres.start();
  await client().until(async () => (await client().raw('GET', `/deployments/${run.id}`)).status === 200);
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
});
