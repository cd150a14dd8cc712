import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Approval, Deployment, Environment } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, freePort, processesOf, startUp, tailOf } from './support/processes.ts';
import type { TestApi } from './support/processes.ts';

let root: string;
let port: number;
let up: TestApi;
let project: TestProject;
let environment: Environment;
const projects: TestProject[] = [];

const dataDirectory = (): string => join(root, 'data');
const start = async (): Promise<void> => {
  up = await startUp({ dataDirectory: dataDirectory(), port });
};

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-crash-'));
  mkdirSync(dataDirectory());
  port = await freePort();
  await start();
});
afterAll(async () => {
  await up?.stop();
  for (const made of projects) made.remove();
  rmSync(root, { recursive: true, force: true });
});

/** quick → slow → after, and aside beside them; `slow` takes its time. */
async function shop(slowSeconds: number, more: Record<string, unknown> = {}): Promise<void> {
  project = makeProject('crash');
  projects.push(project);
  project.stack('quick');
  project.stack('slow', { sleepSeconds: slowSeconds });
  project.stack('after');
  project.stack('aside', { sleepSeconds: 1 });
  project.workflow({
    environments: {
      quick: node('quick'),
      slow: node('slow', { needs: ['quick'], ...more }),
      after: node('after', { needs: ['slow'] }),
      aside: node('aside'),
    },
  });
  environment = await makeEnvironment(up.client, project);
}
const names = ['quick', 'slow', 'after', 'aside'] as const;

/** Starts a deploy and answers it when the create of `slow` has begun. */
async function inSlow(request: Record<string, unknown> = {}): Promise<Deployment> {
  const run = await up.client.start(environment.id, request);
  await beforeEnd(up.client, run, () => project.lines('slow').length > 0);
  return run;
}

async function expectWhole(run: Deployment): Promise<void> {
  const ended = await up.client.ended(run.id);
  if (ended.status !== 'succeeded')
    throw new Error(`${JSON.stringify([ended, await up.client.nodes(run.id)])}\n${tailOf(up.logFile)}`);
  expect((await up.client.environment(environment.id)).status).toBe('active');
  await expectNothingLeft();
}

