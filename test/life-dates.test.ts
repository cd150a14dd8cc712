import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { isTerminalDeployment } from '../src/model/index.ts';
import { makeEnvironment, makeProject } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { startSkippingServer } from './support/skipping.ts';
import type { Firing, SkippingServer } from './support/skipping.ts';
import { setTimeLimit } from './support/until.ts';

setTimeLimit(300_000);

const hourMs = 3_600_000;
const lifeHours = 60;
const watchedHours = 72;

/** When three days begin, and when the daily deploy of 02:30 in Berlin falls due in them, in UTC. In the order of time. */
const births: readonly (readonly [name: string, at: string, deploys: readonly string[]])[] = [
  ['a Monday', '2040-01-02T08:30:00Z', ['03T01:30', '04T01:30', '05T01:30']],
  ['a Tuesday just before midnight', '2040-01-10T23:59:00Z', ['11T01:30', '12T01:30', '13T01:30']],
  ['a Wednesday', '2040-01-18T08:30:00Z', ['19T01:30', '20T01:30', '21T01:30']],
  ['a Thursday just before midnight', '2040-01-26T23:59:00Z', ['27T01:30', '28T01:30', '29T01:30']],
  ['a Friday', '2040-02-03T08:30:00Z', ['04T01:30', '05T01:30', '06T01:30']],
  ['a Saturday just before midnight', '2040-02-11T23:59:00Z', ['12T01:30', '13T01:30', '14T01:30']],
  ['a Sunday', '2040-02-19T08:30:00Z', ['20T01:30', '21T01:30', '22T01:30']],
  ['29 February', '2040-02-29T23:30:00Z', ['01T01:30', '02T01:30', '03T01:30']],
  // 02:30 does not exist on the 25th.
  ['the change to summer time', '2040-03-25T00:59:30Z', ['26T00:30', '27T00:30', '28T00:30']],
  // 02:30 comes twice on the 28th, and the first of them is over.
  ['the change from summer time', '2040-10-28T00:59:30Z', ['28T01:30', '29T01:30', '30T01:30']],
  ['31 December', '2040-12-31T23:59:00Z', ['01T01:30', '02T01:30', '03T01:30']],
];

let server: SkippingServer;
const projects: TestProject[] = [];

beforeAll(async () => {
  server = await startSkippingServer({ at: births[0]?.[1] ?? '', wholeProcess: true });
});
/** Months may pass until the next of them begins. */
afterEach(async () => {
  const { items } = await server.client().request<Page<Environment>>('GET', '/environments?limit=100');
  for (const { id, settings } of items) {
    if (settings.schedule) await server.client().request('DELETE', `/environments/${id}/schedule`);
    if (settings.drift) await server.client().request('DELETE', `/environments/${id}/drift`);
  }
});
afterAll(async () => {
  await server?.stop();
  for (const project of projects) project.remove();
});

const at = (iso: string): number => Date.parse(iso);
const environmentOf = (id: string): Promise<Environment> => server.client().environment(id);
const runsOf = async (id: string): Promise<Deployment[]> =>
  (await server.client().request<Page<Deployment>>('GET', `/environments/${id}/deployments?limit=50`)).items;
const isQuiet = async (id: string): Promise<boolean> =>
  (await runsOf(id)).every((run) => isTerminalDeployment(run.status));

async function make(node: Record<string, unknown>, settings: Record<string, unknown>): Promise<Environment> {
  const project = makeProject('dates');
  projects.push(project);
  const vcs = { type: 'shell', path: '.', deployScript: 'true', destroyScript: 'true', driftScript: 'true' };
  project.workflow({ environments: { a: { vcs, ...node } } });
  return makeEnvironment(server.client(), project, { settings });
}

it.each(births)('a life that begins on %s goes by the calendar', async (_, birth, deploys) => {
  await server.passTo(at(birth));
  const endMs = at(birth) + lifeHours * hourMs;
  const scheduled = await make(
    {},
    {
      schedule: { deploy: '30 2 * * *', timezone: 'Europe/Berlin' },
      drift: { cron: '0 18 * * *' },
      ttl: { kind: 'date', at: new Date(endMs).toISOString() },
    },
  );
  const short = await make({}, { ttl: { kind: 'hours', hours: 26 } });
  const asking = await make({ requiresApproval: true }, { approvalExpirySeconds: 20 * 3600 });
  expect((await server.client().run(scheduled.id)).status).toBe('succeeded');
  const first = await server.client().run(short.id);
  const waiting = await server.client().start(asking.id);
  const approvals = async (): Promise<Approval[]> =>
    (await server.client().request<Page<Approval>>('GET', `/approvals?deployment=${waiting.id}`)).items;
  await server.until(async () => (await approvals()).length === 1);

  // Hours are hours, whatever the clocks on the walls do.
  const shortEnd = at((await environmentOf(short.id)).expiresAt ?? '');
  expect(shortEnd - at(first.finishedAt ?? '')).toBe(26 * hourMs);
  const askedUntil = at((await approvals())[0]?.expiresAt ?? '');
  expect(Math.abs(askedUntil - at(birth) - 20 * hourMs)).toBeLessThan(hourMs / 6);

  const fired: Firing[] = [];
  const pass = (momentMs: number): Promise<void> =>
    server.passTo(momentMs, async (firing) => {
      if (firing.environmentId === scheduled.id) fired.push(firing);
      await server.until(() => isQuiet(scheduled.id));
    });
  await pass(askedUntil - 60_000);
  expect((await approvals())[0]?.status).toBe('pending');
  await pass(askedUntil + 60_000);
  await server.until(async () => (await server.client().ended(waiting.id)).status === 'cancelled');
  expect((await approvals())[0]?.status).toBe('expired');

  await pass(shortEnd - 60_000);
  expect((await environmentOf(short.id)).status).toBe('active');
  await pass(shortEnd + 1000);
  await server.until(async () => (await environmentOf(short.id)).status === 'inactive');
  const [destroyed] = await runsOf(short.id);
  expect(destroyed).toMatchObject({ type: 'destroy', trigger: 'ttl', status: 'succeeded' });
  expect(at(destroyed?.startedAt ?? '')).toBeGreaterThanOrEqual(shortEnd);

  await pass(endMs - 60_000);
  expect(await environmentOf(scheduled.id)).toMatchObject({
    status: 'active',
    expiresAt: new Date(endMs).toISOString(),
  });
  await pass(endMs + 1000);
  await server.until(async () => (await environmentOf(scheduled.id)).status === 'inactive');
  await pass(at(birth) + watchedHours * hourMs);

  const ofKind = (kind: string): Firing[] => fired.filter((firing) => firing.kind === kind);
  expect(ofKind('deploy').map(({ atMs }) => new Date(atMs).toISOString().slice(8, 16))).toEqual(deploys);
  expect(ofKind('drift')).toHaveLength(3);
  // A deploy that falls due after the end is refused.
  for (const { atMs, skipped } of ofKind('deploy')) expect([atMs, skipped !== undefined]).toEqual([atMs, atMs > endMs]);
  const runs = await runsOf(scheduled.id);
  const made = fired.filter(({ skipped }) => skipped === undefined);
  expect(runs.filter(({ status }) => status !== 'succeeded')).toEqual([]);
  expect(runs).toHaveLength(1 + made.length + 1);
  // Newest first by their number, and the moments of the records say the same.
  expect(runs.map(({ number }) => number)).toEqual(runs.map((_run, index) => runs.length - index));
  const begun = runs.map(({ startedAt }) => at(startedAt ?? ''));
  expect(begun).toEqual([...begun].sort((a, b) => b - a));
});
