import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment, Environment, NewRunnerPool, Page, RunnerPool } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { closeGate, gatedStack, isAtGate, openGates } from './support/gates.ts';
import { beforeEnd, makeEnvironment, makeProject, node, nodeAt, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf, tailOf } from './support/processes.ts';
import type { TestProcess } from './support/processes.ts';
import { until } from './support/until.ts';
import type { TestClient } from './support/windlass.ts';

let cluster: TestCluster;
let project: TestProject;
const projects: TestProject[] = [];
const secret = 'a-secret-of-the-other-pool';

beforeAll(async () => {
  buildDist();
  // Its worker keeps the records; every tool below runs on a pool.
  cluster = await startCluster({ workers: 1 });
});
afterAll(async () => {
  await cluster?.stop();
  for (const made of projects) made.remove();
});

const client = (): TestClient => cluster.api.client;
const makePool = (name: string): Promise<NewRunnerPool> => client().request('POST', '/pools', { name });
const poolOf = async (name: string): Promise<RunnerPool | undefined> =>
  (await client().request<Page<RunnerPool>>('GET', '/pools')).items.find((pool) => pool.name === name);

async function makeEnvironmentOn(pool: string, definition: Record<string, unknown>): Promise<Environment> {
  const name = unique('pool');
  project.workflow({ environments: definition });
  await client().createTemplate({
    name,
    type: 'workflow',
    source: { kind: 'local', directory: project.directory },
  });
  return client().createEnvironment({ name, template: name, settings: { pool } });
}

function newProject(): TestProject {
  project = makeProject('pools');
  projects.push(project);
  return project;
}

