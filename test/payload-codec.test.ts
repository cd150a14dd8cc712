import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { taskQueues } from '../src/model/index.ts';
import type { Deployment, Environment } from '../src/model/index.ts';
import { loadConfig } from '../src/config.ts';
import { startWindlass } from '../src/server.ts';
import type { RunningWindlass } from '../src/server.ts';
import { freePort, startTemporal, startUp } from './support/processes.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { toolPath } from './support/tools.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

const { History } = temporal.api.history.v1;
const alias = 'zebra-crossing';
const name = 'quokka-shop';
const [first, second] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];

let dataDirectory: string;
let project: TestProject;
let running: RunningWindlass | null = null;
let client: TestClient;
let environment: Environment;

async function start(variables: Record<string, string>): Promise<void> {
  running = await startWindlass(loadConfig({ ...testEnvironment(dataDirectory), ...variables }));
  client = createTestClient(running.url, running.token ?? '');
}
async function stop(): Promise<void> {
  await running?.stop();
  running = null;
}

beforeAll(() => {
  dataDirectory = mkdtempSync(join(tmpdir(), 'windlass-codec-'));
  project = makeProject('codec');
  project.stack('a');
  project.workflow({ environments: { [alias]: node('a') } });
});
afterAll(async () => {
  await stop();
  project?.remove();
  rmSync(dataDirectory, { recursive: true, force: true });
});

/** What somebody sees who reads histories with a plain client: payloads as text, ids of workflows left out. */
async function seen(run: Deployment): Promise<{ text: string; payloads: { metadata?: object; data: string }[] }> {
  const connection = await Connection.connect({ address: running?.temporalAddress ?? '' });
  let text = '';
  const payloads: { metadata?: object; data: string }[] = [];
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('metadata' in value && 'data' in value && typeof value.data === 'string') {
      payloads.push(value as { metadata?: object; data: string });
      text += Buffer.from(value.data, 'base64').toString('latin1');
    } else for (const inner of Object.values(value)) collect(inner);
  };
  for (const workflowId of [`deployment:${run.id}`, `deployment:${run.id}/${alias}`]) {
    const { history } = await connection.workflowService.getWorkflowExecutionHistory({
      namespace: 'default',
      execution: { workflowId },
    });
    const events = History.toObject(History.fromObject(history ?? {}), { bytes: String, longs: String, enums: String });
    collect(events);
    text += JSON.stringify(events).replaceAll(`deployment:${run.id}/${alias}`, '');
  }
  await connection.close();
  return { text, payloads };
}

const opened = async (payloads: object[]): Promise<string[]> => {
  const response = await fetch(`${client.url}/codec/decode`, {
    method: 'POST',
    headers: { authorization: `Bearer ${client.token}`, 'content-type': 'application/json', origin: uiOrigin() },
    body: JSON.stringify({ payloads }),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('access-control-allow-origin')).toBe(uiOrigin());
  const { payloads: answer } = (await response.json()) as { payloads: { data: string }[] };
  return answer.map(({ data }) => Buffer.from(data, 'base64').toString());
};
const uiOrigin = (): string => new URL(running?.temporalUrl ?? '').origin;

it('leaves histories readable without keys', async () => {
  await start({});
  environment = await makeEnvironment(client, project, { name });
  const run = await client.run(environment.id);
  expect(run.status).toBe('succeeded');
  expect((await seen(run)).text).toContain(alias);
  expect((await fetch(`${client.url}/codec/decode`, { method: 'POST' })).status).toBe(404);
  await stop();
});

it('seals what comes from then on, in an environment that goes on, and opens it for the Web UI', async () => {
  await start({ WINDLASS_PAYLOAD_KEYS: first });
  project.failing('a', true);
  const run = await client.run(environment.id, { variables: [{ name: 'value', value: 'two' }] });
  expect(run.status).toBe('failed');
  project.failing('a', false);
  const { text, payloads } = await seen(run);
  expect(text).not.toContain(alias);
  expect(text).not.toContain(name);
  expect(text).not.toContain('succeeded');
  expect(payloads.length).toBeGreaterThan(5);
  const plain = await opened(payloads.filter(({ metadata }) => JSON.stringify(metadata).includes('encryption-key-id')));
  expect(plain.join('\n')).toContain(`"alias":"${alias}"`);

  const ask = (headers: Record<string, string>, method = 'POST'): Promise<Response> =>
    fetch(`${client.url}/codec/decode`, { method, headers, ...(method === 'POST' ? { body: '{"payloads":[]}' } : {}) });
  expect((await ask({})).status).toBe(401);
  const other = await ask({ origin: 'https://elsewhere.example' }, 'OPTIONS');
  expect(other.headers.get('access-control-allow-origin')).toBeNull();
  const preflight = await ask({ origin: uiOrigin() }, 'OPTIONS');
  expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  await stop();
});

it('does not start without a key that payloads were sealed with, and says which', async () => {
  await expect(start({ WINDLASS_PAYLOAD_KEYS: second })).rejects.toThrow(/sealed with the key [0-9a-f]{8}, which/);
  await expect(start({})).rejects.toThrow(/WINDLASS_PAYLOAD_KEYS is not set/);
});

it('seals with the first of several keys and opens with all', async () => {
  await start({ WINDLASS_PAYLOAD_KEYS: `${second},${first}` });
  expect((await client.run(environment.id)).status).toBe('succeeded');
  await stop();
  await expect(start({ WINDLASS_PAYLOAD_KEYS: first })).rejects.toThrow(/sealed with the key/);
});

it('seals failures of workflows, too, as it is built', async () => {
  const root = mkdtempSync(join(tmpdir(), 'windlass-codec-'));
  const directory = join(root, 'data');
  mkdirSync(directory);
  const ports = { port: await freePort(), uiPort: await freePort() };
  const temporalServer = await startTemporal(toolPath('temporal'), root, ports);
  const address = `127.0.0.1:${ports.port}`;
  const env = { WINDLASS_PAYLOAD_KEYS: first, TEMPORAL_ADDRESS: address };
  const up = await startUp({ dataDirectory: directory, port: await freePort(), env });
  const connection = await Connection.connect({ address });
  try {
    // Of a run that nobody has asked for. A plain client cannot read why it is refused.
    const handle = await new Client({ connection }).workflow.start('deployment', {
      taskQueue: taskQueues.orchestration,
      workflowId: 'deployment:dep_none',
      args: [
        { deploymentId: 'dep_none', environmentId: 'env_none', projectId: 'prj_none', title: 'none', type: 'deploy' },
      ],
    });
    await expect(handle.result()).rejects.toThrow('Unknown encoding: binary/encrypted');
    const { events } = await handle.fetchHistory();
    const failure = events?.find((event) => event.workflowExecutionFailedEventAttributes != null)
      ?.workflowExecutionFailedEventAttributes?.failure;
    expect([failure?.message, failure?.cause?.message]).toEqual(['Encoded failure', 'Encoded failure']);
  } finally {
    await connection.close();
    await up.stop();
    await temporalServer.stop();
    rmSync(root, { recursive: true, force: true });
  }
});
