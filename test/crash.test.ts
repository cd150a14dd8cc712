import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTemporalServer } from '../src/embedded/index.ts';
import type { TemporalServer } from '../src/embedded/index.ts';
import type { Deployment } from '../src/model/index.ts';
import { startPostgres } from './support/postgres.ts';
import { processesWith, serverOf, startProduct } from './support/processes.ts';
import type { ProductProcess } from './support/processes.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { toolPath } from './support/tools.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

let root: string;
let project: TestProject;
let processes: ProductProcess[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-crash-'));
  project = makeProject('crash');
  project.stack('a', { sleepSeconds: 6 });
  project.stack('b');
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
  processes = [];
});

afterEach(async () => {
  for (const started of processes) await started.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
  project.remove();
});

function start(words: readonly string[], environment: Record<string, string>): ProductProcess {
  const started = startProduct(words, environment);
  processes.push(started);
  return started;
}

/** Waits until the apply of a stack has really begun, which its own journal says. */
async function applying(client: TestClient, name: string): Promise<void> {
  await client.until(() => Promise.resolve(project.lines(name).length > 0));
}

async function expectAppliedOnce(client: TestClient, run: Deployment): Promise<void> {
  expect(run.status).toBe('succeeded');
  expect(await client.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded' });
  expect(project.lines('a')).toEqual(['apply']);
  expect(project.lines('b')).toEqual(['apply']);
  for (const item of await client.nodes(run.id)) {
    const state = await client.request<{ lock: unknown }>('GET', `/environments/${item.environmentId}/state`);
    expect(state.lock).toBeNull();
  }
}

test('a deployment finishes by itself after the whole embedded server was killed in mid-apply, and nothing is applied twice', async () => {
  const data = join(root, 'data');
  const environment = { ...testEnvironment(data), WINDLASS_PORT: '0' };
  const first = start(['up'], environment);
  const before = await serverOf(data, first);
  const { port } = new URL(before.url);
  const client = createTestClient(before.url, before.token);
  const { id } = await makeEnvironment(client, project);
  const run = await client.start(id);
  await applying(client, 'a');
  await first.kill('SIGKILL');
  await client.until(() => Promise.resolve(processesWith(data, ['temporal']).length === 0));

  const second = start(['up'], { ...environment, WINDLASS_PORT: port });
  const after = await serverOf(data, second);
  const again = createTestClient(after.url, after.token);
  await expectAppliedOnce(again, await again.ended(run.id));
  await second.kill();
  expect(processesWith(data, ['temporal', 'tofu'])).toEqual([]);
});

describe('with PostgreSQL, Temporal and two workers', () => {
  let temporal: TemporalServer;
  let postgres: Awaited<ReturnType<typeof startPostgres>>;

  beforeEach(async () => {
    postgres = await startPostgres();
    temporal = await startTemporalServer({ program: toolPath('temporal'), dataDirectory: root, namespace: 'default' });
  });
  afterEach(async () => {
    await temporal.stop();
    await postgres.stop();
  });

  test('another worker takes over when the one that applies is killed, and the tool is not run again', async () => {
    const common = {
      ...testEnvironment(join(root, 'server')),
      WINDLASS_DATABASE_URL: postgres.url,
      TEMPORAL_ADDRESS: temporal.address,
      WINDLASS_ENCRYPTION_KEY: '0123456789abcdef'.repeat(4),
      WINDLASS_PORT: '18471',
    };
    start(['server'], common);
    const client = await administrator(join(root, 'server'), 'http://127.0.0.1:18471');
    const workers = ['one', 'two'].map((name) => ({
      name,
      process: start(['worker'], { ...common, WINDLASS_DATA: join(root, name) }),
    }));
    const { id } = await makeEnvironment(client, project);
    const run = await client.start(id);
    await applying(client, 'a');
    const busy = workers.find(({ name }) => processesWith(join(root, name), ['tofu']).length > 0);
    expect(busy).toBeDefined();
    await busy?.process.kill('SIGKILL');
    await expectAppliedOnce(client, await client.ended(run.id));
  });

  async function administrator(dataDirectory: string, url: string): Promise<TestClient> {
    const waiting = createTestClient(url, '');
    return waiting.until(async () => {
      try {
        await fetch(`${url}/healthz`);
        return createTestClient(url, readFileSync(join(dataDirectory, 'administrator.token'), 'utf8').trim());
      } catch {
        return null;
      }
    });
  }
});
