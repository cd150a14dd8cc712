import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

interface Made {
  readonly id: string;
  readonly token: string;
  readonly permissions: string[];
  readonly detail: string;
  readonly problems: { path: string }[];
}
const create = (body: object, token?: string) =>
  harness.call<Made>('POST', 'keys', { body, ...(token === undefined ? {} : { token }) });

it('takes a project by its name and keeps its id', async () => {
  const { body: project } = await harness.call<{ id: string }>('POST', 'projects', { body: { name: 'web' } });
  const made = await create({ name: 'by name', permissions: ['execute@web', `execute@${project.id}`, 'approve@web'] });
  expect(made.status).toBe(201);
  expect(made.body.permissions).toEqual([`execute@${project.id}`, `approve@${project.id}`]);
  // A new name takes nothing from it.
  await harness.call('PATCH', `projects/${project.id}`, { body: { name: 'website' } });
  expect((await harness.call('GET', 'projects/website', { token: made.body.token })).status).toBe(200);
});

it.each([
  ['execute@nowhere', 404, 'there is no project "nowhere"'],
  ['organization.manage@default', 400, 'would have no effect'],
  ['deploy', 400, 'there is no permission "deploy"'],
  ['*@default', 400, 'there is no permission "*@default"'],
])('is not made with %s, which would allow nothing', async (grant, status, why) => {
  const refused = await create({ name: `with ${grant}`, permissions: ['view', grant] });
  expect(refused.status).toBe(status);
  expect(refused.body.detail).toContain(`The permission "${grant}" cannot be given: `);
  expect(refused.body.detail).toContain(why);
  expect(refused.body.problems).toEqual([expect.objectContaining({ path: 'permissions[1]' })]);
  expect((await harness.call('GET', 'keys')).text).not.toContain(`with ${grant}`);
});

it('has a name of its own among those that can be used', async () => {
  const first = await create({ name: 'ci' });
  const second = await create({ name: 'ci' });
  expect(second.status).toBe(409);
  expect(second.body.detail).toBe('there is already a key "ci"');
  expect((await harness.call('DELETE', 'keys/ci')).status).toBe(204);
  expect((await harness.call('GET', 'me', { token: first.body.token })).status).toBe(401);
  expect((await create({ name: 'ci' })).status).toBe(201);
});

it('gives its name up when it has expired', async () => {
  const old = await create({ name: 'nightly', expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
  await harness.db.sql
    .updateTable('api_keys')
    .set({ expires_at: new Date(Date.now() - 1000) })
    .where('id', '=', old.body.id)
    .execute();
  expect((await create({ name: 'nightly' })).status).toBe(201);
});
