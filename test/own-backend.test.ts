import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Deployment, Environment, Event, Page } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf, tailOf } from './support/processes.ts';
import type { TestClient } from './support/windlass.ts';

/** Windlass keeps the state of the first two; a "local" backend without a place of its own counts as none. */
const names = ['managed', 'beside', 'local', 'pg'] as const;
type Name = (typeof names)[number];

let cluster: TestCluster;
let states: Client;
let statesUrl: string;
let project: TestProject;
let environment: Environment;
const projects: TestProject[] = [];

beforeAll(async () => {
  buildDist();
  cluster = await startCluster({ workers: 0 });
  statesUrl = await cluster.postgres.createDatabase('states');
  states = new Client({ connectionString: statesUrl });
  await states.connect();
});
afterAll(async () => {
  await states?.end();
  await cluster?.stop();
  for (const made of projects) made.remove();
});

const client = (): TestClient => cluster.api.client;
const gate = (): string => join(project.journal, 'go');
const localState = (): string => join(project.journal, 'own', 'state.tfstate');
const localLock = (): string => join(project.journal, 'own', '.state.tfstate.lock.info');

/** Stacks whose create writes a line and then waits for the gate. */
async function shop(aliases: readonly Name[] = names): Promise<void> {
  project = makeProject('own-backend');
  projects.push(project);
  const backends: Record<Name, string> = {
    managed: '',
    beside: 'backend "local" {}',
    local: `backend "local" { path = "${localState()}" }`,
    pg: `backend "pg" {
    conn_str    = "${statesUrl}?sslmode=disable"
    schema_name = "${project.journal.replace(/\W/g, '_').toLowerCase()}"
  }`,
  };
  const wait = `while [ -d ${project.journal} ] && [ ! -e ${gate()} ]; do sleep 0.1; done`;
  for (const name of aliases) {
    project.write(
      `stacks/${name}/main.tf`,
      `terraform {
  ${backends[name]}
}
resource "terraform_data" "first" {
  input = "made"
}
resource "terraform_data" "slow" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command = "echo apply >> ${join(project.journal, name)}; ${wait}"
  }
}
output "value" { value = terraform_data.slow.output }
`,
    );
  }
  project.workflow({ environments: Object.fromEntries(aliases.map((name) => [name, node(name)])) });
  environment = await makeEnvironment(client(), project);
}

/** Starts a deploy and answers it when every tool is in its create. */
async function inCreates(aliases: readonly Name[] = names): Promise<Deployment> {
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => aliases.every((name) => project.lines(name).length > 0));
  return run;
}
const killWorkers = (): Promise<unknown> =>
  Promise.all(cluster.workers.filter((worker) => worker.running).map((worker) => worker.kill()));

