import { startHarness } from '../src/api/api.test-support.ts';
import type { Harness } from '../src/api/api.test-support.ts';
import { replaceOutputs } from '../src/store/index.ts';
import { insertNodes, makeDeployment, makeEnvironment, makeTemplate } from './support/databases.ts';

interface List {
  readonly items: Record<string, unknown>[];
}

const input = (name: string, output: string) => ({
  name,
  kind: 'tool',
  type: null,
  template: `\${environments.network.outputs.${output}}`,
  whole: true,
  references: [{ alias: 'network', output }],
});
const variable = { name: 'size', kind: 'tool', type: 'text', sensitive: false, value: 'small', from: 'file' };

describe('looking at a whole environment', () => {
  let api: Harness;
  const list = async (path: string): Promise<Record<string, unknown>[]> => {
    const { status, body } = await api.call<List>('GET', path);
    expect(status).toBe(200);
    return body.items;
  };

  beforeAll(async () => {
    api = await startHarness();
    const { sql: db } = api.db;
    const template = await makeTemplate(db, { name: 'shop', type: 'workflow' });
    const shop = await makeEnvironment(db, { name: 'shop', template });
    const network = await makeEnvironment(db, { parent: { id: shop.id, alias: 'network' } });
    const database = await makeEnvironment(db, { parent: { id: shop.id, alias: 'db' } });
    const { id } = await makeDeployment(db, shop.id);
    const snapshot = { variables: [], inputs: [] };
    await insertNodes(db, id, [
      { alias: 'network', environmentId: network.id, status: 'succeeded', snapshot },
      {
        alias: 'db',
        environmentId: database.id,
        needs: [0],
        status: 'succeeded',
        snapshot: {
          variables: [variable],
          inputs: [input('vpc', 'id'), input('token', 'secret'), input('zone', 'zone')],
        },
      },
    ]);
    await replaceOutputs(db, api.secrets, network.id, [
      { name: 'id', type: 'text', value: 'vpc-1', sensitive: false },
      { name: 'secret', type: 'text', value: 'hunter2-hunter2', sensitive: true },
    ]);
    const region = { name: 'region', value: 'eu', readOnly: true };
    expect((await api.call('POST', 'variables?scope=environment&scopeId=shop', { body: region })).status).toBe(201);
  }, 120_000);
  afterAll(() => api.close());

  test('the outputs of an environment are those of all its nodes', async () => {
    const all = await list('environments/shop/outputs');
    expect(all).toMatchObject([
      { alias: 'network', name: 'id', value: 'vpc-1' },
      { alias: 'network', name: 'secret', value: null, sensitive: true },
    ]);
    expect(await list('environments/shop%2Fnetwork/outputs')).toMatchObject([
      { alias: null, name: 'id' },
      { alias: null, name: 'secret' },
    ]);
    expect(await list('environments/shop%2Fdb/outputs')).toEqual([]);
  });

  test('the variables of an environment say what each node has beside its own, and what inputs read', async () => {
    const { text } = await api.call('GET', 'environments/shop/variables');
    expect(text).not.toContain('hunter2');
    const beside = [
      { alias: 'db', name: 'size', level: 'file', value: 'small', template: null },
      { alias: 'db', name: 'token', level: 'input', value: null, sensitive: true },
      { alias: 'db', name: 'vpc', level: 'input', value: 'vpc-1', template: '${environments.network.outputs.id}' },
      { alias: 'db', name: 'zone', level: 'input', value: null, sensitive: false },
    ];
    expect(await list('environments/shop/variables')).toMatchObject([
      { alias: null, name: 'region', level: 'environment', value: 'eu', readOnly: true },
      ...beside,
    ]);
    expect(await list('environments/shop%2Fdb/variables')).toMatchObject([
      { alias: 'db', name: 'region', level: 'environment', readOnly: true },
      ...beside,
    ]);
    expect(await list('environments/shop/variables?alias=db')).toHaveLength(5);
  });

  test('the status says the last result of each node and who asked for the last run', async () => {
    const { body } = await api.call('GET', 'environments/shop/status');
    expect(body).toMatchObject({
      path: 'shop',
      queued: [{ number: 1, requestedBy: 'alice' }],
      nodes: [
        { alias: 'db', last: { status: 'succeeded', deploymentNumber: 1, deploymentType: 'deploy' } },
        { alias: 'network' },
      ],
    });
    expect((await api.call('GET', 'environments/shop%2Fdb/status')).body).toMatchObject({
      path: 'shop/db',
      nodes: [{ alias: 'db' }],
    });
  });

  test('what happens at fixed times is listed over all environments, nearest firing and pauses with it', async () => {
    await makeEnvironment(api.db.sql, { name: 'never' });
    const schedule = { deploy: '0 7 * * *', destroy: '0 20 * * *', paused: true };
    expect((await api.call('PUT', 'environments/shop/schedule', { body: schedule })).status).toBe(200);
    expect((await api.call('PUT', 'environments/shop/drift', { body: { cron: '0 8 * * *' } })).status).toBe(200);
    expect(await list('schedules')).toMatchObject([
      { environmentName: 'shop', kind: 'deploy', cron: '0 7 * * *', paused: true, next: null },
      { environmentName: 'shop', kind: 'destroy', paused: true, next: null },
      { environmentName: 'shop', kind: 'drift', paused: false, next: expect.stringMatching(/T08:00:00/) },
    ]);
  });

  test('the audit log names what was changed, also when it is gone, and is found by names', async () => {
    const { body: made } = await api.call<{ id: string }>('POST', 'variables?scope=project&scopeId=default', {
      body: { name: 'gone', value: '1' },
    });
    await api.call('DELETE', `variables/${made.id}`);
    await api.call('POST', 'environments/shop/lock', { body: { reason: 'migration' } });
    await api.call('DELETE', 'environments/shop/lock');
    const named = (entries: Record<string, unknown>[]) =>
      entries.map(({ action, targetName }) => [action, targetName] as const);
    expect(named(await list('audit?target=gone'))).toEqual([
      ['variable.delete', 'gone'],
      ['variable.create', 'gone'],
    ]);
    expect(named(await list('audit?target=shop&action=environment.lock'))).toEqual([['environment.lock', 'shop']]);
    expect((await list('audit?target=shop&action=environment')).length).toBeGreaterThan(2);
    const [entry] = await list('audit?target=shop&action=environment.unlock');
    expect(entry).toMatchObject({ projectName: 'default', actor: { name: 'admin' } });
    expect(await list(`audit?target=shop&until=${encodeURIComponent('2020-01-01T00:00:00Z')}`)).toEqual([]);
    expect(await list('audit?actor=nobody')).toEqual([]);
  });
});
