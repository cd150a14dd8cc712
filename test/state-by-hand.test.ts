import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Deployment, Environment, Page, StateVersion } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist } from './support/processes.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let home: string;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  buildDist();
  home = mkdtempSync(join(tmpdir(), 'windlass-home-'));
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});
beforeEach(async () => {
  project = makeProject('state-by-hand');
  project.stack('one');
  project.workflow({ environments: { one: node('one') } });
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

const main = join(__dirname, '..', 'dist', 'src', 'cli', 'main.js');
interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
/** The command line as a user calls it, without a terminal. */
async function windlass(...args: string[]): Promise<Said> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    NO_COLOR: '1',
    WINDLASS_URL: server.url,
    WINDLASS_TOKEN: server.token,
  };
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, ...args], { env, cwd: home });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}
async function done(...args: string[]): Promise<string> {
  const said = await windlass(...args);
  expect({ args, ...said }).toMatchObject({ code: 0 });
  return said.stdout;
}
const versions = async (): Promise<StateVersion[]> => {
  const printed = await done('state', 'versions', stack(), '--output', 'json');
  const parsed = JSON.parse(printed) as Page<StateVersion> | StateVersion[];
  return Array.isArray(parsed) ? parsed : parsed.items;
};
const stack = (): string => `${environment.name}/one`;
const stateOf = (): Promise<{ serial: number; lock: { lockId: string } | null } | null> =>
  server.request('GET', `/environments/${encodeURIComponent(stack())}/state`);
const audited = async (action: string): Promise<{ after: unknown; before: unknown } | undefined> =>
  (
    await server.request<Page<{ action: string; after: unknown; before: unknown; targetId: string }>>(
      'GET',
      '/audit?limit=100',
    )
  ).items.find((entry) => entry.action === action);

it('versions of a state are listed, compared, downloaded and restored, with the reason on record', async () => {
  expect((await server.run(environment.id)).status).toBe('succeeded');
  project.stack('one', { value: 'two' });
  const second = await server.run(environment.id);
  expect(second.status).toBe('succeeded');

  const [newest, ...older] = await versions();
  const first = older.find((version) => version.deploymentId !== second.id);
  if (!newest || !first) throw new Error('there are not two versions');
  expect(newest).toMatchObject({ deploymentId: second.id, resources: 1 });
  expect(newest.serial).toBeGreaterThan(first.serial);
  expect(await done('state', 'diff', stack(), String(first.id), String(newest.id))).toContain('terraform_data.this');

  const file = join(home, 'one.tfstate');
  await done('state', 'download', stack(), String(first.id), '--file', file);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
    serial: first.serial,
    outputs: { value: { value: 'one' } },
  });
  expect(statSync(file).mode & 0o077).toBe(0);

  const unsure = await windlass('state', 'restore', stack(), String(first.id));
  expect(unsure.code).not.toBe(0);
  expect((await stateOf())?.serial).toBe(newest.serial);
  await done('state', 'restore', stack(), String(first.id), '--reason', 'before the change', '--yes');
  const [restored] = await versions();
  expect(restored?.serial).toBeGreaterThan(newest.serial);
  expect((await audited('state.restore'))?.after).toMatchObject({ from: first.id, reason: 'before the change' });

  // What the tool now knows is the state of then, so it has the second change still before it.
  const plan = await server.run(environment.id, { type: 'plan' });
  expect((await server.nodes(plan.id))[0]?.counts).toEqual({ add: 1, change: 0, destroy: 1 });
  expect((await server.run(environment.id)).status).toBe('succeeded');
});

it('a restore is refused while a run is in progress, and a lock freed by hand takes its reason and bars its holder', async () => {
  expect((await server.run(environment.id)).status).toBe('succeeded');
  const [first] = await versions();
  if (!first) throw new Error('there is no version');
  project.stack('one', { value: 'two', sleepSeconds: 5 });
  const run = await server.start(environment.id);
  // Its create has begun: a line each of the first apply, the destroy, and this one.
  await beforeEnd(server, run, () => project.lines('one').length === 3);
  const refused = await windlass('state', 'restore', stack(), String(first.id), '--yes');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('in progress');
  const before = await stateOf();
  expect(before?.lock).not.toBeNull();

  const speechless = await windlass('state', 'unlock', stack(), '--yes');
  expect(speechless.code).not.toBe(0);
  expect(speechless.stderr).toContain('--reason');
  expect((await stateOf())?.lock).toEqual(before?.lock);
  await done('state', 'unlock', stack(), '--reason', 'its worker is gone', '--yes');
  expect((await stateOf())?.lock).toBeNull();
  expect(await audited('state.unlock')).toMatchObject({
    after: { reason: 'its worker is gone' },
    before: { lockId: before?.lock?.lockId, deploymentId: run.id },
  });

  // It cannot write any more, and the run says that it did not end well.
  const ended = await server.ended(run.id);
  expect(['failed', 'aborted', 'cancelled']).toContain(ended.status);
  expect((await stateOf())?.serial).toBe(before?.serial);
  project.stack('one', { value: 'two' });
  const again: Deployment = await server.run(environment.id);
  expect(again.status).toBe('succeeded');
  expect((await stateOf())?.lock).toBeNull();
});
