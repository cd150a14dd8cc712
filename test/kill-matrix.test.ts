import { Client as TemporalClient, Connection } from '@temporalio/client';
import { Pool } from 'pg';
import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { checkEvents, checkNothingOpen, checkTemporal, readRecords } from './chaos/records.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { closeGate, gatedStack, isAtGate, makeGatedTools, openGates, toolAtGate } from './support/gates.ts';
import type { GateName } from './support/gates.ts';
import { commitAll } from './support/git.ts';
import { beforeEnd, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf, tailOf } from './support/processes.ts';
import { setTimeLimit } from './support/until.ts';
import type { TestClient } from './support/windlass.ts';

/** Eight runs at once, held at a gate each, and a worker that is missed only after its heartbeats have failed. */
setTimeLimit(300_000);

const stages = [
  'it resolves its source',
  'it prepares a stack',
  'it plans',
  'it waits for approval',
  'it applies',
  'an apply is about to end',
  'it destroys',
  'it rolls back',
] as const;
type Stage = (typeof stages)[number];
type Victim = 'server' | 'worker' | 'tool';

/** Where the run is held; null where it waits by itself, with no tool running. */
const gateOf: Record<Stage, GateName | null> = {
  'it resolves its source': 'git',
  'it prepares a stack': 'init',
  'it plans': 'plan',
  'it waits for approval': null,
  'it applies': 'create',
  'an apply is about to end': 'end',
  'it destroys': 'destroy',
  'it rolls back': 'destroy',
};

/** A run that stands in the middle of its stage. */
interface Held {
  readonly stage: Stage;
  readonly project: TestProject;
  readonly environment: Environment;
  readonly run: Deployment;
}

let tools: ReturnType<typeof makeGatedTools>;
let cluster: TestCluster;
let database: Pool;
let connection: Connection;
const projects: TestProject[] = [];
const client = (): TestClient => cluster.api.client;

beforeAll(async () => {
  buildDist();
  tools = makeGatedTools();
  cluster = await startCluster({ workers: 1, env: tools.env });
  database = new Pool({ connectionString: cluster.databaseUrl, max: 2 });
  connection = await Connection.connect({ address: cluster.temporal.address });
});
afterAll(async () => {
  for (const project of projects) openGates(project);
  await connection?.close();
  await database?.end();
  await cluster?.stop();
  tools?.remove();
  for (const project of projects) project.remove();
});

/** first → held → after, of which `held` has the gates. */
async function makeGraph(stage: Stage): Promise<{ project: TestProject; environment: Environment }> {
  const project = makeProject('kill');
  projects.push(project);
  project.stack('first');
  gatedStack(project, 'held');
  project.stack('after');
  const asks = stage === 'it plans' || stage === 'it waits for approval';
  project.workflow({
    environments: {
      first: node('first'),
      held: node('held', { needs: ['first'], ...(asks ? { requiresApproval: true } : {}) }),
      after: node('after', { needs: ['held'] }),
    },
  });
  commitAll(project.directory);
  const name = unique('kill');
  const source = { kind: 'git', repository: project.directory };
  await client().createTemplate({ name, type: 'workflow', source });
  return { project, environment: await client().createEnvironment({ name, template: name }) };
}

async function hold(stage: Stage): Promise<Held> {
  const { project, environment } = await makeGraph(stage);
  const gate = gateOf[stage];
  if (stage === 'it destroys') expect((await client().run(environment.id)).status).toBe('succeeded');
  if (stage === 'it rolls back') project.failing('after', true);
  if (gate !== null) closeGate(project, gate);
  const request =
    stage === 'it destroys' ? { type: 'destroy' } : stage === 'it rolls back' ? { onFailure: 'rollback' } : {};
  const run = await client().start(environment.id, request);
  await beforeEnd(client(), run, (nodes) =>
    gate === null ? nodes.some((item) => item.status === 'waitingForApproval') : isAtGate(project, gate),
  );
  return { stage, project, environment, run };
}

async function strike(victim: Victim, all: readonly Held[]): Promise<void> {
  switch (victim) {
    case 'server':
      await cluster.api.kill();
      await cluster.startApi();
      return;
    case 'worker':
      await Promise.all(cluster.workers.map((worker) => worker.kill()));
      cluster.startWorker();
      return;
    case 'tool':
      // The request has looked at the source, too, and has given up by now: the run's own tool comes to the gate next.
      for (const { project, run } of all)
        process.kill(await client().until(() => Promise.resolve(toolAtGate(project, run.id))), 'SIGKILL');
  }
}

async function approve(run: Deployment): Promise<void> {
  const id = await beforeEnd(
    client(),
    run,
    (nodes) => nodes.find((item) => item.status === 'waitingForApproval')?.approvalId,
  );
  await client().request<Approval>('POST', `/approvals/${id}/approve`, {});
}

const refOf = (held: Held): string => encodeURIComponent(`${held.environment.name}/held`);
/** A run that was killed while it resolved has made no sub-environments yet. */
const marked = async ({ environment }: Held): Promise<boolean> =>
  (await client().request<Page<Environment>>('GET', `/environments/${environment.id}/children`)).items.some(
    ({ flags }) => flags.stateUnverified !== null,
  );

async function expectEnded(held: Held, run: Deployment, status: Deployment['status']): Promise<void> {
  const ended = await client().ended(run.id);
  if (ended.status === status) return;
  const log = await client().text(`/deployments/${run.id}/logs?format=text`);
  const logs = [...new Set(cluster.workers.map(({ logFile }) => logFile))].map((file) => tailOf(file));
  const seen = [held.stage, ended, await client().nodes(run.id)];
  throw new Error(`${run.id} is not ${status}: ${JSON.stringify(seen)}\n${log}\n${logs.join('\n')}`);
}

