import type { Actor } from '../src/model/index.ts';
import { newId } from '../src/model/index.ts';
import {
  appendLog,
  approvedPlan,
  claimIdempotencyKey,
  completeIdempotencyKey,
  createApproval,
  createDeployment,
  decideApproval,
  expireApproval,
  findDeployment,
  findEnvelope,
  findWorker,
  getApproval,
  getDeployment,
  getEnvironment,
  getNodeRun,
  heartbeatWorker,
  listApprovals,
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
  supersedeApprovals,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import { deploymentRequestSchema } from '../src/model/index.ts';
import {
  alice,
  bob,
  databaseKinds,
  insertNodes,
  makeDeployment,
  makeEnvironment,
  openForTest,
  secrets,
  unique,
} from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

const plan = {
  counts: { add: 1, change: 2, destroy: 0 },
  hasChanges: true,
  resources: [{ address: 'x.y', type: 'x', action: 'create', before: null, after: { a: 1 } }],
  state: null,
} as const;

describe.each(databaseKinds)('records of runs on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  /** An environment with two nodes and a running deployment of both. */
  async function runningShop() {
    const shop = await makeEnvironment(db);
    const network = await makeEnvironment(db, { parent: { id: shop.id, alias: 'network' } });
    const database = await makeEnvironment(db, { parent: { id: shop.id, alias: 'db' } });
    const deployment = await makeDeployment(db, shop.id);
    await insertNodes(db, deployment.id, [
      {
        alias: 'network',
        environmentId: network.id,
        snapshot: { templateName: 'net', type: 'opentofu', commit: 'abc' },
      },
      { alias: 'db', environmentId: database.id, needs: [0] },
    ]);
    await db
      .updateTable('deployments')
      .set({ status: 'running', started_at: new Date() })
      .where('id', '=', deployment.id)
      .execute();
    return { shop, network, database, deployment };
  }

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
      plan,
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
      expect((await listDeployments(db, { environmentId: environment.id })).items).toHaveLength(1);
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
      const { shop, network, deployment } = await runningShop();
      for (const reference of [
        deployment.id,
        deployment.id.slice(0, -1),
        `${shop.name}#1`,
        `${shop.id}#1`,
        `${shop.name}/network#1`,
      ]) {
        expect((await findDeployment(db, reference)).id).toBe(deployment.id);
      }
      await expect(findDeployment(db, `${shop.name}#2`)).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining(`${shop.name}#1`),
      });
      await expect(findDeployment(db, 'nonsense')).rejects.toMatchObject({ code: 'notFound' });
      await makeDeployment(db, network.id);
      await expect(findDeployment(db, deployment.id.slice(0, 8))).rejects.toMatchObject({ code: 'ambiguous' });
    });

    test('count their nodes and their place in the queue', async () => {
      const { shop, deployment } = await runningShop();
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
      const place = await runningShop();
      await makeDeployment(db, place.shop.id, { type: 'plan' });
      await ask(place);
      const { shop, network, database, deployment } = place;
      const last = (await listDeployments(db, { environmentId: shop.id })).items[0];
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
      const { shop, network, deployment } = await runningShop();
      const drift = await makeDeployment(db, shop.id, { type: 'drift' });
      const ids = async (filter: Parameters<typeof listDeployments>[1]): Promise<string[]> => {
        const first = await listDeployments(db, { environmentId: shop.id, limit: 1, ...filter });
        const second =
          first.next === null
            ? null
            : await listDeployments(db, { environmentId: shop.id, limit: 1, ...filter, cursor: first.next });
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
      const { deployment, network } = await runningShop();
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
      const place = await runningShop();
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

  describe('approvals', () => {
    const carol: Actor = { ...bob, id: 'key_carol', name: 'carol' };

    test('show what is to be decided, and end with the first approval when one is enough', async () => {
      const place = await runningShop();
      const id = await ask(place, { planArtifact: 'plan_1' });
      expect(await getApproval(db, id)).toMatchObject({
        alias: 'network',
        status: 'pending',
        counts: plan.counts,
        resources: [{ address: 'x.y', type: 'x', action: 'create' }],
        decisions: [],
      });
      const decided = await decideApproval(db, { approvalId: id, actor: bob, decision: 'approve', comment: 'fine' });
      expect(decided).toMatchObject({
        complete: true,
        repeated: false,
        index: 0,
        approval: { status: 'approved', decisions: [{ by: 'bob', comment: 'fine' }] },
      });
      const node = { deploymentId: place.deployment.id, index: 0, compensation: false };
      expect(await approvedPlan(db, node)).toBe('plan_1');
      await ask(place, { planArtifact: 'plan_2' });
      expect(await approvedPlan(db, node)).toBeNull();
    });

    test('wait for as many people as are required; the same person counts once', async () => {
      const id = await ask(await runningShop(), { required: 2 });
      const approve = { approvalId: id, decision: 'approve' } as const;
      expect(await decideApproval(db, { ...approve, actor: bob })).toMatchObject({
        complete: false,
        approval: { status: 'pending' },
      });
      expect(await decideApproval(db, { ...approve, actor: bob })).toMatchObject({ complete: false, repeated: true });
      await expect(decideApproval(db, { ...approve, decision: 'reject', actor: bob })).rejects.toMatchObject({
        code: 'conflict',
      });
      expect(await decideApproval(db, { ...approve, actor: carol })).toMatchObject({
        complete: true,
        approval: { status: 'approved' },
      });
      expect(await decideApproval(db, { ...approve, actor: carol })).toMatchObject({ complete: true, repeated: true });
      await expect(decideApproval(db, { ...approve, actor: alice })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('already approved'),
      });
    });

    test('decided by many at once are complete exactly once', async () => {
      const id = await ask(await runningShop(), { required: 3 });
      const people = Array.from({ length: 6 }, (_, i): Actor => ({ ...bob, id: `key_${i}`, name: `person ${i}` }));
      const decided = await Promise.allSettled(
        people.map((actor) => decideApproval(db, { approvalId: id, actor, decision: 'approve' })),
      );
      const fulfilled = decided.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      expect(fulfilled).toHaveLength(3);
      expect(fulfilled.filter(({ complete }) => complete)).toHaveLength(1);
    });

    test('may be refused to the one who asked for the run, who may still reject', async () => {
      const id = await ask(await runningShop(), { forbidRequester: true });
      await expect(decideApproval(db, { approvalId: id, actor: alice, decision: 'approve' })).rejects.toMatchObject({
        code: 'forbidden',
      });
      expect(await decideApproval(db, { approvalId: id, actor: alice, decision: 'reject' })).toMatchObject({
        complete: true,
        approval: { status: 'rejected' },
      });
    });

    test('that are out of date, expired or unknown take no decision', async () => {
      const place = await runningShop();
      const decide = (approvalId: string): Promise<unknown> =>
        decideApproval(db, { approvalId, actor: bob, decision: 'approve' });
      const first = await ask(place);
      const second = await ask(place);
      await expect(decide(first)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('out of date'),
      });
      expect(await expireApproval(db, second)).toBe(true);
      expect(await expireApproval(db, second)).toBe(false);
      await expect(decide(second)).rejects.toMatchObject({ message: expect.stringContaining('expired') });
      await expect(decide(await ask(place, { expiresAt: new Date(Date.now() - 1000) }))).rejects.toMatchObject({
        message: expect.stringContaining('expired'),
      });
      await expect(decide('apr_none')).rejects.toMatchObject({ code: 'notFound' });
      await supersedeApprovals(db, { deploymentId: place.deployment.id, index: 0, compensation: false });
      expect((await listApprovals(db, { deploymentId: place.deployment.id, status: 'pending' })).items).toEqual([]);
      expect((await listApprovals(db, { environmentId: place.shop.id })).items).toHaveLength(3);
      expect((await listApprovals(db, { projectId: 'prj_none' })).items).toEqual([]);
    });

    test('may give bounds for the nodes after them', async () => {
      const place = await runningShop();
      expect(await findEnvelope(db, place.deployment.id)).toBeNull();
      const envelope = { maxDestroys: 0, maxChanges: 5 };
      await decideApproval(db, { approvalId: await ask(place), actor: bob, decision: 'approve', envelope });
      expect(await findEnvelope(db, place.deployment.id)).toEqual(envelope);
    });
  });

  describe('logs', () => {
    test('are read in the order they were written, from where one was', async () => {
      const { deployment } = await runningShop();
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
      const { shop, network, database, deployment } = await runningShop();
      const record = (environmentId: string, status: 'ok' | 'drifted' | 'error') =>
        recordDriftResult(db, {
          environmentId,
          entityId: shop.id,
          alias: 'x',
          deploymentId: deployment.id,
          status,
          resources: plan.resources,
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
      expect(items[0]).toMatchObject({ alias: 'network', resources: plan.resources });
    });
  });

  describe('idempotency keys', () => {
    const claim = (key: string, more: Record<string, unknown> = {}) =>
      claimIdempotencyKey(db, { actor: 'key_a', key, requestHash: 'h1', ...more });

    test('answer the same request the same, and refuse another', async () => {
      const key = unique('key');
      expect(await claim(key)).toEqual({ state: 'new' });
      await expect(claim(key)).rejects.toMatchObject({ code: 'conflict' });
      await completeIdempotencyKey(db, { actor: 'key_a', key }, { status: 201, body: { id: 'dep_1' } });
      expect(await claim(key)).toEqual({ state: 'answered', status: 201, body: { id: 'dep_1' } });
      await expect(claim(key, { requestHash: 'h2' })).rejects.toMatchObject({ code: 'idempotencyMismatch' });
      expect(await claim(key, { actor: 'key_b', requestHash: 'h2' })).toEqual({ state: 'new' });
    });

    test('are given to one of many that ask at once', async () => {
      const key = unique('key');
      const claims = await Promise.allSettled(Array.from({ length: 8 }, () => claim(key)));
      expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
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
