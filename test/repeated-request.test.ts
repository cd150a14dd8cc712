import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, freePort, processesOf, startUp } from './support/processes.ts';
import type { TestApi } from './support/processes.ts';
import type { TestClient } from './support/windlass.ts';

beforeAll(buildDist);

interface Repeated {
  readonly environment: Environment;
  readonly project: TestProject;
  /** Sends the request, here or to another server. */
  ask(key: string, through?: TestClient): Promise<Deployment>;
  runs(): Promise<string[]>;
}

async function repeated(client: () => TestClient): Promise<Repeated> {
  const project = makeProject('repeated-request');
  project.stack('one');
  project.workflow({ environments: { one: node('one') } });
  const environment = await makeEnvironment(client(), project);
  const path = `/environments/${environment.id}/deployments`;
  return {
    environment,
    project,
    ask: (key, through = client()) => through.request('POST', path, {}, { 'idempotency-key': key }),
    runs: async () => (await client().request<Page<Deployment>>('GET', path)).items.map((run) => run.id),
  };
}

async function expectOneRun({ project, runs }: Repeated, client: TestClient, id: string): Promise<void> {
  expect((await client.ended(id)).status).toBe('succeeded');
  expect(await runs()).toEqual([id]);
  expect(project.lines('one')).toEqual(['apply']);
}

const endOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'answered',
    () => 'cut off',
  );

describe('on PostgreSQL', () => {
  let cluster: TestCluster;
  let records: Client;
  let request: Repeated;
  beforeAll(async () => {
    cluster = await startCluster({ workers: 1 });
    records = new Client({ connectionString: cluster.databaseUrl });
    await records.connect();
  });
  afterAll(async () => {
    await records?.end();
    await cluster?.stop();
  });
  beforeEach(async () => {
    request = await repeated(client);
  });
  afterEach(() => request.project.remove());
  const client = (): TestClient => cluster.api.client;

  const recorded = (): Promise<string> =>
    client().until(async () => {
      const { rows } = await records.query<{ id: string }>('SELECT id FROM deployments WHERE environment_id = $1', [
        request.environment.id,
      ]);
      return rows[0]?.id;
    });
  /** Asks while Temporal holds its breath, so that the request stays in the middle: recorded, and not yet handed over. */
  async function whileInTheMiddle(key: string, act: (run: string) => Promise<void>): Promise<string> {
    process.kill(cluster.temporal.pid, 'SIGSTOP');
    try {
      const first = endOf(request.ask(key));
      await act(await recorded());
      return await first;
    } finally {
      process.kill(cluster.temporal.pid, 'SIGCONT');
    }
  }

  it('a request that is delivered three times at once starts one run, and each delivery is answered with it', async () => {
    const key = randomUUID();
    const answers = await Promise.all([request.ask(key), request.ask(key), request.ask(key)]);
    expect(new Set(answers.map((run) => run.id)).size).toBe(1);
    expect((await client().ended(answers[0].id)).status).toBe('succeeded');
    expect((await request.ask(key)).id).toBe(answers[0].id);
    await expectOneRun(request, client(), answers[0].id);
  });

  it('an API that is killed between recording a run and answering: the next request is answered with that run', async () => {
    const key = randomUUID();
    let run = '';
    const first = await whileInTheMiddle(key, async (id) => {
      run = id;
      await cluster.api.kill();
    });
    expect(first).toBe('cut off');
    await cluster.startApi();
    expect((await request.ask(key)).id).toBe(run);
    await expectOneRun(request, client(), run);
  });

  describe('with two API servers', () => {
    let other: TestApi;
    beforeAll(async () => {
      other = await cluster.startAnotherApi();
    });
    afterAll(() => other?.stop());

    it('the one answers at once what the other has left by being killed', async () => {
      const key = randomUUID();
      let run = '';
      const first = await whileInTheMiddle(key, async (id) => {
        run = id;
        await cluster.api.kill();
      });
      expect(first).toBe('cut off');
      expect((await request.ask(key, other.client)).id).toBe(run);
      await cluster.startApi();
      await expectOneRun(request, client(), run);
    });

    it('the one waits for what the other is at, and gives its answer', async () => {
      const key = randomUUID();
      let second: Promise<Deployment> | undefined;
      const first = await whileInTheMiddle(key, async () => {
        const { rows } = await records.query<{ now: Date }>('SELECT clock_timestamp() AS now');
        second = request.ask(key, other.client);
        // The other one has met the claim.
        const met = `SELECT 1 FROM pg_stat_activity
          WHERE query LIKE 'select * from "idempotency_keys"%' AND query_start > $1`;
        await client().until(async () => (await records.query(met, [rows[0]?.now])).rowCount);
      });
      expect(first).toBe('answered');
      const run = (await request.ask(key)).id;
      expect((await second)?.id).toBe(run);
      await expectOneRun(request, client(), run);
    });

    it('a server that lost the connection which shows that it lives is another one from then on', async () => {
      const ownerAfter = async (asked: string): Promise<number | undefined> => {
        await request.ask(asked);
        const owner = 'SELECT owner FROM idempotency_keys WHERE key = $1 AND owner IS NOT NULL';
        return (await records.query<{ owner: number }>(owner, [asked])).rows[0]?.owner;
      };
      const before = await ownerAfter(randomUUID());
      expect(before).toEqual(expect.any(Number));
      const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'windlass-presence'`;
      await records.query(cut);
      const after = await client().until(async () => {
        const owner = await ownerAfter(randomUUID());
        return owner !== before && owner;
      });
      expect(after).toEqual(expect.any(Number));
    });
  });
});

describe('on PGlite', () => {
  let root: string;
  let port: number;
  let up: TestApi;
  let request: Repeated;
  const start = async (): Promise<void> => {
    up = await startUp({ dataDirectory: join(root, 'data'), port });
  };
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'windlass-repeated-'));
    mkdirSync(join(root, 'data'));
    port = await freePort();
    await start();
    request = await repeated(() => up.client);
  });
  afterAll(async () => {
    await up?.stop();
    request?.project.remove();
    rmSync(root, { recursive: true, force: true });
  });

  it('a server that is killed between recording a run and answering: the next request is answered with that run', async () => {
    const key = randomUUID();
    const temporal = processesOf(root).find(({ args }) => args.includes('start-dev'))?.pid ?? 0;
    expect(temporal).toBeGreaterThan(0);
    process.kill(temporal, 'SIGSTOP');
    try {
      const first = endOf(request.ask(key));
      const run = await up.client.until(async () => (await request.runs())[0]);
      await up.kill();
      expect(await first).toBe('cut off');
      process.kill(temporal, 'SIGCONT');
      await start();
      expect((await request.ask(key)).id).toBe(run);
      await expectOneRun(request, up.client, run);
    } finally {
      if (processesOf(root).some(({ pid }) => pid === temporal)) process.kill(temporal, 'SIGCONT');
    }
  });
});
