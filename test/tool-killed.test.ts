import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment, Environment, NodeRun } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { processesOf } from './support/processes.ts';
import { useTestServer } from './support/windlass.ts';

/** The tool alone is killed, as the system does when memory runs out; its worker lives on. */
const server = useTestServer();
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
});

function newProject(): TestProject {
  const project = makeProject('killed');
  projects.push(project);
  return project;
}

/** Kills the program that works for this environment, with all it has started, once it has begun to change something. */
async function killTool(run: Deployment, project: TestProject, program: RegExp, line: string): Promise<void> {
  await beforeEnd(server, run, () => project.lines('a').includes(line));
  // A script has written its line before it starts the program.
  const found = await beforeEnd(server, run, () => {
    const running = processesOf(server.dataDirectory).filter(({ args }) => program.test(args[0] ?? ''));
    return running.length > 0 && running;
  });
  for (const { pid } of found) process.kill(pid, 'SIGKILL');
}

const post = (run: Deployment, verb: string, body: object = {}): Promise<Deployment> =>
  server.request('POST', `/deployments/${run.id}/${verb}`, body);

const nodeOf = (environment: Environment): Promise<Environment> => server.environment(`${environment.name}/a`);
const onlyNode = async (run: Deployment): Promise<NodeRun> => {
  const [only] = await server.nodes(run.id);
  if (!only) throw new Error('the run has no node');
  return only;
};
const verify = (environment: Environment): Promise<Environment> =>
  server.request('POST', `/environments/${encodeURIComponent(`${environment.name}/a`)}/state/verify`, {
    reason: 'looked at what is there',
  });

describe('an OpenTofu that is killed in its apply', () => {
  let project: TestProject;
  let environment: Environment;
  let run: Deployment;

  beforeAll(async () => {
    project = newProject();
    project.stack('a', { sleepSeconds: 600 });
    // A rule for any error: what may exist twice afterwards is not tried again by itself all the same.
    project.workflow({ environments: { a: node('a', { retry: 2 }) } });
    environment = await makeEnvironment(server, project);
    run = await server.start(environment.id);
    await killTool(run, project, /tofu$/, 'apply');
    run = await server.ended(run.id);
    project.stack('a');
  });

  it('leaves its node failed and marked as unverified, with no lock, and is not tried again by itself', async () => {
    expect(run.status).toBe('failed');
    expect(project.lines('a')).toEqual(['apply']);
    expect((await nodeOf(environment)).flags.stateUnverified).toMatchObject({
      deploymentId: run.id,
      reason: expect.stringContaining('killed'),
    });
    const ref = encodeURIComponent(`${environment.name}/a`);
    const state = await server.request<{ lock: unknown } | null>('GET', `/environments/${ref}/state`);
    expect(state?.lock ?? null).toBeNull();
  });

  it.each(['resume', 'deploy'])(
    '%s makes nothing a second time, and names the command that a person needs',
    async (verb) => {
      const again =
        verb === 'resume' ? await post(run, 'resume', { refresh: false }) : await server.start(environment.id);
      expect((await server.ended(again.id)).status).toBe('failed');
      const { error } = await onlyNode(again);
      expect(error?.message).toMatch(/state of "a" is unverified/);
      expect(error?.hint).toContain(`windlass state verify "${environment.name}/a"`);
      expect(project.lines('a')).toEqual(['apply']);
    },
  );

  it('goes on once a person has looked', async () => {
    await verify(environment);
    expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded' });
    expect(project.lines('a')).toEqual(['apply', 'apply']);
    expect((await nodeOf(environment)).flags.stateUnverified).toBeNull();
  });
});

it('an OpenTofu that is killed in its destroy: the next destroy goes on, and the mark stays until a person has looked', async () => {
  const project = newProject();
  const hold = join(project.journal, 'hold');
  const command = `echo destroy >> ${join(project.journal, 'a')}; while test -e ${hold}; do sleep 0.1; done`;
  project.write(
    'stacks/a/main.tf',
    `resource "terraform_data" "this" {\n  provisioner "local-exec" {\n    when    = destroy\n    command = "${command}"\n  }\n}\n`,
  );
  project.workflow({ environments: { a: node('a') } });
  const environment = await makeEnvironment(server, project);
  expect((await server.run(environment.id)).status).toBe('succeeded');
  writeFileSync(hold, '');
  const run = await server.start(environment.id, { type: 'destroy' });
  await killTool(run, project, /tofu$/, 'destroy');
  expect((await server.ended(run.id)).status).toBe('failed');
  expect((await nodeOf(environment)).flags.stateUnverified).not.toBeNull();
  rmSync(hold);
  expect((await server.run(environment.id, { type: 'destroy' })).status).toBe('succeeded');
  expect(await nodeOf(environment)).toMatchObject({
    status: 'inactive',
    flags: { stateUnverified: { deploymentId: run.id } },
  });
  await verify(environment);
  expect((await nodeOf(environment)).flags.stateUnverified).toBeNull();
});

it.each(['deploy', 'destroy'] as const)(
  'a shell script that is killed in its %s leaves the mark, too',
  async (type) => {
    const project = newProject();
    const file = `${project.journal}/a`;
    const script = (line: string, slow: boolean): string => `echo ${line} >> ${file}\n${slow ? 'sleep 600\n' : ''}`;
    project.write('stacks/a/deploy.sh', script('apply', type === 'deploy'));
    project.write('stacks/a/destroy.sh', script('destroy', type === 'destroy'));
    project.workflow({ environments: { a: { vcs: { type: 'shell', path: 'stacks/a' } } } });
    const environment = await makeEnvironment(server, project);
    if (type === 'destroy') expect((await server.run(environment.id)).status).toBe('succeeded');
    const run = await server.start(environment.id, { type });
    await killTool(run, project, /sleep$/, type === 'deploy' ? 'apply' : 'destroy');
    expect((await server.ended(run.id)).status).toBe('failed');
    expect((await nodeOf(environment)).flags.stateUnverified).toMatchObject({ deploymentId: run.id });
    expect((await server.run(environment.id)).status).toBe('failed');
    expect(project.lines('a')).toEqual(type === 'deploy' ? ['apply'] : ['apply', 'destroy']);
  },
);
