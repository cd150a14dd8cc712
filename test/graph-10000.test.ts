import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { random, writeWindlass } from '../bench/graphs.ts';
import { isTerminalDeployment } from '../src/model/index.ts';
import type { Deployment } from '../src/model/index.ts';
import { setTimeLimit } from './support/until.ts';
import { useTestServer } from './support/windlass.ts';

setTimeLimit(900_000);

const size = 10_000;
/** What Temporal refuses, in bytes. */
const largestPayload = 2 * 1024 * 1024;

const server = useTestServer();
let root: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'windlass-10000-'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

test('a run of a graph of 10,000 nodes starts, does what was asked of one node, and leaves the others as they are', async () => {
  const directory = join(root, 'source');
  mkdirSync(directory);
  writeWindlass(directory, random(size), 'noop');
  await server.createTemplate({ name: 'huge', type: 'workflow', source: { kind: 'local', directory } });
  await server.createEnvironment({ name: 'huge', template: 'huge' });
  const { id } = await server.start('huge', {
    partial: { operation: 'single-node-deploy', node: 'n0', trickleDown: 'none' },
  });
  // One process does everything here, and such a graph keeps it busy for seconds, in which idle connections are dropped.
  const deployment = await server.until(
    async () => {
      const found = await server.request<Deployment>('GET', `/deployments/${id}`).catch(() => null);
      return found !== null && isTerminalDeployment(found.status) && found;
    },
    { what: `${id} has ended` },
  );
  expect(deployment.status).toBe('succeeded');
  expect(deployment.counts).toMatchObject({ total: size, succeeded: 1, skipped: size - 1 });

  const connection = await Connection.connect({ address: server.temporalAddress });
  const { events } = await new Client({ connection }).workflow.getHandle(`deployment:${deployment.id}`).fetchHistory();
  await connection.close();
  const sizes = (events ?? []).flatMap((event) => [
    ...(event.activityTaskCompletedEventAttributes?.result?.payloads ?? []),
    ...(event.activityTaskScheduledEventAttributes?.input?.payloads ?? []),
  ]);
  const largest = Math.max(...sizes.map(({ data }) => data?.length ?? 0));
  // The graph itself is in it, well below what would be refused.
  expect(largest).toBeGreaterThan(100_000);
  expect(largest).toBeLessThan(largestPayload / 4);
});
