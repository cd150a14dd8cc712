import type { Deployment, OutputDto, Page } from '../src/model/index.ts';
import { commitAll, git } from './support/git.ts';
import { makeProject, node, nodeAt, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;

beforeEach(() => {
  project = makeProject('sources');
});
afterEach(() => project.remove());

const writeChain = (value: string, sleepSeconds = 0): void => {
  project.stack('a', { value, sleepSeconds });
  project.stack('b', { value });
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
};
async function fromGit(source: Record<string, unknown> = {}) {
  const name = unique('git');
  await server.createTemplate({
    name,
    type: 'workflow',
    source: { kind: 'git', repository: project.directory, ...source },
  });
  return server.createEnvironment({ name, template: name });
}
const valueOf = async (ref: string): Promise<unknown> => {
  const page = await server.request<Page<OutputDto>>('GET', `/environments/${encodeURIComponent(ref)}/outputs`);
  return page.items.find((output) => output.name === 'value')?.value;
};
const commitsOf = async (run: Deployment): Promise<(string | null)[]> =>
  (await server.nodes(run.id)).map((item) => item.commit);

it('deploys the newest commit of the branch and writes it down', async () => {
  writeChain('one');
  const first = commitAll(project.directory);
  const environment = await fromGit();
  const run = await server.run(environment.id);
  expect(run).toMatchObject({ status: 'succeeded', sourceCommit: first, error: null });
  expect(await commitsOf(run)).toEqual([first, first]);

  writeChain('two');
  const second = commitAll(project.directory);
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded', sourceCommit: second });
  expect(await valueOf(`${environment.name}/b`)).toBe('two');
});

it('pins the commit when the run begins: what is pushed meanwhile waits for the next run', async () => {
  writeChain('one', 3);
  const first = commitAll(project.directory);
  const environment = await fromGit();
  const run = await server.start(environment.id);
  await nodeAt(server, run, 'a', 'running');
  writeChain('two');
  commitAll(project.directory);
  expect(await server.ended(run.id)).toMatchObject({ status: 'succeeded', sourceCommit: first });
  expect(await valueOf(`${environment.name}/b`)).toBe('one');
});

it('deploys a tag, a branch or a commit that the template, the environment or the request names', async () => {
  writeChain('one');
  const first = commitAll(project.directory);
  git(project.directory, 'tag', 'v1');
  git(project.directory, 'checkout', '--quiet', '-b', 'next');
  writeChain('two');
  commitAll(project.directory);
  writeChain('three');
  const third = commitAll(project.directory);
  git(project.directory, 'checkout', '--quiet', 'main');

  const environment = await fromGit({ revision: 'next' });
  expect(await server.run(environment.id)).toMatchObject({ sourceCommit: third });
  expect(await server.run(environment.id, { revision: 'v1' })).toMatchObject({ sourceCommit: first });
  expect(await valueOf(`${environment.name}/a`)).toBe('one');
  await server.request('PATCH', `/environments/${environment.id}`, { revision: first });
  expect(await server.run(environment.id)).toMatchObject({ sourceCommit: first });
});

it('destroys with the code that deployed, when the branch has lost it', async () => {
  writeChain('one');
  commitAll(project.directory);
  const environment = await fromGit();
  await server.run(environment.id);
  git(project.directory, 'rm', '-r', '--quiet', 'stacks');
  project.write('windlass.workflow.yml', 'not: a workflow');
  commitAll(project.directory);
  const destroyed = await server.run(environment.id, { type: 'destroy' });
  expect(destroyed).toMatchObject({ status: 'succeeded', error: null });
  expect(project.lines('a')).toEqual(['apply', 'destroy']);
});

it('resumes with the commit of the failed run, though the branch went on', async () => {
  writeChain('one');
  const first = commitAll(project.directory);
  const environment = await fromGit();
  project.failing('b', true);
  const failed = await server.run(environment.id);
  expect(failed.status).toBe('failed');
  project.failing('b', false);
  writeChain('two');
  commitAll(project.directory);
  const asked = await server.request<Deployment>('POST', `/deployments/${failed.id}/resume`, {});
  const resumed = await server.ended(asked.id);
  expect(resumed.status).toBe('succeeded');
  expect(await valueOf(`${environment.name}/b`)).toBe('one');
  expect((await server.nodes(resumed.id)).find((item) => item.alias === 'b')?.commit).toBe(first);
});

it('takes each node from a repository and revision of its own', async () => {
  const modules = makeProject('modules');
  try {
    modules.stack('module', { value: 'old' });
    commitAll(modules.directory);
    git(modules.directory, 'tag', 'v1');
    modules.stack('module', { value: 'new' });
    commitAll(modules.directory);
    const name = unique('module');
    await server.createTemplate({
      name,
      type: 'opentofu',
      source: { kind: 'git', repository: modules.directory, path: 'stacks/module' },
    });
    project.workflow({
      environments: {
        pinned: { templateName: name, revision: 'v1' },
        newest: { templateName: name },
      },
    });
    commitAll(project.directory);
    const environment = await fromGit();
    const run = await server.run(environment.id);
    expect(run).toMatchObject({ status: 'succeeded', error: null });
    expect(await valueOf(`${environment.name}/pinned`)).toBe('old');
    expect(await valueOf(`${environment.name}/newest`)).toBe('new');
  } finally {
    modules.remove();
  }
});

it('reads a workflow file in a folder, with stacks beside it and modules above it', async () => {
  project.write('modules/echo/main.tf', 'variable "text" {}\noutput "text" { value = "<${var.text}>" }\n');
  project.write(
    'live/shop/stacks/a/main.tf',
    'module "echo" {\n  source = "../../../../modules/echo"\n  text = "hi"\n}\noutput "value" { value = module.echo.text }\n',
  );
  project.write('live/shop/windlass.workflow.yml', JSON.stringify({ environments: { a: node('a') } }));
  commitAll(project.directory);
  const environment = await fromGit({ path: 'live/shop' });
  const run = await server.run(environment.id);
  expect(run).toMatchObject({ status: 'succeeded', error: null });
  expect(await valueOf(`${environment.name}/a`)).toBe('<hi>');
});