/** One call of the protocol of pools, as somebody who has only a token can make it. */
async function ask(token: string, method: string, body: unknown): Promise<{ status: number; text: string }> {
  const response = await fetch(`${cluster.api.client.url}/node-host/v1/${method}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

it('runs six stacks in a process with neither a database nor an encryption key, and takes over after kill -9', async () => {
  newProject();
  const { name, token } = await makePool('six');
  for (const stack of ['vpc', 'dns', 'db', 'slow', 'app', 'web'])
    project.stack(stack, { ...(stack === 'slow' ? { sleepSeconds: 30 } : {}), inputs: ['from'] });
  const environment = await makeEnvironmentOn(name, {
    vpc: node('vpc'),
    dns: node('dns', { needs: ['vpc'] }),
    db: node('db', { needs: ['vpc'], inputs: { from: '${environments.vpc.outputs.value}' } }),
    slow: node('slow', { needs: ['db'] }),
    app: node('app', { needs: ['slow', 'dns'] }),
    web: node('web', { needs: ['app'] }),
  });
  const run = await client().start(environment.id);
  // Nobody of the pool is there yet, and nobody else does it.
  await client().until(async () => (await poolOf(name))?.waiting === 1);
  expect(await client().statuses(run.id)).toMatchObject({ vpc: 'pending' });

  const first = cluster.startPoolWorker({ name, token });
  const shown = readFileSync(`/proc/${first.pid}/environ`, 'utf8');
  expect(shown).not.toMatch(/DATABASE_URL|ENCRYPTION_KEY|PGPASSWORD/);
  await beforeEnd(client(), run, () => project.lines('slow').length > 0);
  await first.kill();
  cluster.startPoolWorker({ name, token });

  const ended = await client().ended(run.id);
  if (ended.status !== 'succeeded') throw new Error(describe(ended, await client().nodes(run.id), cluster.workers));
  expect(['vpc', 'dns', 'db', 'slow', 'app', 'web'].map((stack) => project.lines(stack))).toEqual(
    Array.from({ length: 6 }, () => ['apply']),
  );
  expect(await poolOf(name)).toMatchObject({ workers: 1, running: 0, waiting: 0 });
  const logs = await client().text(`/deployments/${run.id}/logs?format=text&node=slow`);
  expect(logs).toContain('terraform_data.this');
  expect(processesOf(project.journal)).toEqual([]);
});

it('approves, plans, checks for drift and destroys on a pool', async () => {
  newProject();
  const { name, token } = await makePool('whole');
  project.stack('vpc');
  const environment = await makeEnvironmentOn(name, { vpc: node('vpc', { requiresApproval: true }) });
  cluster.startPoolWorker({ name, token });
  const plan = await client().run(environment.id, { type: 'plan' });
  expect(plan.status).toBe('succeeded');
  const run = await client().start(environment.id);
  const { approvalId } = await nodeAt(client(), run, 'vpc', 'waitingForApproval');
  await client().request('POST', `/approvals/${approvalId}/approve`, {});
  expect((await client().ended(run.id)).status).toBe('succeeded');
  expect((await client().run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  expect((await client().environment(environment.id)).flags.drift).toBe('ok');
  expect((await client().run(environment.id, { type: 'destroy', requiresApproval: false })).status).toBe('succeeded');
  expect(project.lines('vpc')).toEqual(['apply', 'destroy']);
});

it('the token of one pool opens no job, secret or state of another, and a rotated one opens nothing', async () => {
  newProject();
  const mine = await makePool('mine');
  const others = await makePool('others');
  project.stack('vpc', { inputs: ['password'] });
  const environment = await makeEnvironmentOn(others.name, { vpc: node('vpc') });
  await client().request('POST', `/variables?scope=environment&scopeId=${environment.id}`, {
    name: 'password',
    value: secret,
    sensitive: true,
  });
  // It waits for a worker of its own pool, so its node is open all the while.
  const run = await client().start(environment.id);
  await client().until(async () => (await poolOf(others.name))?.waiting === 1);
  const key = { deploymentId: run.id, index: 0, compensation: false };
  const caller = {
    workflowId: `deployment:${run.id}/vpc`,
    callId: 'x',
    attempt: 1,
    scheduledAtMs: Date.now(),
    nowMs: Date.now(),
  };
  const begin = {
    input: {
      deploymentId: run.id,
      environmentId: environment.id,
      alias: 'vpc',
      index: 0,
      action: 'deploy',
      mode: 'run',
      try: 1,
    },
    caller,
  };
  const tries = [
    await ask(mine.token, 'begin', begin),
    await ask(mine.token, 'open', { key, mode: 'run' }),
    await ask(mine.token, 'approved', { key }),
    await ask(mine.token, 'keep', { key, kind: 'planText', body: Buffer.from('x').toString('base64') }),
    await ask(mine.token, 'end', { key, ending: { status: 'succeeded' } }),
    await ask(mine.token, 'freeLock', { key, grantId: 'grant_1', because: 'x' }),
  ];
  expect(tries.map(({ status }) => status)).toEqual([403, 404, 404, 404, 404, 404]);
  expect(JSON.stringify(tries)).not.toContain(secret);
  expect((await client().nodes(run.id)).map(({ status }) => status)).toEqual(['pending']);

  // The very calls are good with the right token.
  expect((await ask(others.token, 'begin', begin)).status).toBe(200);
  const opened = await ask(others.token, 'open', { key, mode: 'run' });
  expect(opened.text).toContain(secret);

  const rotated = await client().request<NewRunnerPool>('POST', `/pools/${others.name}/token`);
  expect((await ask(others.token, 'open', { key, mode: 'run' })).status).toBe(401);
  expect((await ask('wlp_nothing', 'beat', { id: 'wrk_1' })).status).toBe(401);
  cluster.startPoolWorker({ name: others.name, token: rotated.token }, 'pool-rotated');
  expect((await client().ended(run.id)).status).toBe('succeeded');
});

it('fails for a broken input as a node on our own worker does', async () => {
  newProject();
  const { name, token } = await makePool('same');
  project.stack('vpc');
  project.stack('db', { inputs: ['from'] });
  const definition = {
    vpc: node('vpc'),
    db: node('db', { needs: ['vpc'], inputs: { from: '${environments.vpc.outputs.nowhere}' } }),
  };
  cluster.startPoolWorker({ name, token });
  const onPool = await makeEnvironmentOn(name, definition);
  const onOurs = await makeEnvironment(client(), project);
  const errorOf = async ({ id }: Environment): Promise<unknown> => {
    const run = await client().run(id);
    expect([run.status, await client().statuses(run.id)]).toEqual(['failed', { vpc: 'succeeded', db: 'failed' }]);
    return (await client().nodes(run.id)).find(({ alias }) => alias === 'db')?.error;
  };
  const error = await errorOf(onPool);
  expect(error).toMatchObject({ class: 'definition', message: expect.stringContaining('nowhere') });
  expect(error).toEqual(await errorOf(onOurs));
});

it('goes on when the API is killed while a tool applies, and applies nothing twice', async () => {
  newProject();
  const { name, token } = await makePool('api-killed');
  gatedStack(project, 'slow');
  project.stack('app');
  closeGate(project, 'create');
  const environment = await makeEnvironmentOn(name, { slow: node('slow'), app: node('app', { needs: ['slow'] }) });
  const worker = cluster.startPoolWorker({ name, token });
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => isAtGate(project, 'create'));
  await cluster.api.kill();
  // The worker has called it in vain before it is there again.
  await until(() => tailOf(worker.logFile).includes('the server hears nothing of this worker'));
  await cluster.startApi();
  openGates(project);
  const ended = await client().ended(run.id);
  if (ended.status !== 'succeeded') throw new Error(describe(ended, await client().nodes(run.id), cluster.workers));
  expect([project.lines('slow'), project.lines('app')]).toEqual([['apply'], ['apply']]);
});

it('a pool that is not there is named before anything runs, and one that works is not deleted', async () => {
  newProject();
  const { name } = await makePool('there');
  project.stack('vpc');
  const environment = await makeEnvironmentOn(name, { vpc: node('vpc') });
  await client().request('DELETE', `/pools/${name}`);
  const refused = await client().refused(environment.id);
  expect(refused).toMatchObject({ status: 422, code: 'invalidDefinition' });
  expect(refused.detail).toContain('"vpc" is to run on the runner pool "there", which does not exist');
});

function describe(ended: Deployment, nodes: unknown, workers: readonly TestProcess[]): string {
  return `${JSON.stringify([ended, nodes])}\n${workers.map((worker) => tailOf(worker.logFile)).join('\n')}`;
}

it('says what a worker of a pool misses before it starts', async () => {
  const worker = cluster.startPoolWorker({ name: 'six', token: '' }, 'pool-without');
  await client().until(async () => !worker.running);
  expect(readFileSync(join(cluster.root, 'pool-without', 'pool-worker.log'), 'utf8')).toContain('WINDLASS_POOL_TOKEN');
});
