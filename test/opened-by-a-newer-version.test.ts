import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config.ts';
import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { startWindlass } from '../src/server.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

/**
 * What an older version left behind when it was stopped (recorded-data/record.cjs): `shop`, whose second deploy waits for an
 * approval while its end is years away, and `preview`, whose end came after that.
 */
const recording = join(__dirname, 'recorded-data');
const sources = '/tmp/windlass-recorded';

let root: string;
let running: Awaited<ReturnType<typeof startWindlass>>;
let client: TestClient;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'windlass-opened-'));
  rmSync(sources, { recursive: true, force: true });
  cpSync(join(recording, 'sources'), sources, { recursive: true });
  execFileSync('tar', ['-xJf', join(recording, 'before-node-kinds.tar.xz'), '-C', root]);
  running = await startWindlass(loadConfig(testEnvironment(join(root, 'data'))));
  client = createTestClient(running.url, running.token ?? '');
});
afterAll(async () => {
  await running?.stop();
  for (const directory of [root, sources]) rmSync(directory, { recursive: true, force: true });
});

const environmentNamed = async (name: string): Promise<Environment> => {
  const page = await client.request<Page<Environment>>('GET', '/environments?limit=50');
  const found = page.items.find((environment) => environment.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
};

/** Approves what waits, which is this node alone. */
async function approve(alias: string): Promise<void> {
  const pending = async (): Promise<Approval | false> => {
    const { items } = await client.request<Page<Approval>>('GET', '/approvals?status=pending');
    return items[0] ?? false;
  };
  const approval = await client.until(pending);
  expect(approval.alias).toBe(alias);
  await client.request('POST', `/approvals/${approval.id}/approve`, {});
}

it('goes on with a run that waits for an approval, and deploys once it is given', async () => {
  const shop = await environmentNamed('shop');
  const run = await client.request<Deployment>('GET', `/deployments/${shop.currentDeploymentId}`);
  await approve('app');
  expect(await client.ended(run.id)).toMatchObject({ status: 'succeeded', number: 2 });
  expect(await client.statuses(run.id)).toEqual({ network: 'succeeded', app: 'succeeded' });
});

it('ends an environment whose time has come, and none whose time has not', async () => {
  const preview = await client.until(async () => {
    const environment = await environmentNamed('preview');
    return environment.status === 'inactive' && environment;
  });
  const last = await client.request<Deployment>('GET', `/deployments/${preview.lastDeploymentId}`);
  expect(last).toMatchObject({ type: 'destroy', trigger: 'ttl', status: 'succeeded' });
  const shop = await environmentNamed('shop');
  expect(shop.status).toBe('active');
  expect(Date.parse(shop.expiresAt ?? '')).toBeGreaterThan(Date.parse('2036-01-01'));
});

it('ends the other one when its end is moved to now', async () => {
  const shop = await environmentNamed('shop');
  const at = new Date(Date.now() + 2000).toISOString();
  await client.request('PUT', `/environments/${shop.id}/ttl`, { kind: 'date', at });
  // A destroy of this node needs an approval, too.
  await approve('app');
  const ended = await client.until(async () => {
    const environment = await environmentNamed('shop');
    return environment.status === 'inactive' && environment;
  });
  const last = await client.request<Deployment>('GET', `/deployments/${ended.lastDeploymentId}`);
  expect(last).toMatchObject({ type: 'destroy', trigger: 'ttl', status: 'succeeded', number: 3 });
});
