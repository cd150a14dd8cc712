import { join } from 'node:path';
import { Client } from 'pg';
import type { Deployment, Environment } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { beforeEnd, makeEnvironment, makeProject, node, stackText } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf } from './support/processes.ts';
import type { TestClient } from './support/windlass.ts';

let cluster: TestCluster;
let records: Client;
let states: Client;
let statesUrl: string;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  buildDist();
  cluster = await startCluster({ workers: 2 });
  statesUrl = await cluster.postgres.createDatabase('states');
  records = new Client({ connectionString: cluster.postgres.url.replace(/\/postgres$/, '/windlass') });
  states = new Client({ connectionString: statesUrl });
  await Promise.all([records.connect(), states.connect()]);
});
afterAll(async () => {
  await Promise.all([records?.end(), states?.end()]);
  await cluster?.stop();
});
afterEach(() => project.remove());

const client = (): TestClient => cluster.api.client;
const size = 100;
const owns = 10;

/** A hundred nodes without needs; ten of them keep their state, and their lock, in a database of their own. */
async function hundred(sleepSeconds: number, maxParallel?: number): Promise<void> {
  project = makeProject('stop-large');
  const schema = project.journal.replace(/\W/g, '_').toLowerCase();
  project.stack('one', { sleepSeconds });
  const aliases = Array.from({ length: size }, (_, index) => `n${index}`);
  aliases.slice(0, owns).forEach((alias, index) => {
    const settings = `conn_str = "${statesUrl}?sslmode=disable"\n    schema_name = "${schema}_${index}"`;
    project.write(`stacks/${alias}/backend.tf`, `terraform {\n  backend "pg" {\n    ${settings}\n  }\n}\n`);
    project.write(`stacks/${alias}/main.tf`, stackText(project.journal, 'one', { sleepSeconds }));
  });
  project.workflow({
    ...(maxParallel === undefined ? {} : { settings: { maxParallel } }),
    environments: Object.fromEntries(aliases.map((alias, index) => [alias, node(index < owns ? alias : 'one')])),
  });
  environment = await makeEnvironment(client(), project);
}

const count = async (database: Client, query: string): Promise<number> =>
  Number((await database.query<{ count: string }>(query)).rows[0]?.count);
const locks = async (): Promise<Record<string, number>> => ({
  managed: await count(records, 'SELECT count(*) FROM state_locks'),
  pg: await count(
    states,
    `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  ),
});

async function expectStopped(run: Deployment, status: string): Promise<Record<string, string>> {
  expect((await client().ended(run.id)).status).toBe(status);
  expect(await locks()).toEqual({ managed: 0, pg: 0 });
  // Tools work below the workers' directory; nothing of them outlives the run.
  await client().until(() => Promise.resolve(processesOf(join(cluster.root, 'worker')).length === 0));
  const statuses = await client().statuses(run.id);
  expect(Object.keys(statuses)).toHaveLength(size);
  const open = Object.entries(statuses).filter(
    ([, now]) => !['succeeded', 'failed', 'skipped', 'cancelled', 'aborted'].includes(now),
  );
  expect(open).toEqual([]);
  return statuses;
}
/** A machine that is busy starting tools may answer that it took too long; a user asks again, and so does this. */
const stop = (run: Deployment, verb: 'cancel' | 'abort'): Promise<true> =>
  client().until(async () => {
    const { status, body } = await client().raw('POST', `/deployments/${run.id}/${verb}`, {});
    if (status !== 503) expect({ status, body }).toMatchObject({ status: 200 });
    return status === 200 && (true as const);
  });
const having = (statuses: Record<string, string>, status: string): number =>
  Object.values(statuses).filter((now) => now === status).length;

it('cancel in the middle of a plan of 100 nodes: no further node starts, the run ends, and no lock is left anywhere', async () => {
  await hundred(0);
  const run = await client().start(environment.id, { type: 'plan' });
  await beforeEnd(client(), run, (nodes) => nodes.some((item) => item.status === 'succeeded'));
  await stop(run, 'cancel');
  const statuses = await expectStopped(run, 'cancelled');
  expect(having(statuses, 'succeeded')).toBeLessThan(size);
  expect(project.lines('one')).toEqual([]);
});

it('cancel in the middle of a deploy of 100 nodes: what runs is finished, nothing else starts, and no lock is left', async () => {
  await hundred(2, 10);
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => project.lines('one').length > 0);
  await stop(run, 'cancel');
  const statuses = await expectStopped(run, 'cancelled');
  expect(having(statuses, 'cancelled')).toBeGreaterThan(0);
  // Whatever began was finished, and nothing was begun that the records do not know.
  expect(project.lines('one')).toHaveLength(having(statuses, 'succeeded'));
});

it('abort in the middle of a deploy of 100 nodes that would take an hour: it ends now, and no lock is left', async () => {
  await hundred(3600);
  const run = await client().start(environment.id);
  await beforeEnd(client(), run, () => project.lines('one').length > 0);
  await stop(run, 'abort');
  const statuses = await expectStopped(run, 'aborted');
  expect(having(statuses, 'aborted')).toBeGreaterThan(0);
  expect(having(statuses, 'succeeded')).toBe(0);
});
