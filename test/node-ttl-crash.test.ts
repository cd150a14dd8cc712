import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { buildDist, freePort, startUp } from './support/processes.ts';
import type { TestApi } from './support/processes.ts';
import { makeEnvironment, makeProject } from './support/project.ts';
import type { TestProject } from './support/project.ts';

let root: string;
let port: number;
let up: TestApi;
let project: TestProject;

const start = async (): Promise<void> => {
  up = await startUp({ dataDirectory: join(root, 'data'), port });
};
const endings = async ({ id }: Environment): Promise<Deployment[]> =>
  (await up.client.request<Page<Deployment>>('GET', `/environments/${id}/deployments`)).items.filter(
    ({ trigger }) => trigger === 'ttl',
  );
const shell = (more: Record<string, unknown> = {}) => ({
  vcs: { type: 'shell', path: '.', deployScript: 'true', destroyScript: 'sleep 3' },
  ...more,
});

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-node-ttl-'));
  mkdirSync(join(root, 'data'));
  port = await freePort();
  project = makeProject('node-ttl-crash');
  await start();
});
afterAll(async () => {
  await up?.stop();
  project?.remove();
  rmSync(root, { recursive: true, force: true });
});

it('a node that falls due while everything is killed is destroyed after the next start, once', async () => {
  project.workflow({ environments: { db: shell(), preview: shell({ needs: ['db'], ttl: '6s' }) } });
  const environment = await makeEnvironment(up.client, project);
  expect((await up.client.run(environment.id)).status).toBe('succeeded');
  const due = Date.parse((await up.client.environment(`${environment.id}/preview`)).expiresAt ?? '');
  expect(due).toBeGreaterThan(0);
  await up.kill();
  await up.client.until(async () => Date.now() > due);
  await start();
  const run = await up.client.until(async () => (await endings(environment))[0]);
  // Once more in the middle of the destroy itself.
  await up.client.until(async () => (await up.client.statuses(run.id))['preview'] === 'running');
  await up.kill();
  await start();
  expect((await up.client.ended(run.id)).status).toBe('succeeded');
  expect(await up.client.environment(`${environment.id}/preview`)).toMatchObject({
    status: 'inactive',
    expiresAt: null,
  });
  expect(await up.client.environment(`${environment.id}/db`)).toMatchObject({ status: 'active' });
  expect(await endings(environment)).toHaveLength(1);
});
