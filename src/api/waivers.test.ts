import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

let harness: Harness;
let deployer: string;
let approver: string;

beforeAll(async () => {
  harness = await startHarness();
  deployer = await harness.key(['view', 'execute']);
  approver = await harness.key(['view', 'execute', 'approve']);
});
afterAll(() => harness.close());

const deploy = (name: string, body: object, token: string) =>
  harness.call<{ detail?: string; problems?: { path: string }[] }>('POST', `environments/${name}/deployments`, {
    body,
    token,
  });

const waivers: readonly (readonly [string, object, string])[] = [
  ['requiresApproval', { requiresApproval: false }, 'requiresApproval'],
  ['nodeApprovals', { nodeApprovals: { main: false } }, 'nodeApprovals.main'],
  ['an envelope', { envelope: { maxChanges: 100 } }, 'envelope'],
  ['a destroy', { type: 'destroy', requiresApproval: false }, 'requiresApproval'],
];

describe.each(waivers)('what a saved setting demands and %s would waive', (what, body, path) => {
  const name = `strict-${what.replaceAll(' ', '-')}`;
  beforeAll(() => harness.environment(name, { type: 'opentofu', settings: { requiresApproval: true } }));

  it('is refused to a key that may not approve', async () => {
    const refused = await deploy(name, body, deployer);
    expect(refused.status).toBe(403);
    expect(refused.body.detail).toContain(
      `may not waive the approval of "${name}": the permission "approve" is missing`,
    );
    expect(refused.body.problems).toEqual([expect.objectContaining({ path })]);
    const asked = await harness.call<{ items: unknown[] }>('GET', `deployments?environment=${name}`);
    expect(asked.body.items).toEqual([]);
  });

  it('is waived by one that may approve, unless others have to', async () => {
    expect((await deploy(name, body, approver)).status).toBe(202);
    const set = (settings: object) => harness.call('PATCH', `environments/${name}`, { body: { settings } });
    await set({ forbidSelfApproval: true });
    expect((await deploy(name, body, approver)).body.detail).toContain(
      'whoever asks for a run may not approve it here',
    );
    await set({ forbidSelfApproval: false, requiredApprovals: 2 });
    expect((await deploy(name, body, approver)).body.detail).toContain('2 people have to approve it');
  });
});

it('asks nothing of who wants more approval, or waives what nobody demands', async () => {
  await harness.environment('strict', { type: 'opentofu', settings: { requiresApproval: true } });
  await harness.environment('free');
  expect((await deploy('strict', { requiresApproval: true }, deployer)).status).toBe(202);
  expect((await deploy('strict', { nodeApprovals: { main: true }, requiresApproval: false }, deployer)).status).toBe(
    202,
  );
  expect((await deploy('strict', { type: 'plan', requiresApproval: false }, deployer)).status).toBe(202);
  expect((await deploy('free', { requiresApproval: false, envelope: { maxChanges: 1 } }, deployer)).status).toBe(202);
});

it('records whether who asked may approve, and never that Windlass itself may', async () => {
  const { id } = await harness.environment('recorded');
  await deploy('recorded', {}, deployer);
  await deploy('recorded', {}, approver);
  await harness.operations.requestDeployment({
    actor: { kind: 'system', id: 'windlass', name: 'Windlass', from: null },
    environment: id,
    request: { type: 'deploy' },
    trigger: 'ttl',
  });
  const rows = await harness.db.sql
    .selectFrom('deployments')
    .select('may_waive_approval')
    .where('environment_id', '=', id)
    .orderBy('number')
    .execute();
  expect(rows.map((row) => row.may_waive_approval)).toEqual([false, true, false]);
});
