import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { processesOf } from './support/processes.ts';
import { useTestServer } from './support/windlass.ts';

/** What code that a tool runs can take from the tool's environment must be worth nothing once the call is over. */
const server = useTestServer();
let project: TestProject;

beforeEach(() => {
  project = makeProject('grants');
});
afterEach(() => project.remove());

/** A stack that writes down how its tool reaches the state, then goes on with a command. */
function thief(command: string): void {
  const taken = join(project.journal, 'taken');
  const steal = `echo \\"$TF_HTTP_ADDRESS $TF_HTTP_USERNAME $TF_HTTP_PASSWORD\\" > ${taken}.part && mv ${taken}.part ${taken}; ${command}`;
  project.write(
    'stacks/one/main.tf',
    `resource "terraform_data" "kept" {}\nresource "terraform_data" "thief" {\n  depends_on = [terraform_data.kept]\n  provisioner "local-exec" {\n    command = "${steal}"\n  }\n}\n`,
  );
  project.workflow({ environments: { one: node('one') } });
}

interface Taken {
  readonly address: string;
  readonly authorization: string;
}

function taken(): Taken | null {
  const file = join(project.journal, 'taken');
  if (!existsSync(file)) return null;
  const [address = '', id = '', token = ''] = readFileSync(file, 'utf8').trim().split(' ');
  return { address, authorization: `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}` };
}

async function answers({ address, authorization }: Taken): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const method of ['GET', 'LOCK', 'POST', 'UNLOCK', 'DELETE']) {
    const body = method === 'GET' ? undefined : JSON.stringify({ ID: 'mine', serial: 99, lineage: 'l', version: 4 });
    const response = await fetch(`${address}${method === 'POST' ? '?ID=mine' : ''}`, {
      method,
      headers: { authorization },
      ...(body === undefined ? {} : { body }),
    });
    found[method] = response.status;
  }
  return found;
}
const refused = { GET: 403, LOCK: 403, POST: 403, UNLOCK: 403, DELETE: 403 };

it.each([
  ['succeeded', 'true'],
  ['failed', 'exit 1'],
])('what a tool used for the state is worth nothing once its run has %s', async (status, command) => {
  thief(command);
  const environment = await makeEnvironment(server, project);
  const run = await server.run(environment.id);
  expect(run.status).toBe(status);
  const found = taken();
  if (found === null) throw new Error('nothing was taken');
  expect(await answers(found)).toEqual(refused);
  expect(
    await server.request('GET', `/environments/${encodeURIComponent(`${environment.name}/one`)}/state`),
  ).toMatchObject({ lock: null });
});

it('nor once its run was aborted, and the tool has saved its state before that', async () => {
  thief('sleep 600');
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  const found = await beforeEnd(server, run, () => taken());
  // as long as the tool works it is good, or nothing could be saved
  expect((await fetch(found.address, { headers: { authorization: found.authorization } })).ok).toBe(true);
  await server.request('POST', `/deployments/${run.id}/abort`, {});
  expect((await server.ended(run.id)).status).toBe('aborted');
  expect(await answers(found)).toEqual(refused);
  const versions = await server.request<Page<{ resources: number }>>(
    'GET',
    `/environments/${encodeURIComponent(`${environment.name}/one`)}/state/versions`,
  );
  expect(versions.items[0]?.resources).toBeGreaterThan(0);
});

it('nor once the tool was killed, and its lock is free', async () => {
  thief('sleep 600');
  const environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  const found = await beforeEnd(server, run, () => taken());
  for (const { pid, args } of processesOf(join(server.dataDirectory, 'work'))) {
    if (args[0]?.endsWith('/tofu') === true) process.kill(pid, 'SIGKILL');
  }
  await server.ended(run.id);
  expect(await answers(found)).toEqual(refused);
  const state = await server.request<{ lock: unknown } | null>(
    'GET',
    `/environments/${encodeURIComponent(`${environment.name}/one`)}/state`,
  );
  expect(state?.lock ?? null).toBeNull();
});
