import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { chain, fanOut, writeWindlass } from '../bench/graphs.ts';
import type { Shape } from '../bench/graphs.ts';
import type { Deployment } from '../src/model/index.ts';
import { setTimeLimit } from './support/until.ts';
import { useTestServer } from './support/windlass.ts';

/** Temporal warns from here on; its UI gets slow. */
const mostEvents = 10_240;

setTimeLimit(900_000);

const server = useTestServer();
let connection: Connection;
let root: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'windlass-large-'));
  connection = await Connection.connect({ address: server.temporalAddress });
});

afterAll(async () => {
  await connection.close();
  rmSync(root, { recursive: true, force: true });
});

async function deploy(name: string, shape: Shape): Promise<{ deployment: Deployment; histories: number[] }> {
  const directory = join(root, name);
  mkdirSync(directory);
  writeWindlass(directory, shape, 'noop');
  await server.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory } });
  await server.createEnvironment({ name, template: name });
  const deployment = await server.run(name);
  const client = new Client({ connection });
  const histories: number[] = [];
  const workflowId = `deployment:${deployment.id}`;
  // What has just ended reaches the list of workflows a moment later.
  const runs = await server.until(async () => {
    const found: string[] = [];
    let open = false;
    for await (const info of client.workflow.list({ query: `WorkflowId = "${workflowId}"` })) {
      found.push(info.runId);
      open ||= info.status.name === 'RUNNING';
    }
    return found.length > 0 && !open && found;
  });
  for (const runId of runs)
    histories.push((await client.workflow.getHandle(workflowId, runId).describe()).historyLength);
  const first = await client.workflow.getHandle(`${workflowId}/n1`).describe();
  histories.push(first.historyLength);
  return { deployment, histories };
}

test('a graph of 2,000 nodes is deployed whole, and every history stays small', async () => {
  const { deployment, histories } = await deploy('wide', fanOut(2000));
  expect(deployment.status).toBe('succeeded');
  expect(deployment.counts).toMatchObject({ total: 2000, succeeded: 2000, failed: 0, skipped: 0 });
  expect(histories.length).toBeGreaterThan(2);
  for (const events of histories) expect(events).toBeLessThan(mostEvents);
  expect((await server.environment('wide')).status).toBe('active');
});

test('a chain of 1,000 nodes is deployed to its end, and every history stays small', async () => {
  const { deployment, histories } = await deploy('deep', chain(1000));
  expect(deployment.status).toBe('succeeded');
  expect(deployment.counts).toMatchObject({ total: 1000, succeeded: 1000, failed: 0, skipped: 0 });
  for (const events of histories) expect(events).toBeLessThan(mostEvents);
});
