import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Approval, Deployment, NodeRun } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

/** `maxParallel` counts nodes at work. */
const server = useTestServer();
let project: TestProject;

beforeEach(() => {
  project = makeProject('places');
});
afterEach(() => project.remove());

/** A script that says that it begins, and ends when it is told to. */
function script(name: string): Record<string, unknown> {
  const file = join(project.journal, name);
  project.write(`stacks/${name}/deploy.sh`, `echo apply >> ${file}\nwhile test -e ${file}.hold; do sleep 0.1; done\n`);
  return { vcs: { type: 'shell', path: `stacks/${name}`, planScript: 'exit 2' } };
}
const holdOf = (name: string): string => join(project.journal, `${name}.hold`);
const hold = (name: string): void => writeFileSync(holdOf(name), '');
const release = (name: string): void => {
  if (existsSync(holdOf(name))) rmSync(holdOf(name));
};
async function approve(run: Deployment, alias: string): Promise<void> {
  const waiting = await nodeAt(server, run, alias, 'waitingForApproval');
  await server.request<Approval>('POST', `/approvals/${waiting.approvalId}/approve`, {});
}
const waitOf = (run: Deployment, alias: string, text: RegExp): Promise<NodeRun> =>
  beforeEnd(server, run, (nodes) => nodes.find((item) => item.alias === alias && text.test(item.waitsFor ?? '')));
const begun = (run: Deployment, name: string): Promise<true> =>
  beforeEnd(server, run, () => project.lines(name).includes('apply') && (true as const));

it('a node that waits for a person holds no place; approved, it waits for one and goes before those that have not begun', async () => {
  const asks = { requiresApproval: true };
  project.workflow({
    settings: { maxParallel: 1 },
    environments: { a: { ...script('a'), ...asks }, b: { ...script('b'), ...asks }, c: script('c'), d: script('d') },
  });
  for (const name of ['a', 'b', 'c', 'd']) hold(name);
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  // Both have given their place away by then, or the second could not ask.
  await nodeAt(server, run, 'b', 'waitingForApproval');
  await begun(run, 'c');
  await waitOf(run, 'd', /^waits for a place: 1 of 1 are running$/);
  await approve(run, 'b');
  await waitOf(run, 'b', /^approved, waits for a place: 1 of 1 are running$/);
  expect(project.lines('b')).toEqual([]);
  release('c');
  await begun(run, 'b');
  expect([project.lines('a'), project.lines('d')]).toEqual([[], []]);
  release('b');
  await begun(run, 'd');
  release('d');
  await nodeAt(server, run, 'd', 'succeeded');
  await approve(run, 'a');
  release('a');
  expect((await server.ended(run.id)).status).toBe('succeeded');
});

it('a node that is stopped or rejected while it waits, or while it waits for its place, ends at once', async () => {
  const asks = { requiresApproval: true };
  project.workflow({
    settings: { maxParallel: 1 },
    environments: { a: { ...script('a'), ...asks }, b: { ...script('b'), ...asks }, c: script('c') },
  });
  hold('c');
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  await begun(run, 'c');
  const waiting = await nodeAt(server, run, 'a', 'waitingForApproval');
  await server.request('POST', `/approvals/${waiting.approvalId}/reject`, {});
  await nodeAt(server, run, 'a', 'cancelled');
  await approve(run, 'b');
  await waitOf(run, 'b', /^approved, waits for a place/);
  await server.request('POST', `/deployments/${run.id}/cancel`, {});
  await nodeAt(server, run, 'b', 'cancelled');
  release('c');
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await server.statuses(run.id)).toEqual({ a: 'cancelled', b: 'cancelled', c: 'succeeded' });
});

it('a paused run says so of what it does not start', async () => {
  project.workflow({ settings: { maxParallel: 1 }, environments: { a: script('a'), b: node('b') } });
  project.stack('b');
  hold('a');
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  await begun(run, 'a');
  await server.request('POST', `/deployments/${run.id}/pause`, {});
  await waitOf(run, 'b', /^waits, because the run is paused$/);
  await server.request('POST', `/deployments/${run.id}/continue`, {});
  release('a');
  expect((await server.ended(run.id)).status).toBe('succeeded');
});
