import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../access/index.ts';
import { deploymentRequestSchema, environmentInputSchema, systemActor, templateInputSchema } from '../model/index.ts';
import {
  createDeployment,
  createEnvironment,
  createTemplate,
  ensureDefaults,
  findProject,
  getEnvironment,
  openDatabase,
} from './index.ts';
import type { Database } from './index.ts';
import { resetDriftStatus } from './drift-results.ts';
import { closeNodes } from './run-nodes.ts';
import { lastSuccessBefore } from './run-history.ts';
import { setRunStatus } from './runs.ts';

let db: Database;
let count = 0;

beforeAll(async () => {
  db = await openDatabase({ kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
});
afterAll(() => db.close());

async function makeGraph(aliases: readonly string[]) {
  const project = await findProject(db.sql, 'default', 'all');
  const name = `shop-${++count}`;
  const template = await createTemplate(
    db.sql,
    project.id,
    templateInputSchema.parse({ name, type: 'workflow', source: { kind: 'local', directory: '/srv/code' } }),
  );
  const make = (own: string, parent?: { id: string; alias: string }) => {
    const input = environmentInputSchema.parse({ name: own, template: template.id });
    return createEnvironment(db.sql, {
      projectId: project.id,
      templateId: template.id,
      name: own,
      settings: input.settings,
      parent,
    });
  };
  const root = await make(name);
  const nodes = new Map<string, string>();
  for (const alias of aliases) nodes.set(alias, (await make(`${name} ${alias}`, { id: root.id, alias })).id);
  return { root, nodes };
}

it('closes what is still open of a run that is over: what had begun has the ending, what had not is cancelled', async () => {
  const statuses = { done: 'succeeded', amid: 'running', asked: 'waitingForApproval', still: 'pending' };
  const { root, nodes } = await makeGraph(Object.keys(statuses));
  const run = await createDeployment(db.sql, createSecretBox(randomBytes(32)), {
    environmentId: root.id,
    type: 'deploy',
    trigger: 'user',
    requestedBy: systemActor,
    request: deploymentRequestSchema.parse({}),
  });
  await db.sql
    .insertInto('node_runs')
    .values(
      Object.entries(statuses).map(([alias, status], index) => ({
        deployment_id: run.id,
        index,
        alias,
        name: alias,
        environment_id: nodes.get(alias) ?? '',
        action: 'deploy',
        status,
        began_change: alias === 'amid',
        journal: alias === 'amid' ? JSON.stringify({ open: true }) : null,
      })),
    )
    .execute();
  await db.sql
    .insertInto('approvals')
    .values({
      id: 'apr_open',
      deployment_id: run.id,
      index: 2,
      environment_id: nodes.get('asked') ?? '',
      reason: 'asked',
      plan: JSON.stringify({ counts: { add: 1, change: 0, destroy: 0 } }),
      expires_at: new Date(Date.now() + 60_000),
    })
    .execute();
  await db.sql
    .updateTable('environments')
    .set({ status: 'active', input_hash: 'h' })
    .where('parent_id', '=', root.id)
    .execute();

  expect(await closeNodes(db.sql, run.id, { status: 'aborted', message: 'ended from outside' })).toBe(3);
  const rows = await db.sql
    .selectFrom('node_runs')
    .selectAll()
    .where('deployment_id', '=', run.id)
    .orderBy('index')
    .execute();
  expect(rows.map(({ alias, status }) => [alias, status])).toEqual([
    ['done', 'succeeded'],
    ['amid', 'aborted'],
    ['asked', 'aborted'],
    ['still', 'cancelled'],
  ]);
  expect(rows[1]?.error).toMatchObject({ message: 'ended from outside' });
  expect(rows[3]?.reason).toMatchObject({ kind: 'stopped', message: 'ended from outside' });
  const environments = await db.sql
    .selectFrom('environments')
    .select(['alias', 'status', 'input_hash'])
    .where('parent_id', '=', root.id)
    .orderBy('alias')
    .execute();
  expect(environments.map(({ alias, status, input_hash }) => [alias, status, input_hash])).toEqual([
    ['amid', 'failed', null],
    ['asked', 'active', 'h'],
    ['done', 'active', 'h'],
    ['still', 'active', 'h'],
  ]);
  const approval = await db.sql
    .selectFrom('approvals')
    .select('status')
    .where('id', '=', 'apr_open')
    .executeTakeFirst();
  expect(approval?.status).toBe('superseded');
  // Once more changes nothing.
  expect(await closeNodes(db.sql, run.id, { status: 'failed', message: 'again' })).toBe(0);
});

it.each([
  [{ a: ['active', 'ok'], b: ['active', 'neverRun'] }, 'ok'],
  [{ a: ['active', 'error'], b: ['active', 'drifted'] }, 'drifted'],
  [{ a: ['active', 'error'], b: ['active', 'ok'] }, 'error'],
  [{ a: ['inactive', 'drifted'], b: ['active', 'ok'] }, 'ok'],
  [{ a: ['inactive', 'drifted'], b: ['inactive', 'ok'] }, 'neverRun'],
] as const)(
  'has the drift that its nodes still have after a run that changed things: %j is %s',
  async (nodes, expected) => {
    const graph = await makeGraph(Object.keys(nodes));
    for (const [alias, [status, drift]] of Object.entries(nodes)) {
      await db.sql
        .updateTable('environments')
        .set({ status, drift_status: drift })
        .where('id', '=', graph.nodes.get(alias) ?? '')
        .execute();
    }
    await db.sql
      .updateTable('environments')
      .set({ drift_status: 'drifted', status: 'active' })
      .where('id', '=', graph.root.id)
      .execute();
    await resetDriftStatus(db.sql, graph.root.id);
    expect((await getEnvironment(db.sql, graph.root.id)).flags.drift).toBe(expected);
  },
);

it('a deploy that was dropped from the queue has never begun: a rollback goes to the one before the last that did', async () => {
  const { root } = await makeGraph([]);
  const make = () =>
    createDeployment(db.sql, createSecretBox(randomBytes(32)), {
      environmentId: root.id,
      type: 'deploy',
      trigger: 'user',
      requestedBy: systemActor,
      request: deploymentRequestSchema.parse({}),
    });
  const [first, second, dropped, asking] = [await make(), await make(), await make(), await make()];
  for (const { id } of [first, second]) {
    await setRunStatus(db.sql, id, { status: 'running' });
    await setRunStatus(db.sql, id, { status: 'succeeded' });
  }
  await setRunStatus(db.sql, dropped.id, { status: 'cancelled' });
  const { started_at: startedAt } = await db.sql
    .selectFrom('deployments')
    .select('started_at')
    .where('id', '=', dropped.id)
    .executeTakeFirstOrThrow();
  expect(startedAt).toBeNull();
  expect(await lastSuccessBefore(db.sql, root.id, asking.id)).toEqual({ id: first.id, number: 1 });
});
