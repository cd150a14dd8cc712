import { findWorker, listDeployments, registerWorker } from '../src/store/index.ts';
import { makeDeployment, makeEnvironment, openForTest, unique } from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';
import { shiftClock } from './support/shifted-clock.ts';

/** A server has a clock of its own, and so has each of the processes that use it. */
describe('a process whose clock is wrong by a day', () => {
  const clock = shiftClock();
  const dayMs = 86_400_000;
  let opened: OpenedForTest;
  beforeAll(async () => {
    opened = await openForTest('postgres');
  });
  afterAll(async () => {
    clock.restore();
    await opened?.close();
  });

  it.each([
    ['behind', -dayMs],
    ['ahead', dayMs],
  ])('%s knows how long another worker has been silent', async (_, shiftMs) => {
    const id = unique('wrk');
    await registerWorker(opened.db, { id, host: 'elsewhere', bootId: 'boot', pid: 1 });
    clock.set(Date.now() + shiftMs);
    const found = await findWorker(opened.db, id);
    clock.set(Date.now() - shiftMs);
    expect(found?.silentMs).toBeGreaterThanOrEqual(0);
    expect(found?.silentMs).toBeLessThan(60_000);
  });

  it('gives the runs of an environment in the order in which they were asked for, page by page', async () => {
    const environment = await makeEnvironment(opened.db);
    const ask = () => makeDeployment(opened.db, environment.id);
    await ask();
    clock.set(Date.now() - dayMs);
    await ask();
    clock.set(Date.now() + 2 * dayMs);
    await ask();
    clock.set(Date.now() - dayMs);
    const first = await listDeployments(opened.db, 'all', { environmentId: environment.id, limit: 2 });
    const cursor = first.next ?? '';
    const second = await listDeployments(opened.db, 'all', { environmentId: environment.id, limit: 2, cursor });
    expect([...first.items, ...second.items].map(({ number }) => number)).toEqual([3, 2, 1]);
  });
});
