import { MockActivityEnvironment } from '@temporalio/testing';
import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../access/index.ts';
import { deploymentRequestSchema, environmentInputSchema, systemActor, templateInputSchema } from '../model/index.ts';
import {
  createDeployment,
  createEnvironment,
  createTemplate,
  ensureDefaults,
  findProject,
  insertControlRequest,
  openDatabase,
  setRunStatus,
  settleControlRequest,
} from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { finishDeployment, recordNodes } from './records.ts';
import { resolveDeployment } from './resolve-deployment.ts';
import type { Caller } from '../node/index.ts';

let db: Database;
/** What these activities use of the rooms before they come to the tools. */
let deps: ActivityDeps;
let count = 0;
const caller: Caller = { workflowId: 'test', callId: 'test', attempt: 1, scheduledAtMs: 0, nowMs: 0 };

beforeAll(async () => {
  db = await openDatabase({ kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
  deps = { db } as ActivityDeps;
});
afterAll(() => db.close());

async function makeRun(settings: Record<string, unknown> = {}) {
  const project = await findProject(db.sql, 'default', 'all');
  const name = `records-${++count}`;
  const template = await createTemplate(
    db.sql,
    project.id,
    templateInputSchema.parse({ name, type: 'workflow', source: { kind: 'local', directory: '/srv/code' } }),
  );
  const environment = await createEnvironment(db.sql, {
    projectId: project.id,
    templateId: template.id,
    name,
    settings: environmentInputSchema.parse({ name, template: template.id, settings }).settings,
  });
  const run = await createDeployment(db.sql, createSecretBox(randomBytes(32)), {
    environmentId: environment.id,
    type: 'deploy',
    trigger: 'user',
    requestedBy: systemActor,
    request: deploymentRequestSchema.parse({}),
  });
  return { environment, run };
}

it('says the same ending and the same time to live when the call that wrote them is made again', async () => {
  const { environment, run } = await makeRun({ ttl: { kind: 'hours', hours: 2 } });
  await db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: run.id,
      index: 0,
      alias: 'main',
      name: 'main',
      environment_id: environment.id,
      action: 'deploy',
      status: 'succeeded',
    })
    .execute();
  await setRunStatus(db.sql, run.id, { status: 'running' });
  const first = await finishDeployment(deps, { deploymentId: run.id, status: 'succeeded' }, caller);
  expect(first).toEqual({ status: 'succeeded', expiresAtMs: expect.any(Number) });
  // The worker died before it could answer, so Temporal calls again.
  expect(await finishDeployment(deps, { deploymentId: run.id, status: 'succeeded' }, caller)).toEqual(first);
});

it('answers what is written down when a run has been ended otherwise', async () => {
  const { run } = await makeRun();
  await setRunStatus(db.sql, run.id, { status: 'cancelled' });
  expect(await finishDeployment(deps, { deploymentId: run.id, status: 'failed' }, caller)).toEqual({
    status: 'cancelled',
    expiresAtMs: null,
  });
});

it('begins nothing of a run that was dropped while its submission was on the way', async () => {
  const { environment, run } = await makeRun();
  await setRunStatus(db.sql, run.id, { status: 'cancelled' });
  const resolved = new MockActivityEnvironment().run(() => resolveDeployment(deps, { deploymentId: run.id }, caller));
  await expect(resolved).rejects.toThrow('was ended before it began');
  const { status } = await db.sql
    .selectFrom('environments')
    .select('status')
    .where('id', '=', environment.id)
    .executeTakeFirstOrThrow();
  expect(status).toBe('neverDeployed');
});

it('records the last of several changes of one node, however they are bundled', async () => {
  const { environment, run } = await makeRun();
  const start = { failed: 'failed', dependent: 'skipped', held: 'failed' };
  await db.sql
    .insertInto('node_runs')
    .values(
      Object.entries(start).map(([alias, status], index) => ({
        deployment_id: run.id,
        index,
        alias,
        name: alias,
        environment_id: environment.id,
        action: 'deploy',
        status,
      })),
    )
    .execute();
  const because = (message: string) => ({ kind: 'notSelected', message }) as const;
  for (const [kind, alias] of [
    ['skip', 'failed'],
    ['retry', 'held'],
  ] as const) {
    const request = { kind, alias, by: 'ann' };
    const id = await insertControlRequest(db.sql, { deploymentId: run.id, actor: systemActor, request });
    await settleControlRequest(db.sql, id, { status: 'taken', by: 'test' });
  }
  // The failed node is left out: what needs it is brought back, and left as it is since nothing has changed. Another is
  // tried again and stopped before its turn.
  const updates = [
    { index: 0, status: 'skipped', reason: { kind: 'skippedByUser', message: 'left out by ann' } },
    { index: 1, status: 'pending' },
    { index: 2, status: 'pending' },
    { index: 1, status: 'skipped', reason: because('no output it reads from has changed') },
    { index: 2, status: 'cancelled', reason: { kind: 'stopped', message: 'stopped' } },
  ] as const;
  await recordNodes(deps, { deploymentId: run.id, updates }, caller);
  const rows = await db.sql
    .selectFrom('node_runs')
    .select(['alias', 'status', 'reason'])
    .where('deployment_id', '=', run.id)
    .orderBy('index')
    .execute();
  expect(rows).toEqual([
    { alias: 'failed', status: 'skipped', reason: expect.objectContaining({ kind: 'skippedByUser' }) as unknown },
    { alias: 'dependent', status: 'skipped', reason: because('no output it reads from has changed') },
    { alias: 'held', status: 'cancelled', reason: { kind: 'stopped', message: 'stopped' } },
  ]);
});
