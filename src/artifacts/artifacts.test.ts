import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../access/index.ts';
import { openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { createArtifacts, maxArtifactBytes } from './index.ts';

let db: Database;
beforeAll(async () => {
  const url = process.env['WINDLASS_TEST_DATABASE_URL'];
  db = await openDatabase(url ? { kind: 'postgres', url } : { kind: 'pglite', directory: null });
}, 60_000);
afterAll(() => db.close());

const secrets = createSecretBox(randomBytes(32));
const plan = { deploymentId: `dep_${randomBytes(4).toString('hex')}`, index: 3, kind: 'plan' } as const;

test('an artifact comes back as it was put, and lies encrypted', async () => {
  const artifacts = createArtifacts({ db, secrets });
  const body = Buffer.from('the password is hunter2');
  const id = await artifacts.put({ ...plan, body });
  const found = await artifacts.get(id);
  expect(Buffer.from(found.body).equals(body)).toBe(true);
  expect(found).toMatchObject({ id, deploymentId: plan.deploymentId, index: 3, kind: 'plan', size: body.length });
  const row = await db.sql.selectFrom('artifacts').select('body').where('id', '=', id).executeTakeFirstOrThrow();
  expect(Buffer.from(row.body).includes('hunter2')).toBe(false);
});

test('the newest of its kind is found', async () => {
  const artifacts = createArtifacts({ db, secrets });
  const query = { ...plan, deploymentId: `${plan.deploymentId}_2` };
  expect(await artifacts.find(query)).toBeNull();
  const old = await artifacts.put({ ...query, body: Buffer.from('old') });
  await db.sql
    .updateTable('artifacts')
    .set({ created_at: new Date(Date.now() - 1_000) })
    .where('id', '=', old)
    .execute();
  const newest = await artifacts.put({ ...query, body: Buffer.from('new') });
  await artifacts.put({ ...query, kind: 'planText', body: Buffer.from('text') });
  await artifacts.put({ ...query, index: 4, body: Buffer.from('other node') });
  expect(await artifacts.find(query)).toMatchObject({ id: newest, size: 3 });
});

test('content that was changed, exchanged or lost is not handed out', async () => {
  const artifacts = createArtifacts({ db, secrets });
  const a = await artifacts.put({ ...plan, body: Buffer.from('a') });
  const b = await artifacts.put({ ...plan, body: Buffer.from('b') });
  const { body } = await db.sql.selectFrom('artifacts').select('body').where('id', '=', b).executeTakeFirstOrThrow();
  await db.sql.updateTable('artifacts').set({ body }).where('id', '=', a).execute();
  await expect(artifacts.get(a)).rejects.toMatchObject({ code: 'internal' });
  await db.sql
    .updateTable('artifacts')
    .set({ sha256: '0'.repeat(64) })
    .where('id', '=', b)
    .execute();
  await expect(artifacts.get(b)).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining(b) });
  await expect(artifacts.get('plan_none')).rejects.toMatchObject({ code: 'notFound' });
});

test('what is larger than 64 MiB is refused', async () => {
  const artifacts = createArtifacts({ db, secrets });
  await expect(artifacts.put({ ...plan, body: Buffer.alloc(maxArtifactBytes + 1) })).rejects.toMatchObject({
    code: 'tooLarge',
  });
});
