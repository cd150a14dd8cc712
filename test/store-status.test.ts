import {
  createApproval,
  endNode,
  listApprovals,
  listNodeRuns,
  readLastNodeRuns,
  readStatusRuns,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import {
  databaseKinds,
  insertNodes,
  makeDeployment,
  openForTest,
  runningShop,
  samplePlan,
} from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

describe.each(databaseKinds)('how an environment is, on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  async function end(id: string, status: string): Promise<void> {
    const now = new Date();
    await db
      .updateTable('deployments')
      .set({ status, started_at: now, finished_at: now })
      .where('id', '=', id)
      .execute();
  }

  test('a plan or a drift check does not take the place of the last run', async () => {
    const { shop, network, database, deployment } = await runningShop(db);
    await end(deployment.id, 'failed');
    const plan = await makeDeployment(db, shop.id, { type: 'plan' });
    await insertNodes(db, plan.id, [{ alias: 'network', environmentId: network.id }]);
    await end(plan.id, 'succeeded');
    const drift = await makeDeployment(db, shop.id, { type: 'drift' });
    await end(drift.id, 'succeeded');
    const queued = [await makeDeployment(db, shop.id), await makeDeployment(db, shop.id, { type: 'destroy' })];
    expect(await readStatusRuns(db, { environmentId: shop.id, rootId: shop.id })).toMatchObject({
      current: null,
      last: { id: deployment.id, status: 'failed', requestedBy: 'alice' },
      queued: queued.map(({ id }) => ({ id })),
      reading: [],
      lastPlan: { id: plan.id },
      lastDriftCheck: { id: drift.id },
    });
    expect(await readStatusRuns(db, { environmentId: database.id, rootId: shop.id })).toMatchObject({
      last: { id: deployment.id },
      queued: [],
      lastPlan: null,
    });
  });

  test('a run in progress is told apart from what only reads beside it', async () => {
    const { shop, deployment } = await runningShop(db);
    const drift = await makeDeployment(db, shop.id, { type: 'drift' });
    await db.updateTable('deployments').set({ status: 'running' }).where('id', '=', drift.id).execute();
    expect(await readStatusRuns(db, { environmentId: shop.id, rootId: shop.id })).toMatchObject({
      current: { id: deployment.id },
      last: null,
      reading: [{ id: drift.id }],
    });
  });

  test('each node has the result of the newest run that was to change it; taking back counts, keeping does not', async () => {
    const { shop, network, database, deployment } = await runningShop(db);
    await db.updateTable('node_runs').set({ status: 'failed' }).where('deployment_id', '=', deployment.id).execute();
    const second = await makeDeployment(db, shop.id);
    await insertNodes(db, second.id, [
      { alias: 'network', environmentId: network.id, status: 'succeeded' },
      { alias: 'db', environmentId: database.id, status: 'succeeded' },
    ]);
    await db
      .updateTable('node_runs')
      .set({ action: 'keep' })
      .where('deployment_id', '=', second.id)
      .where('alias', '=', 'db')
      .execute();
    await insertNodes(db, second.id, [
      { alias: 'network', environmentId: network.id, status: 'running', compensation: true },
    ]);
    const plan = await makeDeployment(db, shop.id, { type: 'plan' });
    await insertNodes(db, plan.id, [{ alias: 'db', environmentId: database.id, status: 'succeeded' }]);
    await db.updateTable('node_runs').set({ action: 'plan' }).where('deployment_id', '=', plan.id).execute();
    const last = await readLastNodeRuns(db, shop.id);
    expect(last.get(network.id)).toMatchObject({
      deploymentId: second.id,
      deploymentNumber: 2,
      compensation: true,
      status: 'running',
    });
    expect(last.get(database.id)).toMatchObject({ deploymentId: deployment.id, deploymentNumber: 1, status: 'failed' });
    expect(last.size).toBe(2);
    expect([...(await readLastNodeRuns(db, network.id)).keys()]).toEqual([network.id]);
  });

  test('a decision names the environment, the node, the run, and who asked for it', async () => {
    const { shop, network, deployment } = await runningShop(db);
    await createApproval(db, {
      deploymentId: deployment.id,
      index: 0,
      compensation: false,
      environmentId: network.id,
      entityId: shop.id,
      alias: 'network',
      required: 1,
      forbidRequester: false,
      reason: 'the file asks for it',
      planArtifact: null,
      plan: samplePlan,
      expiresAt: new Date(Date.now() + 60_000),
    });
    expect((await listApprovals(db, 'all', { environmentId: shop.id })).items).toMatchObject([
      {
        path: `${shop.name}/network`,
        environmentName: shop.name,
        deploymentNumber: 1,
        deploymentType: 'deploy',
        requestedBy: 'alice',
      },
    ]);
  });

  test('a node that tries again says who holds the lock of its state, to followers and in the status', async () => {
    const { shop, network, deployment } = await runningShop(db);
    const other = await makeDeployment(db, shop.id, { type: 'destroy' });
    const taken = { environment_id: network.id, lock_id: 'l1', info: JSON.stringify({ ID: 'l1', Who: 'root@host' }) };
    await db
      .insertInto('state_locks')
      .values({ ...taken, deployment_id: other.id, index: 0 })
      .execute();
    const key = { deploymentId: deployment.id, index: 0, compensation: false };
    await endNode(db, key, {
      status: 'retrying',
      error: { class: 'lock', message: 'locked' },
      wait: { afterMs: 60_000, account: null },
    });
    const by = `destroy ${other.number} of ${shop.name}`;
    const lock = { by, since: expect.any(String) };
    const wait = { until: expect.stringMatching(/Z$/), account: null, lock };
    const text = new RegExp(`^its state is locked by ${by} since .* UTC, tries again at .* UTC$`);
    const [first] = await listNodeRuns(db, deployment.id);
    expect(first).toMatchObject({ alias: 'network', wait, waitsFor: expect.stringMatching(text) });
    const { current } = await readStatusRuns(db, { environmentId: shop.id, rootId: shop.id });
    const last = await readLastNodeRuns(db, shop.id, current);
    expect(last.get(network.id)).toMatchObject({ wait, waitsFor: expect.stringMatching(text) });
    const { data } = await db
      .selectFrom('events')
      .select('data')
      .where('deployment_id', '=', deployment.id)
      .where('type', '=', 'node.status')
      .executeTakeFirstOrThrow();
    expect(data).toMatchObject({ status: 'retrying', wait: { lock: { by } } });
    await db.deleteFrom('state_locks').where('environment_id', '=', network.id).execute();
    expect((await listNodeRuns(db, deployment.id))[0]).toMatchObject({ wait: { lock: null }, waitsFor: null });
    await endNode(db, key, { status: 'failed' });
    expect((await listNodeRuns(db, deployment.id))[0]).toMatchObject({ wait: null });
  });

  test('nodes of the run in progress say what they wait for', async () => {
    const { shop, database, network, deployment } = await runningShop(db);
    const { current } = await readStatusRuns(db, { environmentId: shop.id, rootId: shop.id });
    const last = await readLastNodeRuns(db, shop.id, current);
    expect(last.get(network.id)?.waitsFor).toBe('waits for a free worker');
    expect(last.get(database.id)?.waitsFor).toBeNull();
    expect(current?.id).toBe(deployment.id);
  });
});