/** Records, events and Temporal agree that all is over; no lock and no process is left. */
async function expectOrder({ environment, project }: Held): Promise<void> {
  const temporal = new TemporalClient({ connection });
  const context = { database, temporal, environment, cluster: { tools: () => [] } };
  const records = await readRecords(context);
  expect([
    ...(await checkTemporal(context, records)),
    ...(await checkNothingOpen(context, records)),
    ...(await checkEvents(context, records)),
  ]).toEqual([]);
  await client().until(() => processesOf(project.journal).length === 0);
}

/** What `held` did, and that the state has exactly what its records say. */
async function expectReal(held: Held, lines: readonly string[], status: 'active' | 'inactive'): Promise<void> {
  expect(held.project.lines('held')).toEqual(lines);
  const environment = await client().environment(`${held.environment.name}/held`);
  expect([environment.status, environment.flags.stateUnverified]).toEqual([status, null]);
  const { items } = await client().request<Page<{ id: number }>>(
    'GET',
    `/environments/${refOf(held)}/state/versions?limit=1`,
  );
  const state = await client().request<{ resources: { name: string; instances: unknown[] }[] }>(
    'GET',
    `/environments/${refOf(held)}/state/versions/${items[0]?.id}/download`,
  );
  const real = state.resources.map(({ name, instances }) => [name, instances.length]);
  expect(real).toEqual(status === 'active' ? [['this', 1]] : []);
}

describe.each(['server', 'worker'] as const)('kill -9 of the %s while', (victim) => {
  let all: readonly Held[];
  beforeAll(async () => {
    all = await Promise.all(stages.map(hold));
    await strike(victim, all);
    for (const { project } of all) openGates(project);
  });

  it.each(stages)('%s: the run goes on to its end, and nothing is done twice', async (stage) => {
    const held = all.find((one) => one.stage === stage);
    if (held === undefined) throw new Error('it was never held');
    if (stage === 'it plans' || stage === 'it waits for approval') await approve(held.run);
    await expectEnded(held, held.run, stage === 'it rolls back' ? 'rolledBack' : 'succeeded');
    const gone = stage === 'it destroys' || stage === 'it rolls back';
    await expectReal(held, gone ? ['apply', 'destroy'] : ['apply'], gone ? 'inactive' : 'active');
    await expectOrder(held);
  });
});

/** What becomes of a run whose tool alone is killed, and what `held` has done when a person has had it resumed. */
type Fate =
  /** Nothing was begun, and the call is made again. */
  | { readonly kind: 'again' }
  /** Nothing was begun: the node fails with the reason. */
  | { readonly kind: 'failed'; readonly ending: Deployment['status'] }
  /** A person has to look before anything goes on. */
  | { readonly kind: 'unverified'; readonly ending: Deployment['status']; readonly lines: readonly string[] };

const fates: Record<Exclude<Stage, 'it waits for approval'>, Fate> = {
  'it resolves its source': { kind: 'failed', ending: 'failed' },
  'it prepares a stack': { kind: 'again' },
  'it plans': { kind: 'failed', ending: 'failed' },
  'it applies': { kind: 'unverified', ending: 'failed', lines: ['apply', 'apply'] },
  'an apply is about to end': { kind: 'unverified', ending: 'failed', lines: ['apply'] },
  'it destroys': { kind: 'unverified', ending: 'failed', lines: ['apply', 'destroy', 'destroy'] },
  'it rolls back': { kind: 'unverified', ending: 'rollbackFailed', lines: ['apply', 'destroy', 'destroy'] },
};
type ToolStage = keyof typeof fates;
const toolStages = stages.filter((stage): stage is ToolStage => stage !== 'it waits for approval');

describe('kill -9 of the tool alone while', () => {
  let all: readonly Held[];
  beforeAll(async () => {
    all = await Promise.all(toolStages.map(hold));
    await strike('tool', all);
    for (const { project } of all) openGates(project);
  });

  it.each(toolStages)('%s: the run says so, and nothing is done twice without a word', async (stage) => {
    const held = all.find((one) => one.stage === stage);
    if (held === undefined) throw new Error('it was never held');
    const { run, environment, project } = held;
    const fate = fates[stage];
    await expectEnded(held, run, fate.kind === 'again' ? 'succeeded' : fate.ending);
    if (fate.kind === 'again') {
      await expectReal(held, ['apply'], 'active');
      return expectOrder(held);
    }
    expect(JSON.stringify([await client().ended(run.id), await client().nodes(run.id)])).toMatch(/killed|signal 9/i);
    await expectOrder(held);
    expect(await marked(held)).toBe(fate.kind === 'unverified');
    const before = project.lines('held');
    if (fate.kind === 'unverified') {
      expect(before).toEqual(fate.lines.slice(0, before.length));
      await client().request('POST', `/environments/${refOf(held)}/state/verify`, {
        reason: 'looked at what is there',
      });
    }
    const next = stage === 'it rolls back' || stage === 'it destroys' ? 'destroy' : 'deploy';
    const resumed = await client().start(environment.id, { type: next });
    if (stage === 'it plans') await approve(resumed);
    await expectEnded(held, resumed, 'succeeded');
    const lines = fate.kind === 'unverified' ? fate.lines : ['apply'];
    await expectReal(held, lines, next === 'destroy' ? 'inactive' : 'active');
    await expectOrder(held);
  });
});