/** Ends every tool with all that it has started, as a crash of the machine would. */
async function killTools(): Promise<void> {
  const groups = processesOf(project.journal).map(({ pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  });
  expect(groups.every((group) => group > 1 && group !== process.pid)).toBe(true);
  for (const group of new Set(groups)) process.kill(-group, 'SIGKILL');
  await client().until(() => Promise.resolve(processesOf(project.journal).length === 0));
}

const refOf = (name: string): string => encodeURIComponent(`${environment.name}/${name}`);
const managedLock = async (name: string): Promise<string | null> =>
  (await client().request<{ lock: { lockId: string } | null } | null>('GET', `/environments/${refOf(name)}/state`))
    ?.lock?.lockId ?? null;
/** Keys of the advisory locks that somebody holds in the database of the states. */
async function pgLocks(): Promise<string[]> {
  const { rows } = await states.query<{ key: string }>(
    `SELECT ((classid::bigint << 32) | objid::bigint)::text AS key FROM pg_locks
     WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  return rows.map((row) => row.key);
}
const logOf = (run: Deployment, name: string): Promise<string> =>
  client().text(`/deployments/${run.id}/logs?format=text&node=${name}`);
const eventsOf = async (run: Deployment): Promise<Event[]> =>
  (
    await client().request<Page<Event>>('GET', `/deployments/${run.id}/events?limit=1000`, undefined, {
      accept: 'application/json',
    })
  ).items;

/** Succeeded, verified, unlocked in the state store and in the backends, and nothing left to change. */
async function expectWhole(run: Deployment, aliases: readonly Name[] = names): Promise<void> {
  const ended = await client().ended(run.id);
  if (ended.status !== 'succeeded') {
    const logs = await Promise.all(aliases.map((name) => logOf(run, name)));
    const workers = cluster.workers.map((worker) => tailOf(worker.logFile));
    throw new Error([JSON.stringify(await client().nodes(run.id)), ...logs, ...new Set(workers)].join('\n'));
  }
  for (const name of aliases) {
    expect([name, (await client().environment(`${environment.name}/${name}`)).flags.stateUnverified]).toEqual([
      name,
      null,
    ]);
    expect([name, await managedLock(name)]).toEqual([name, null]);
  }
  expect(await pgLocks()).toEqual([]);
  expect(existsSync(localLock())).toBe(false);
  expect(processesOf(project.journal)).toEqual([]);
  const plan = await client().run(environment.id, { type: 'plan' });
  const counts = (await client().nodes(plan.id)).map((item) => [item.alias, item.counts]);
  expect(counts).toEqual(counts.map(([alias]) => [alias, { add: 0, change: 0, destroy: 0 }]));
}

it('a worker that is killed in applies of stacks with backends of their own: the tools are adopted, nothing is applied twice', async () => {
  const worker = cluster.startWorker('one');
  await shop();
  const run = await inCreates();
  await worker.kill();
  cluster.startWorker('one');
  for (const name of names) await client().until(async () => (await logOf(run, name)).includes('The tool still runs'));
  // They hold their locks still, each in its own place.
  expect(await managedLock('managed')).not.toBeNull();
  expect(existsSync(localLock())).toBe(true);
  expect(await pgLocks()).not.toEqual([]);
  writeFileSync(gate(), '');
  await expectWhole(run);
  expect(names.map((name) => project.lines(name))).toEqual(names.map(() => ['apply']));
  // The states lie where the stacks want them, or with Windlass.
  expect(readFileSync(localState(), 'utf8')).toContain('"made"');
  for (const name of ['managed', 'beside'] as const) {
    const state = await client().request<{ serial: number } | null>('GET', `/environments/${refOf(name)}/state`);
    expect([name, state?.serial ?? 0]).not.toEqual([name, 0]);
  }
});

it.each([
  ['of the same directory', 'one'],
  ['of another directory', 'two'],
])(
  'worker and tools killed in mid-apply: a worker %s shows the state as unverified, frees the recorded lock, refreshes and goes on',
  async (_, successor) => {
    await killWorkers();
    cluster.startWorker('one');
    await shop();
    const run = await inCreates();
    const locks = { managed: await managedLock('managed'), beside: await managedLock('beside') };
    expect(Object.values(locks)).not.toContain(null);
    expect(await pgLocks()).not.toEqual([]);
    await killWorkers();
    // The holders still live, so nobody may touch what they hold.
    expect(await managedLock('managed')).toBe(locks.managed);
    await killTools();
    // Left behind by the dead: a file beside the state, and the locks that Windlass keeps. The connection took its own along.
    expect(existsSync(localLock())).toBe(true);
    expect(await managedLock('managed')).toBe(locks.managed);
    writeFileSync(gate(), '');
    cluster.startWorker(successor);
    await expectWhole(run);
    expect(names.map((name) => project.lines(name))).toEqual(names.map(() => ['apply', 'apply']));

    const events = await eventsOf(run);
    for (const name of names) {
      const own = events.filter((event) => event.alias === name);
      expect([name, own.some((event) => event.type === 'node.stage' && event.data['stage'] === 'recover')]).toEqual([
        name,
        true,
      ]);
      const marked = own.find((event) => event.type === 'environment.status' && event.data['stateUnverified']);
      expect(marked?.data['stateUnverified']).toMatchObject({
        deploymentId: run.id,
        reason: expect.stringContaining('killed') as unknown,
      });
      expect(await logOf(run, name)).toContain('State unverified');
    }
    for (const name of ['managed', 'beside'] as const) {
      expect(await logOf(run, name)).toContain(`Freed the lock ${locks[name]}`);
      const freed = events.find(
        (event) => event.type === 'environment.warning' && event.data['lockId'] === locks[name],
      );
      expect(freed?.data['kind']).toBe('stateUnlocked');
    }
  },
);

it('a lock that somebody else holds by then is left alone: the node ends state unverified, and is resumed when a person has looked', async () => {
  await killWorkers();
  cluster.startWorker('one');
  await shop(['pg']);
  const run = await inCreates(['pg']);
  const [key] = await pgLocks();
  expect(key).toBeDefined();
  await killWorkers();
  await killTools();
  const other = new Client({ connectionString: statesUrl });
  await other.connect();
  await other.query('SELECT pg_advisory_lock($1::bigint)', [key]);
  writeFileSync(gate(), '');
  cluster.startWorker('one');
  expect((await client().ended(run.id)).status).toBe('failed');
  const [failed] = await client().nodes(run.id);
  expect(failed?.error?.message).toMatch(/state of "pg" is unverified.*locked/);
  expect((await client().environment(`${environment.name}/pg`)).flags.stateUnverified).toMatchObject({
    deploymentId: run.id,
    // What the backend shows is the try that was refused, not the holder.
    lockId: null,
  });
  expect(await pgLocks()).toContain(key);
  expect(project.lines('pg')).toEqual(['apply']);

  await other.end();
  await client().request('POST', `/environments/${refOf('pg')}/state/verify`, { reason: 'looked at it' });
  expect((await client().environment(`${environment.name}/pg`)).flags.stateUnverified).toBeNull();
  const resumed = await client().request<Deployment>('POST', `/deployments/${run.id}/resume`, {});
  await expectWhole(resumed, ['pg']);
  expect(project.lines('pg')).toEqual(['apply', 'apply']);
});
