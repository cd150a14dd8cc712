import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../access/index.ts';
import { createStateStore } from '../state/index.ts';
import { claimIdempotencyKey, ensureDefaults, openDatabase, recordEvent } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { keepHouse } from './housekeeping.ts';

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
    await recordEvent(db.sql, { ...event, data: { age } });
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
  expect(await keepHouse(deps)).toEqual({ removed: 2 });
  expect((await db.sql.selectFrom('events').select('data').execute()).map(({ data }) => data)).toEqual([{ age: 89 }]);
  expect(await db.sql.selectFrom('idempotency_keys').select('key').execute()).toEqual([{ key: 'build-29' }]);
  expect(await keepHouse(deps)).toEqual({ removed: 0 });
});
