import { newId } from '../src/model/index.ts';
import {
  appendLog,
  claimIdempotencyKey,
  completeIdempotencyKey,
  createApproval,
  createDeployment,
  findDeployment,
  findWorker,
  getDeployment,
  getEnvironment,
  getNodeRun,
  heartbeatWorker,
  listDeployments,
  listDriftResults,
  listNodeRuns,
  listWorkers,
  readDeploymentRequest,
  readLog,
  recordDriftResult,
  registerWorker,
  releaseIdempotencyKey,
  stopWorker,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import { deploymentRequestSchema } from '../src/model/index.ts';
import {
  alice,
  databaseKinds,
  insertNodes,
  makeDeployment,
  makeEnvironment,
  openForTest,
  secrets,
  unique,
  runningShop,
  samplePlan,
} from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

describe.each(databaseKinds)('records of runs on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  async function ask(
    place: { deployment: { id: string }; shop: { id: string }; network: { id: string } },
    more: { required?: number; forbidRequester?: boolean; expiresAt?: Date; planArtifact?: string } = {},
  ): Promise<string> {
    return createApproval(db, {
      deploymentId: place.deployment.id,
      index: 0,
      compensation: false,
      environmentId: place.network.id,
      entityId: place.shop.id,
      alias: 'network',
      required: more.required ?? 1,
      forbidRequester: more.forbidRequester ?? false,
      reason: 'the file asks for it',
      planArtifact: more.planArtifact ?? null,
      plan: samplePlan,
      expiresAt: more.expiresAt ?? new Date(Date.now() + 60_000),
    });
  }

  describe('deployments', () => {
    test('are numbered one by one, also when many are asked for at once', async () => {
      const environment = await makeEnvironment(db);
      const made = await Promise.all(Array.from({ length: 20 }, () => makeDeployment(db, environment.id)));
      expect(made.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    });

    test('are made once for one id', async () => {
      const environment = await makeEnvironment(db);
      const id = newId('dep');
      const input = {
        id,
        environmentId: environment.id,
        type: 'deploy',
        trigger: 'api',
        requestedBy: alice,
        request: deploymentRequestSchema.parse({}),
      } as const;
      const first = await createDeployment(db, secrets, input);
      expect(await createDeployment(db, secrets, input)).toEqual(first);
      expect((await listDeployments(db, 'all', { environmentId: environment.id })).items).toHaveLength(1);
      await expect(
        createDeployment(db, secrets, { ...input, id: undefined, environmentId: 'env_none' }),
      ).rejects.toMatchObject({ code: 'notFound' });
    });

    test('never show the sensitive values of their request, and store them encrypted', async () => {
      const environment = await makeEnvironment(db);
      const variables = [
        { name: 'a', value: 'open' },
        { name: 'b', value: { deep: 'hunter2-secret' }, sensitive: true, type: 'map', alias: 'db' },
      ];
      const { id } = await makeDeployment(db, environment.id, { variables });
      expect((await getDeployment(db, id)).request.variables).toMatchObject([
        { value: 'open' },
        { name: 'b', sensitive: true },
      ]);
      expect(JSON.stringify(await getDeployment(db, id))).not.toMatch(/hunter2|wl1:/);
      const row = await db.selectFrom('deployments').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
      expect(JSON.stringify(row)).not.toContain('hunter2');
      expect((await readDeploymentRequest(db, secrets, id)).variables[1]?.value).toEqual({ deep: 'hunter2-secret' });
    });

    test('are found by id, beginning of an id, and number', async () => {
      const { shop, network, deployment } = await runningShop(db);
      for (const reference of [
        deployment.id,
        deployment.id.slice(0, -1),
        `${shop.name}#1`,
        `${shop.id}#1`,
        `${shop.name}/network#1`,
      ]) {
        expect((await findDeployment(db, reference, 'all')).id).toBe(deployment.id);
      }
      await expect(findDeployment(db, `${shop.name}#2`, 'all')).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining(`${shop.name}#1`),
      });
      await expect(findDeployment(db, 'nonsense', 'all')).rejects.toMatchObject({ code: 'notFound' });
      await makeDeployment(db, network.id);
      await expect(findDeployment(db, deployment.id.slice(0, 8), 'all')).rejects.toMatchObject({ code: 'ambiguous' });
    });

    test('count their nodes and their place in the queue', async () => {
      const { shop, deployment } = await runningShop(db);
      const queued = [await makeDeployment(db, shop.id), await makeDeployment(db, shop.id)];
      await db
        .updateTable('node_runs')
        .set({ status: 'waitingForApproval' })
        .where('deployment_id', '=', deployment.id)
        .where('index', '=', 0)
        .execute();
      expect(await getDeployment(db, deployment.id)).toMatchObject({
        environmentName: shop.name,
        number: 1,
        requestedBy: 'alice',
        queuePosition: null,
        counts: { total: 2, running: 1, pending: 1, succeeded: 0, failed: 0, skipped: 0 },
        waitingForApproval: 1,
        temporalUrl: null,
      });
      const positions = await Promise.all(queued.map(({ id }) => getDeployment(db, id)));
      expect(positions.map(({ queuePosition }) => queuePosition)).toEqual([1, 2]);
    });

    test('show in the flags of their environment and its nodes', async () => {
      const place = await runningShop(db);
      await makeDeployment(db, place.shop.id, { type: 'plan' });
      await ask(place);
      const { shop, network, database, deployment } = place;
      const last = (await listDeployments(db, 'all', { environmentId: shop.id })).items[0];
      expect(await getEnvironment(db, shop.id)).toMatchObject({
        currentDeploymentId: deployment.id,
        lastDeploymentId: last?.id,
        flags: { queued: 1, waitingForApproval: 1 },
      });
      expect(await getEnvironment(db, network.id)).toMatchObject({
        currentDeploymentId: deployment.id,
        lastDeploymentId: deployment.id,
        flags: { queued: 0, waitingForApproval: 1 },
      });
      expect(await getEnvironment(db, database.id)).toMatchObject({ flags: { waitingForApproval: 0 } });
    });

    test('are listed newest first by filters, page by page', async () => {
      const { shop, network, deployment } = await runningShop(db);
      const drift = await makeDeployment(db, shop.id, { type: 'drift' });
      const ids = async (filter: Parameters<typeof listDeployments>[2]): Promise<string[]> => {
        const first = await listDeployments(db, 'all', { environmentId: shop.id, limit: 1, ...filter });
        const second =
          first.next === null
            ? null
            : await listDeployments(db, 'all', { environmentId: shop.id, limit: 1, ...filter, cursor: first.next });
        return [...first.items, ...(second?.items ?? [])].map(({ id }) => id);
      };
      expect(await ids({})).toEqual([drift.id, deployment.id]);
      expect(await ids({ type: 'drift' })).toEqual([drift.id]);
      expect(await ids({ status: ['running', 'failed'] })).toEqual([deployment.id]);
      expect(await ids({ requestedBy: 'key_alice' })).toHaveLength(2);
      expect(await ids({ requestedBy: 'bob' })).toEqual([]);
      expect(await ids({ since: new Date(Date.now() + 60_000) })).toEqual([]);
      expect(await ids({ until: new Date(Date.now() + 60_000) })).toHaveLength(2);
      expect(await ids({ environmentId: network.id })).toEqual([deployment.id]);
    });
  });

  describe('node runs', () => {
    test('are listed in order, with names for what they wait for, and those of a rollback last', async () => {
      const { deployment, network } = await runningShop(db);
      await insertNodes(db, deployment.id, [{ alias: 'network', environmentId: network.id, compensation: true }]);
      const runs = await listNodeRuns(db, deployment.id);
      expect(runs.map(({ alias, compensation, needs }) => [alias, compensation, needs])).toEqual([
        ['network', false, []],
        ['db', false, ['network']],
        ['network', true, []],
      ]);
      expect(runs[0]).toMatchObject({
        templateName: 'net',
        type: 'opentofu',
        commit: 'abc',
        counts: null,
        stageTimes: {},
        approvalId: null,
      });
    });

    test('are found by alias, with the approval they wait for', async () => {
      const place = await runningShop(db);
      const approvalId = await ask(place);
      expect(await getNodeRun(db, { deploymentId: place.deployment.id, alias: 'network' })).toMatchObject({
        index: 0,
        approvalId,
      });
      expect(await getNodeRun(db, { deploymentId: place.deployment.id, alias: 'db' })).toMatchObject({
        needs: ['network'],
        approvalId: null,
      });
      await expect(getNodeRun(db, { deploymentId: place.deployment.id, alias: 'netwrk' })).rejects.toMatchObject({
        hint: expect.stringContaining('"network"'),
      });
    });
  });

  describe('logs', () => {
    test('are read in the order they were written, from where one was', async () => {
      const { deployment } = await runningShop(db);
      const owner = (index: number, compensation = false) => ({
        deploymentId: deployment.id,
        index,
        compensation,
        try: 1,
      });
      await appendLog(db, owner(0), [
        { stage: 'plan', text: 'a\0' },
        { stage: 'apply', text: 'b' },
      ]);
      await appendLog(db, owner(1), [{ stage: 'plan', text: 'c'.repeat(10_000) }]);
      const texts = async (filter: Partial<Parameters<typeof readLog>[1]>): Promise<string[]> =>
        (await readLog(db, { deploymentId: deployment.id, afterId: 0, ...filter })).map(({ text }) => text.slice(0, 2));
      expect(await texts({})).toEqual(['a\ufffd', 'b', 'cc']);
      expect(await texts({ alias: 'network', stage: 'plan' })).toEqual(['a\ufffd']);
      const [first] = await readLog(db, { deploymentId: deployment.id, afterId: 0, limit: 1 });
      expect(await texts({ afterId: first?.id ?? 0 })).toEqual(['b', 'cc']);
    });
  });

  describe('drift', () => {
    test("of a node shows in its environment, the worst in its parent's", async () => {
      const { shop, network, database, deployment } = await runningShop(db);
      const record = (environmentId: string, status: 'ok' | 'drifted' | 'error') =>
        recordDriftResult(db, {
          environmentId,
          entityId: shop.id,
          alias: 'x',
          deploymentId: deployment.id,
          status,
          resources: samplePlan.resources,
          message: null,
        });
      await Promise.all([record(network.id, 'drifted'), record(database.id, 'ok')]);
      expect((await getEnvironment(db, network.id)).flags.drift).toBe('drifted');
      expect((await getEnvironment(db, database.id)).flags.drift).toBe('ok');
      expect((await getEnvironment(db, shop.id)).flags).toMatchObject({
        drift: 'drifted',
        driftCheckedAt: expect.any(String),
      });
      await record(network.id, 'error');
      expect((await getEnvironment(db, shop.id)).flags.drift).toBe('error');
      const { items } = await listDriftResults(db, { environmentId: shop.id });
      expect(items.map(({ status }) => status)).toEqual(expect.arrayContaining(['error', 'ok', 'drifted']));
      expect(items[0]).toMatchObject({ alias: 'network', resources: samplePlan.resources });
    });
  });

  describe('idempotency keys', () => {
    const claim = (key: string, more: Record<string, unknown> = {}) =>
      claimIdempotencyKey(db, { actor: 'key_a', key, requestHash: 'h1', ...more });

    test('answer the same request the same, and refuse another', async () => {
      const key = unique('key');
      expect(await claim(key)).toEqual({ state: 'new' });
      expect(await claim(key)).toEqual({ state: 'pending' });
      await completeIdempotencyKey(db, { actor: 'key_a', key }, { status: 201, body: { id: 'dep_1' } });
      expect(await claim(key)).toEqual({ state: 'answered', status: 201, body: { id: 'dep_1' } });
      await expect(claim(key, { requestHash: 'h2' })).rejects.toMatchObject({ code: 'idempotencyMismatch' });
      expect(await claim(key, { actor: 'key_b', requestHash: 'h2' })).toEqual({ state: 'new' });
    });

    test('are given to one of many that ask at once', async () => {
      const key = unique('key');
      const claims = await Promise.all(Array.from({ length: 8 }, () => claim(key)));
      expect(claims.filter(({ state }) => state === 'new')).toHaveLength(1);
    });

    test('that a crash has left without an answer are taken over, but not with another request', async () => {
      const key = unique('key');
      await claim(key);
      await expect(claim(key, { staleAfterMs: 0, requestHash: 'h2' })).rejects.toMatchObject({
        code: 'idempotencyMismatch',
      });
      expect(await claim(key, { staleAfterMs: 0 })).toEqual({ state: 'new' });
      await releaseIdempotencyKey(db, { actor: 'key_a', key });
      expect(await claim(key)).toEqual({ state: 'new' });
    });

    test('keep their first answer', async () => {
      const key = unique('key');
      await claim(key);
      await completeIdempotencyKey(db, { actor: 'key_a', key }, { status: 202, body: 'first' });
      await completeIdempotencyKey(db, { actor: 'key_a', key }, { status: 202, body: 'second' });
      expect(await claim(key)).toEqual({ state: 'answered', status: 202, body: 'first' });
    });

    test('of a process that has ended are taken over at once, and stay with who took them', async () => {
      const key = unique('key');
      const owner = await opened.database.presence.current();
      const gone = await opened.anotherProcess();
      expect(await claim(key, { owner: gone.number })).toEqual({ state: 'new' });
      await gone.end();
      const claims = await Promise.all(Array.from({ length: 8 }, () => claim(key, { owner })));
      expect(claims.filter(({ state }) => state === 'new')).toHaveLength(1);
      await releaseIdempotencyKey(db, { actor: 'key_a', key, owner: gone.number });
      expect(await claim(key, { owner })).toEqual({ state: 'pending' });
      await releaseIdempotencyKey(db, { actor: 'key_a', key, owner });
      expect(await claim(key, { owner })).toEqual({ state: 'new' });
    });

    test('of an ended process are not taken with another request, nor by who cannot show himself', async () => {
      const key = unique('key');
      const gone = await opened.anotherProcess();
      await claim(key, { owner: gone.number });
      await gone.end();
      const owner = await opened.database.presence.current();
      await expect(claim(key, { owner, requestHash: 'h2' })).rejects.toMatchObject({ code: 'idempotencyMismatch' });
      expect(await claim(key, { owner: null })).toEqual({ state: 'pending' });
    });
  });

  describe('workers', () => {
    test('are known from their start to their end', async () => {
      const id = unique('wrk');
      expect(await heartbeatWorker(db, id)).toBe(false);
      await registerWorker(db, { id, host: 'h', bootId: 'b', pid: 1 });
      expect(await heartbeatWorker(db, id)).toBe(true);
      expect((await listWorkers(db, { seenWithinMs: 60_000 })).map((worker) => worker.id)).toContain(id);
      await stopWorker(db, id);
      expect(await heartbeatWorker(db, id)).toBe(false);
      expect(await findWorker(db, id)).toMatchObject({ host: 'h', pid: 1, stoppedAt: expect.any(Date) });
      expect((await listWorkers(db, { seenWithinMs: 60_000 })).map((worker) => worker.id)).not.toContain(id);
      expect(await findWorker(db, 'none')).toBeNull();
    });
  });
});
