import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EnvironmentStatusReport, Deployment, NodeRun, OutputDto, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
});

const newProject = (): TestProject => {
  const project = makeProject('repair');
  projects.push(project);
  return project;
};
const find = async (run: Deployment, alias: string): Promise<NodeRun> => {
  const found = (await server.nodes(run.id)).find((item) => item.alias === alias && !item.compensation);
  if (!found) throw new Error(`the run has no ${alias}`);
  return found;
};
const nodeAt = (run: Deployment, alias: string, status: string): Promise<NodeRun> =>
  server.until(async () => {
    const found = (await server.nodes(run.id)).find((item) => item.alias === alias);
    return found?.status === status && found;
  });
const give = (run: Deployment, alias: string, variables: unknown[]) =>
  server.raw<{ detail: string; hint?: string }>('PUT', `/deployments/${run.id}/nodes/${alias}/variables`, variables);
const retry = (run: Deployment, alias: string): Promise<Deployment> =>
  server.request('POST', `/deployments/${run.id}/nodes/${alias}/retry`, {});
const outputOf = async (environmentId: string, name: string): Promise<OutputDto | undefined> =>
  (await server.request<Page<OutputDto>>('GET', `/environments/${environmentId}/outputs`)).items.find(
    (output) => output.name === name,
  );

describe('variables of a node of a running deployment', () => {
  it('are read by its next try, win over those it had, and are kept secret when they are', async () => {
    const project = newProject();
    project.stack('a', { inputs: ['password'] });
    project.stack('slow', { sleepSeconds: 12 });
    project.workflow({ environments: { a: node('a'), slow: node('slow') } });
    const environment = await makeEnvironment(server, project);
    const run = await server.start(environment.id, {
      variables: [{ name: 'fail', type: 'boolean', value: true, alias: 'a' }],
    });
    await nodeAt(run, 'a', 'failed');
    const given = await give(run, 'a', [
      { name: 'fail', type: 'boolean', value: false },
      { name: 'value', value: 'patched' },
      { name: 'password', value: 'hunter2-and-more', sensitive: true },
    ]);
    expect(given.status).toBe(200);
    await retry(run, 'a');
    expect((await server.ended(run.id)).error).toBeNull();
    const { environmentId, error, status } = await find(run, 'a');
    expect({ error, status }).toEqual({ error: null, status: 'succeeded' });
    expect((await outputOf(environmentId, 'value'))?.value).toBe('patched');
    const audit = await server.request<Page<{ action: string; after: unknown }>>('GET', '/audit?limit=50');
    const entry = audit.items.find((item) => item.action === 'deployment.node.variables');
    expect(entry?.after).toMatchObject({ alias: 'a' });
    expect(JSON.stringify(entry)).toContain('patched');
    expect(JSON.stringify(entry)).not.toContain('hunter2');
    // A later destroy opens the same snapshot in another run.
    expect((await server.run(environment.id, { type: 'destroy' })).status).toBe('succeeded');
  });

  it('are refused for what has ended well, for other nodes, and when the run is over', async () => {
    const project = newProject();
    project.stack('a');
    project.stack('slow', { sleepSeconds: 5 });
    project.workflow({ environments: { a: node('a'), slow: node('slow') } });
    const environment = await makeEnvironment(server, project);
    const run = await server.start(environment.id);
    await nodeAt(run, 'a', 'succeeded');
    const late = await give(run, 'a', [{ name: 'value', value: 'two' }]);
    expect(late).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('"a" has succeeded') as unknown },
    });
    const strange = await give(run, 'slow', [{ name: 'value', value: 'two', alias: 'a' }]);
    expect(strange.status).toBe(400);
    const unknown = await give(run, 'nobody', [{ name: 'value', value: 'two' }]);
    expect(unknown.status).toBe(404);
    await server.ended(run.id);
    const over = await give(run, 'slow', [{ name: 'value', value: 'two' }]);
    expect(over).toMatchObject({ status: 409, body: { detail: expect.stringContaining('is over') as unknown } });
  });
});

