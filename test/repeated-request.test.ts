import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist } from './support/processes.ts';
import type { TestClient } from './support/windlass.ts';

let cluster: TestCluster;
let records: Client;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  buildDist();
  cluster = await startCluster({ workers: 1 });
  records = new Client({ connectionString: cluster.postgres.url.replace(/\/postgres$/, '/windlass') });
  await records.connect();
});
afterAll(async () => {
  await records?.end();
  await cluster?.stop();
});
beforeEach(async () => {
  project = makeProject('repeated-request');
  project.stack('one');
  project.workflow({ environments: { one: node('one') } });
  environment = await makeEnvironment(client(), project);
});
afterEach(() => project.remove());

const client = (): TestClient => cluster.api.client;
const ask = (key: string): Promise<{ status: number; body: Deployment }> =>
  client().raw('POST', `/environments/${environment.id}/deployments`, {}, { 'idempotency-key': key });
/** As a client does: the same request with the same key until it is answered. */
const untilTaken = (key: string): Promise<Deployment> =>
  client().until(async () => {
    const { status, body } = await ask(key);
    if (status === 202) return body;
    // "still being worked on"
    expect(status).toBe(409);
    return null;
  });
const runsOf = async (): Promise<string[]> =>
  (await client().request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items.map(
    (run) => run.id,
  );

it('a request that is delivered three times at once starts one run, and each delivery is answered with it', async () => {
  const key = randomUUID();
  const answers = await Promise.all([untilTaken(key), untilTaken(key), untilTaken(key)]);
  expect(new Set(answers.map((run) => run.id)).size).toBe(1);
  expect((await client().ended(answers[0].id)).status).toBe('succeeded');
  expect((await untilTaken(key)).id).toBe(answers[0].id);
  expect(await runsOf()).toEqual([answers[0].id]);
  expect(project.lines('one')).toEqual(['apply']);
});

it('an API that is killed between recording a run and answering: the same request again is answered with that run', async () => {
  const key = randomUUID();
  // Temporal holds its breath, so the request stays in the middle: recorded, and not yet handed over.
  process.kill(cluster.temporal.pid, 'SIGSTOP');
  try {
    const cutOff = ask(key).then(
      () => 'answered',
      () => 'cut off',
    );
    const recorded = await client().until(async () => {
      const { rows } = await records.query<{ id: string }>('SELECT id FROM deployments WHERE environment_id = $1', [
        environment.id,
      ]);
      return rows[0]?.id;
    });
    await cluster.api.kill();
    expect(await cutOff).toBe('cut off');
    process.kill(cluster.temporal.pid, 'SIGCONT');
    await cluster.startApi();
    expect((await untilTaken(key)).id).toBe(recorded);
    expect((await client().ended(recorded)).status).toBe('succeeded');
    expect(await runsOf()).toEqual([recorded]);
    expect(project.lines('one')).toEqual(['apply']);
  } finally {
    process.kill(cluster.temporal.pid, 'SIGCONT');
  }
});
