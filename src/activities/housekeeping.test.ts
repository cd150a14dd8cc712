import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../access/index.ts';
import { createStateStore } from '../state/index.ts';
import { createArtifacts } from '../artifacts/index.ts';
import type { EventData } from '../model/index.ts';
import {
  appendLog,
  claimIdempotencyKey,
  ensureDefaults,
  findProject,
  openDatabase,
  recordEvent,
} from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { pruneRecords } from './housekeeping.ts';

let db: Database;

beforeAll(async () => {
  db = await openDatabase({ kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
});
afterAll(() => db.close());

const daysAgo = (days: number): Date => new Date(Date.now() - days * 86_400_000);

it('removes what has served its time, and nothing that has not', async () => {
  const event = { type: 'environment.warning', environmentId: null, deploymentId: null, alias: null } as const;
  for (const age of [91, 89]) {
    await recordEvent(db.sql, { ...event, data: { age } as unknown as EventData<'environment.warning'> });
    await db.sql
      .updateTable('events')
      .set({ at: daysAgo(age) })
      .where('at', '>', daysAgo(1))
      .execute();
  }
  for (const age of [31, 29]) {
    await claimIdempotencyKey(db.sql, { actor: 'ci', key: `build-${age}`, requestHash: 'x' });
    await db.sql
      .updateTable('idempotency_keys')
      .set({ created_at: daysAgo(age) })
      .where('created_at', '>', daysAgo(1))
      .execute();
  }
  const state = createStateStore({ db, secrets: createSecretBox(randomBytes(32)) });
  const deps: Pick<ActivityDeps, 'db' | 'state'> = { db, state };
  expect(await pruneRecords(deps)).toEqual({ removed: 2 });
  expect((await db.sql.selectFrom('events').select('data').execute()).map(({ data }) => data)).toEqual([{ age: 89 }]);
  expect(await db.sql.selectFrom('idempotency_keys').select('key').execute()).toEqual([{ key: 'build-29' }]);
  expect(await pruneRecords(deps)).toEqual({ removed: 0 });
});

it('drops what old plans and drift checks have said; what changed something keeps its log and its plans', async () => {
  const { id: projectId } = await findProject(db.sql, 'default', 'all');
  await db.sql.insertInto('environments').values({ id: 'env_shop', project_id: projectId, name: 'shop' }).execute();
  const runs = [
    { id: 'dep_drift_old', type: 'drift', finished_at: daysAgo(91) },
    { id: 'dep_plan_old', type: 'plan', finished_at: daysAgo(91) },
    { id: 'dep_drift_new', type: 'drift', finished_at: daysAgo(89) },
    { id: 'dep_plan_open', type: 'plan', finished_at: null },
    { id: 'dep_deploy_old', type: 'deploy', finished_at: daysAgo(91) },
  ];
  for (const [number, run] of runs.entries()) {
    const made = { environment_id: 'env_shop', number, trigger: 'user', requested_by: '{}', request: '{}' };
    await db.sql
      .insertInto('deployments')
      .values({ ...made, ...run })
      .execute();
    const owner = { deploymentId: run.id, index: 0, compensation: false, try: 1 };
    await appendLog(db.sql, owner, [
      { stage: 'plan', text: 'one' },
      { stage: 'plan', text: 'two' },
    ]);
    await createArtifacts({ db, secrets: createSecretBox(randomBytes(32)) }).put({
      deploymentId: run.id,
      index: 0,
      kind: 'planText',
      body: Buffer.from('+ one'),
    });
  }
  const state = createStateStore({ db, secrets: createSecretBox(randomBytes(32)) });
  expect(await pruneRecords({ db, state })).toEqual({ removed: 6 });
  for (const table of ['log_chunks', 'artifacts'] as const) {
    const left = await db.sql.selectFrom(table).select('deployment_id').distinct().orderBy('deployment_id').execute();
    expect(left.map((row) => row.deployment_id)).toEqual(['dep_deploy_old', 'dep_drift_new', 'dep_plan_open']);
  }
});
