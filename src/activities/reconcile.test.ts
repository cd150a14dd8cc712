import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import pino from 'pino';
import { toolPath } from '../../test/support/tools.ts';
import { setTimeLimit, until } from '../../test/support/until.ts';
import { workflowIds } from '../model/index.ts';
import { createOlderVersion } from '../operations/older-version.test-support.ts';
import type { OlderVersion } from '../operations/older-version.test-support.ts';
import { ensureDefaults, findProject, openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { reconcile } from './reconcile.ts';

setTimeLimit(120_000);

let db: Database;
let env: TestWorkflowEnvironment;
let older: OlderVersion;

beforeAll(async () => {
  const path = toolPath('temporal');
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
  db = await openDatabase({ kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
  env = await TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'existing-path', path } } });
  const today = require.resolve('../workflows/index.ts');
  older = createOlderVersion({ client: env.client, connection: env.nativeConnection }, today);
});
afterAll(async () => {
  await older?.stop();
  await env?.teardown();
  await db?.close();
});

const reconcileNow = (): ReturnType<typeof reconcile> =>
  reconcile(
    // The rest is not asked for anything here.
    {
      db,
      temporal: env.client,
      log: pino({ level: 'silent' }),
      operations: { resendPending: () => Promise.resolve(0) },
    } as unknown as ActivityDeps,
    { limit: 10 },
  );
const statusOf = async (workflowId: string): Promise<string> =>
  (await env.client.workflow.getHandle(workflowId).describe()).status.name;

async function makeRun(id: string, status: string): Promise<void> {
  const { id: projectId } = await findProject(db.sql, 'default', 'all');
  const environmentId = `env_of_${id}`;
  await db.sql
    .insertInto('environments')
    .values({ id: environmentId, project_id: projectId, name: id, status: 'deployInProgress' })
    .execute();
  await db.sql
    .insertInto('deployments')
    .values({
      id,
      environment_id: environmentId,
      number: 7,
      type: 'deploy',
      status,
      trigger: 'user',
      requested_by: '{}',
      request: '{}',
      started_at: new Date(Date.now() - 120_000),
    })
    .execute();
  await db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: id,
      index: 0,
      alias: 'a',
      name: 'a',
      environment_id: environmentId,
      action: 'deploy',
      status: 'running',
      started_at: new Date(Date.now() - 120_000),
    })
    .execute();
}

const warnings = async (deploymentId: string): Promise<unknown[]> =>
  (
    await db.sql
      .selectFrom('events')
      .select('data')
      .where('deployment_id', '=', deploymentId)
      .where('type', '=', 'environment.warning')
      .execute()
  ).map(({ data }) => data);

it('says once of a run that another version began that it cannot go on, and what to do', async () => {
  await makeRun('dep_stranded', 'running');
  const workflowId = workflowIds.deployment('dep_stranded');
  await older.begin('deployment', workflowId);
  // Something has to happen, such as the end of a node, before anybody notices.
  await env.client.workflow.getHandle(workflowId).signal('anything');
  await until(async () => {
    await reconcileNow();
    return (await warnings('dep_stranded')).length > 0;
  });
  await reconcileNow();
  expect(await warnings('dep_stranded')).toEqual([
    { kind: 'stranded', message: expect.stringMatching(/run #7 .*another version.*abort it and resume/) as string },
  ]);
  // It may yet go on under the version that began it.
  expect(await statusOf(workflowId)).toBe('RUNNING');
});

it('ends a node that cannot hear that its run is being stopped', async () => {
  await makeRun('dep_stopping', 'stopping');
  const run = workflowIds.deployment('dep_stopping');
  const node = workflowIds.node('dep_stopping', 'a', false);
  // A run that is well, as far as anybody can see: nobody works on it here.
  await env.client.workflow.start('deployment', { workflowId: run, taskQueue: 'nobody', args: [] });
  await older.begin('deployment', node);
  await env.client.workflow.getHandle(node).signal('stop');
  await until(async () => {
    await reconcileNow();
    return (await statusOf(node)) === 'TERMINATED';
  });
  expect(await statusOf(run)).toBe('RUNNING');
  await env.client.workflow.getHandle(run).terminate();
});
