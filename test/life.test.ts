import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment, Environment, Event, Page } from '../src/model/index.ts';
import { nextRuns } from '../src/definition/index.ts';
import { isTerminalDeployment } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { startSkippingServer } from './support/skipping.ts';
import type { Firing, SkippingServer } from './support/skipping.ts';
import { setTimeLimit } from './support/until.ts';

/** Some forty runs with real tools. */
setTimeLimit(900_000);

/** A Sunday; the leap day, a year's only change of summer time in spring and 14 Mondays lie ahead. */
const birth = '2040-02-26T21:30:00Z';
const dayMs = 86_400_000;
let server: SkippingServer;
let project: TestProject;

beforeAll(async () => {
  server = await startSkippingServer({ at: birth });
  project = makeProject('life');
});
afterAll(async () => {
  await server?.stop();
  project?.remove();
});

it('lives through 90 days of a deploy cron, a drift cron, a lock and restarts, and destroys itself at their end', async () => {
  const changed = join(project.journal, 'changed-by-hand');
  const there = join(project.journal, 'there');
  project.stack('network');
  const site = {
    vcs: {
      type: 'shell',
      path: '.',
      deployScript: `touch ${there}; rm -f ${changed}`,
      destroyScript: `rm ${there}`,
      driftScript: `test ! -e ${changed} || exit 2`,
    },
    needs: ['network'],
  };
  project.workflow({
    settings: { schedule: { deploy: '0 6 * * 1' }, drift: { cron: '0 8 * * 3,6', remediation: 'redeploy' } },
    environments: { network: node('network'), site },
  });
  const bornMs = server.nowMs();
  const endMs = bornMs + 90 * dayMs;
  const { id } = await makeEnvironment(server.client(), project, {
    settings: { ttl: { kind: 'date', at: new Date(endMs).toISOString() } },
  });
  const environment = (): Promise<Environment> => server.client().environment(id);
  const eventsOf = async (type: string): Promise<Event[]> => {
    const found: Event[] = [];
    for (let after = 0; ;) {
      const page = await server
        .client()
        .request<Page<Event>>('GET', `/environments/${id}/events?limit=200&after=${after}`, undefined, {
          accept: 'application/json',
        });
      found.push(...page.items);
      const last = page.items.at(-1);
      if (last === undefined || last.id === after) return found.filter((event) => event.type === type);
      after = last.id;
    }
  };
  const runs = async (): Promise<Deployment[]> => {
    const found: Deployment[] = [];
    for (let cursor = ''; ;) {
      const page: Page<Deployment> = await server
        .client()
        .request(
          'GET',
          `/environments/${id}/deployments?limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
        );
      found.push(...page.items);
      if (page.next === null) return found;
      cursor = page.next;
    }
  };
  const settled = (): Promise<void> =>
    server.until(async () => {
      const path = `/environments/${id}/deployments?limit=3`;
      const { items } = await server.client().request<Page<Deployment>>('GET', path);
      return items.every((run) => isTerminalDeployment(run.status));
    });
  const fired: Firing[] = [];
  const live = (day: number): Promise<void> =>
    server.passTo(bornMs + day * dayMs, async (firing) => {
      fired.push(firing);
      await settled();
    });

  expect(await server.client().run(id)).toMatchObject({ status: 'succeeded', error: null });
  expect(await environment()).toMatchObject({ status: 'active', expiresAt: new Date(endMs).toISOString() });
  // A moment between a deploy, which would mend it, and the check on Wednesday, which is to see it.
  const [mondayMs = NaN] = nextRuns('0 9 * * 1', 'UTC', bornMs + 9 * dayMs, 1);
  const monday = (mondayMs - bornMs) / dayMs;
  await live(monday);
  await server.restart();
  writeFileSync(changed, '');
  await live(monday + 3);
  expect(existsSync(changed)).toBe(false);
  await live(40);
  await server.client().request('POST', `/environments/${id}/lock`, { reason: 'a week of holidays' });
  await live(43);
  await server.restart();
  await live(48);
  await server.client().request('DELETE', `/environments/${id}/lock`);
  await live(87.9);
  expect(await eventsOf('ttl.warning')).toEqual([]);
  // Windlass is away while the first warning falls due, and gives it when it is back.
  await server.restart();
  await live(89);
  expect((await eventsOf('ttl.warning')).map((event) => event.data['expiresAt'])).toEqual([
    new Date(endMs).toISOString(),
  ]);
  await live(89.99);
  expect(await eventsOf('ttl.warning')).toHaveLength(3);
  expect((await environment()).status).toBe('active');
  expect(existsSync(there)).toBe(true);

  await live(90.01);
  await server.until(async () => (await environment()).status === 'inactive');
  await settled();
  expect(existsSync(there)).toBe(false);
  expect(project.lines('network').at(-1)).toBe('destroy');
  expect((await environment()).expiresAt).toBeNull();
  // The crons go on, and what they ask for is refused until somebody sets a new end.
  await live(98);
  expect((await environment()).status).toBe('inactive');

  const all = await runs();
  const of = (type: string, trigger: string): Deployment[] =>
    all.filter((run) => run.type === type && run.trigger === trigger);
  const made = (kind: string): Firing[] =>
    fired.filter((firing) => firing.kind === kind && firing.skipped === undefined);
  expect(all.filter((run) => run.status !== 'succeeded')).toEqual([]);
  expect(of('deploy', 'schedule')).toHaveLength(made('deploy').length);
  expect(of('drift', 'drift')).toHaveLength(made('drift').length);
  expect(of('deploy', 'drift')).toHaveLength(1);
  expect(of('destroy', 'ttl')).toHaveLength(1);
  expect(all).toHaveLength(1 + made('deploy').length + made('drift').length + 2);
  // 98 days are 14 weeks; a Monday fell into the lock, and one or two after the end.
  expect(fired.filter((firing) => firing.kind === 'drift')).toHaveLength(28);
  expect(fired.filter((firing) => firing.kind === 'deploy')).toHaveLength(14);
  const refused = fired.filter((firing) => firing.skipped !== undefined);
  expect(await eventsOf('schedule.skipped')).toHaveLength(refused.length);
  expect(refused.filter((firing) => /locked/.test(firing.skipped ?? ''))).not.toEqual([]);
  expect(refused.filter((firing) => /set a new one first/.test(firing.skipped ?? ''))).not.toEqual([]);
  rmSync(changed, { force: true });
});