it('opens sensitive values of a request again when a later run takes its snapshot over', async () => {
  const project = newProject();
  project.stack('a', { inputs: ['password'] });
  project.workflow({ environments: { a: node('a') } });
  const environment = await makeEnvironment(server, project);
  const variables = [{ name: 'password', value: 'hunter2-and-more', sensitive: true }];
  expect((await server.run(environment.id, { variables })).status).toBe('succeeded');
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  const destroy = await server.run(environment.id, { type: 'destroy' });
  expect((await find(destroy, 'a')).error).toBeNull();
  expect(destroy.status).toBe('succeeded');
});

/** A stack whose create prints a message and fails until a file with the node's name is there. */
function stackThatSays(project: TestProject, name: string, message: string): { mend(): void } {
  const file = join(project.journal, name);
  project.write(
    `stacks/${name}/main.tf`,
    `resource "terraform_data" "this" {
  provisioner "local-exec" {
    command = "echo try >> ${file}; test -e ${file}.mended || { echo '${message}' >&2; exit 1; }"
  }
}
`,
  );
  return { mend: () => writeFileSync(`${file}.mended`, '') };
}

it('pauses a node whose credentials have expired, says so, and goes on when it is retried with new ones', async () => {
  const project = newProject();
  const { mend } = stackThatSays(project, 'a', 'ExpiredToken: The security token included in the request is expired');
  project.stack('b');
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
  const environment = await makeEnvironment(server, project, { name: unique('paused') });
  const run = await server.start(environment.id);
  const paused = await nodeAt(run, 'a', 'paused');
  expect(paused.error).toMatchObject({ class: 'credentials' });
  expect(paused.error?.message).toContain('ExpiredToken');
  expect(paused.error?.hint).toContain(`windlass retry "${environment.name}/a"`);
  expect((await find(run, 'b')).status).toBe('pending');
  expect(
    (await give(run, 'a', [{ name: 'AWS_SESSION_TOKEN', kind: 'environment', value: 'fresh-token', sensitive: true }]))
      .status,
  ).toBe(200);
  mend();
  await retry(run, 'a');
  expect((await server.ended(run.id)).status).toBe('succeeded');
  expect(await server.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded' });
});

it('waits with every node of an account that asks for slower calls, and uses up no tries', async () => {
  const project = newProject();
  const { mend } = stackThatSays(project, 'a', 'Throttling: Rate exceeded');
  project.stack('wait', { sleepSeconds: 1 });
  project.stack('b');
  project.workflow({ environments: { a: node('a'), wait: node('wait'), b: node('b', { needs: ['wait'] }) } });
  const environment = await makeEnvironment(server, project);
  const account = unique('account');
  const run = await server.start(environment.id, {
    variables: [{ name: 'AWS_PROFILE', kind: 'environment', value: account }],
  });
  const throttled = await nodeAt(run, 'a', 'retrying');
  expect(throttled.error).toMatchObject({ class: 'quota' });
  expect(throttled.waitsFor).toMatch(
    /^waits until [-\d]+ [:\d]+ UTC: the account AWS_PROFILE=account-.* asked for slower calls$/,
  );
  mend();
  const held = await nodeAt(run, 'b', 'retrying');
  expect(held.error?.message).toContain('slower calls');
  const report = await server.request<EnvironmentStatusReport>('GET', `/environments/${environment.id}/status`);
  expect(report.nodes.find(({ alias }) => alias === 'b')?.last?.waitsFor).toBe(held.waitsFor);
  expect(project.lines('b')).toEqual([]);
  expect((await server.ended(run.id)).status).toBe('succeeded');
  for (const alias of ['a', 'b']) expect(await find(run, alias)).toMatchObject({ try: 1, error: null });
});