/** No lock, no process of a tool, and nothing that a plan would change. */
async function expectNothingLeft(): Promise<void> {
  for (const name of names) {
    const ref = encodeURIComponent(`${environment.name}/${name}`);
    const state = await up.client.request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
    expect([name, state?.lock ?? null]).toEqual([name, null]);
  }
  expect(processesOf(project.journal)).toEqual([]);
  const plan = await up.client.run(environment.id, { type: 'plan' });
  const counts = (await up.client.nodes(plan.id)).map((item) => [item.alias, item.counts]);
  expect(counts).toEqual(counts.map(([alias]) => [alias, { add: 0, change: 0, destroy: 0 }]));
}
const linesOfAll = (): Record<string, string[]> => Object.fromEntries(names.map((name) => [name, project.lines(name)]));
const once = Object.fromEntries(names.map((name) => [name, ['apply']]));
const toolOf = (name: string): number => {
  const found = processesOf(project.journal).find(({ args }) => args.some((arg) => arg.includes(`/${name};`)));
  let pid = found?.parent ?? 0;
  // The shell of the provisioner is a child of the tool.
  for (let parent = pid; parent > 1;) {
    const args = readFileSync(`/proc/${parent}/cmdline`, 'utf8').split('\0');
    if ((args[0] ?? '').endsWith('tofu')) pid = parent;
    parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${parent}/status`, 'utf8'))?.[1] ?? 0);
  }
  return pid;
};

describe('kill -9 of everything in one process', () => {
  it('while a tool runs: the next start waits for it and goes on, and nothing is applied twice', async () => {
    await shop(6);
    const run = await inSlow();
    await up.kill();
    await start();
    await expectWhole(run);
    expect(linesOfAll()).toEqual(once);
  });

  it('while a tool runs in a workflow of the graph: the rest of it and what needs it follow, and nothing is applied twice', async () => {
    project = makeProject('crash-nested');
    projects.push(project);
    project.stack('quick');
    project.stack('slow', { sleepSeconds: 6 });
    project.stack('after');
    const path = (name: string) => ({ vcs: { type: 'opentofu', path: `../stacks/${name}` } });
    const inner = { quick: path('quick'), slow: { ...path('slow'), needs: ['quick'] } };
    project.write('net/windlass.workflow.yml', JSON.stringify({ environments: inner }));
    project.workflow({
      environments: { net: { vcs: { type: 'workflow', path: 'net' } }, after: node('after', { needs: ['net'] }) },
    });
    environment = await makeEnvironment(up.client, project);
    const run = await inSlow();
    await up.kill();
    await start();
    expect((await up.client.ended(run.id)).status).toBe('succeeded');
    expect(['quick', 'slow', 'after'].map((name) => project.lines(name))).toEqual([['apply'], ['apply'], ['apply']]);
    expect((await up.client.environment(`${environment.name}/net`)).status).toBe('active');
  });

  it('while a tool runs that is done before the next start: its state is taken, nothing is applied twice', async () => {
    await shop(2);
    const run = await inSlow();
    await up.kill();
    // It keeps its state until somebody is there to take it.
    await up.client.until(() => Promise.resolve(processesOf(project.journal).length === 0));
    await start();
    await expectWhole(run);
    expect(linesOfAll()).toEqual(once);
  });

  it('and of the tool with it: what the state knows is kept, and the rest is planned anew', async () => {
    await shop(8);
    const run = await inSlow();
    const tool = toolOf('slow');
    await up.kill();
    process.kill(tool, 'SIGKILL');
    project.stack('slow');
    await start();
    await up.client.ended(run.id);
    await up.client.until(() => Promise.resolve(processesOf(project.journal).length === 0));
    await expectWhole(run);
    expect({ ...linesOfAll(), slow: [] }).toEqual({ ...once, slow: [] });
  });

  it('while a tool runs, with an abort at once after the start: the tool is stopped, and its ending is recorded', async () => {
    await shop(60);
    const run = await inSlow();
    await up.kill();
    await start();
    // Temporal has not yet missed the dead worker, and after an abort it lets no other one try.
    await up.client.request('POST', `/deployments/${run.id}/abort`, {});
    const ended = await up.client.ended(run.id);
    expect(processesOf(project.journal)).toEqual([]);
    const slow = (await up.client.nodes(run.id)).find((item) => item.alias === 'slow');
    expect([ended.status, slow?.status, slow?.error?.class]).toEqual(['aborted', 'aborted', 'cancelled']);
    const ref = encodeURIComponent(`${environment.name}/slow`);
    const state = await up.client.request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
    expect(state?.lock ?? null).toBeNull();
  });

  it('while a plan waits for approval: the same plan is applied after it', async () => {
    await shop(0, { requiresApproval: true });
    const run = await up.client.start(environment.id);
    const id = await beforeEnd(up.client, run, (nodes) => nodes.find((item) => item.approvalId !== null)?.approvalId);
    await up.kill();
    await start();
    const approval = await up.client.request<Approval>('GET', `/approvals/${id}`);
    expect(approval.status).toBe('pending');
    await up.client.request('POST', `/approvals/${id}/approve`, {});
    await expectWhole(run);
    expect(linesOfAll()).toEqual(once);
    const all = await up.client.request<{ items: Approval[] }>('GET', `/approvals?deployment=${run.id}`);
    expect(all.items.map((item) => [item.id, item.status])).toEqual([[id, 'approved']]);
  });

  it('while runs are queued: they start in their order afterwards', async () => {
    await shop(3);
    const first = await inSlow();
    const second = await up.client.start(environment.id, { type: 'destroy' });
    await up.kill();
    await start();
    expect((await up.client.ended(first.id)).status).toBe('succeeded');
    expect((await up.client.ended(second.id)).status).toBe('succeeded');
    for (const name of names) expect([name, project.lines(name)]).toEqual([name, ['apply', 'destroy']]);
    expect((await up.client.environment(environment.id)).status).toBe('inactive');
  });
});

it('a tool that is killed in its apply fails the node with the reason, frees the lock, and is resumed when a person has looked', async () => {
  await shop(8);
  const run = await inSlow();
  process.kill(toolOf('slow'), 'SIGKILL');
  const ended = await up.client.ended(run.id);
  await up.client.until(() => Promise.resolve(processesOf(project.journal).length === 0));
  expect(ended.status).toBe('failed');
  const slow = (await up.client.nodes(run.id)).find((item) => item.alias === 'slow');
  expect(slow?.error?.message).toMatch(/killed|signal/i);
  const ref = encodeURIComponent(`${environment.name}/slow`);
  const state = await up.client.request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
  expect(state?.lock ?? null).toBeNull();
  project.stack('slow');
  await up.client.request('POST', `/environments/${ref}/state/verify`, { reason: 'looked at what is there' });
  const resumed = await up.client.request<Deployment>('POST', `/deployments/${run.id}/resume`, { refresh: true });
  await expectWhole(resumed);
});

it('Temporal that is killed in a run is started again, and the run goes on where it was', async () => {
  await shop(4);
  const run = await inSlow();
  const record = join(dataDirectory(), 'temporal', 'process.json');
  expect(existsSync(record)).toBe(true);
  const { pid } = JSON.parse(readFileSync(record, 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
  await expectWhole(run);
  expect(linesOfAll()).toEqual(once);
});

it('nothing runs any more after an orderly stop', async () => {
  await up.stop();
  await up.client.until(() => Promise.resolve(processesOf(root).length === 0));
  expect(processesOf(root)).toEqual([]);
  await start();
});
