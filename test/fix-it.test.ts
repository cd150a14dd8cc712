import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { cli, wordsOf } from './support/cli.ts';
import type { CliResult } from './support/cli.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;
let environment: Environment;

beforeEach(async () => {
  project = makeProject('fix');
  for (const name of ['a', 'b']) project.stack(name);
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

const run = (...words: string[]): Promise<CliResult> => cli(server, words);
const deployments = async (): Promise<Deployment[]> =>
  (await server.request<Page<Deployment>>('GET', `/environments/${environment.id}/deployments`)).items;
/** Runs the command that a failure named, and expects that it mends it. */
async function follow(words: readonly string[]): Promise<void> {
  expect((await cli(server, words)).code).toBe(0);
  expect((await server.environment(environment.id)).status).toBe('active');
}

it('an error in the code: corrected, then the command that reads it again', async () => {
  project.write('stacks/b/main.tf', 'output "x" {\n  value = 1 +\n}\n');
  const failed = await run('deploy', environment.name);
  expect([failed.code, failed.fix]).toEqual([1, ['resume', environment.name, '--refresh']]);
  project.stack('b');
  await follow(failed.fix);
  expect(project.lines('a')).toEqual(['apply']);
});

it('an error of a tool for a cause outside: gone, then the command with the code as it was', async () => {
  project.failing('b', true);
  const failed = await run('deploy', environment.name);
  expect(failed.code).toBe(1);
  project.failing('b', false);
  await follow(['resume', environment.name]);
});

it('an error in the code of a run with variables keeps them', async () => {
  project.write('stacks/b/main.tf', 'variable "value" {}\noutput "x" {\n  value = 1 +\n}\n');
  const failed = await run('deploy', environment.name, '--var', 'value=given');
  project.stack('b');
  await follow(failed.fix);
  const outputs = await server.request<Page<{ name: string; value: unknown }>>(
    'GET',
    `/environments/${encodeURIComponent(`${environment.name}/b`)}/outputs`,
  );
  expect(outputs.items.find(({ name }) => name === 'value')?.value).toBe('given');
});

it('a resume of what failed in code that has changed since asks which code is meant, and leaves no record', async () => {
  project.write('stacks/b/main.tf', 'output "x" {\n  value = 1 +\n}\n');
  await run('deploy', environment.name);
  project.stack('b');
  const refused = await run('resume', environment.name);
  expect(refused.code).toBe(1);
  expect(refused.err).toMatch(
    /the source has changed since deployment 1: .* \([0-9a-f]{8} → [0-9a-f]{8}\), and "b" failed/,
  );
  expect(await deployments()).toHaveLength(1);
  const commands = [...refused.err.matchAll(/windlass (resume .*)$/gm)].map(([, command]) => wordsOf(command ?? ''));
  expect(commands).toEqual([
    ['resume', environment.name, '--refresh'],
    ['resume', environment.name, '--as-it-was'],
  ]);
  const again = await run('resume', environment.name, '--as-it-was');
  expect(again.code).toBe(1);
  await follow(commands[0] ?? []);
});

it('a resume of what failed elsewhere goes on with what was taken then, and says that there is something newer', async () => {
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'], timeout: '1s' }) } });
  project.stack('b', { sleepSeconds: 30 });
  const failed = await run('deploy', environment.name);
  expect([failed.code, failed.fix]).toEqual([1, ['resume', environment.name]]);
  project.write('README.md', 'something else');
  const resumed = await run('resume', environment.name);
  expect(resumed.err).toContain('the source has changed since deployment 1');
  expect(resumed.err).toContain('--refresh takes it as it is now');
});

it('a mistake in the file costs no deployment: corrected, then the same command', async () => {
  project.workflow({ environments: { a: node('a'), b: node('b', { need: ['a'] }) } });
  const refused = await run('deploy', environment.name);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain('unknown key "need" in sub-environment "b"; did you mean "needs"?');
  expect(await deployments()).toEqual([]);
  project.workflow({ environments: { a: node('a'), b: node('b', { needs: ['a'] }) } });
  await follow(['deploy', environment.name]);
});

it('a renamed node: one of the two commands that are named keeps what it has', async () => {
  const settings = { environmentRemovalStrategy: 'destroy' };
  project.workflow({ settings, environments: { a: node('a'), b: node('b') } });
  await run('deploy', environment.name);
  project.workflow({ settings, environments: { a: node('a'), bee: node('b') } });
  const refused = await run('deploy', environment.name);
  expect(refused.code).toBe(1);
  const [command] = [...refused.err.matchAll(/windlass (deploy .* --moved .*)$/gm)].map(([, text]) =>
    wordsOf(text ?? ''),
  );
  expect(command).toEqual(['deploy', environment.name, '--moved', 'b=bee']);
  await follow(command ?? []);
  expect(project.lines('b')).toEqual(['apply']);
});

describe('a typing error costs no deployment', () => {
  const refused = async (...words: string[]): Promise<string> => {
    const before = await deployments();
    const result = await run(...words);
    expect(result.code).not.toBe(0);
    expect(await deployments()).toHaveLength(before.length);
    return result.err;
  };

  it('in the name of a variable', async () => {
    const name = environment.name;
    expect(await refused('deploy', name, '--var', 'vlaue=x')).toContain(
      'no node declares the variable "vlaue"; did you mean "value"?',
    );
    expect(await refused('deploy', name, '--var', 'a/sise=x')).toContain('"a" does not declare the variable "sise"');
    expect(await refused('plan', name, '--var', 'vlaue=x')).toContain('did you mean "value"?');
  });

  it('in what is stored for later, which is kept with a word', async () => {
    const stored = await run('variable', 'set', 'vlaue=x', '--environment', environment.name);
    expect(stored.code).toBe(0);
    expect(stored.err).toContain('no node declares the variable "vlaue"; did you mean "value"?');
    const fine = await run('variable', 'set', 'value=x', '--environment', environment.name);
    expect([fine.code, fine.err]).toEqual([0, '']);
  });

  it('in the alias of a node', async () => {
    expect(await refused('deploy', environment.name, '--var', 'aa/value=x')).toContain(
      'has no node "aa"; did you mean "a"?',
    );
    expect(await server.refused(environment.id, { nodeApprovals: { bb: true } })).toMatchObject({ status: 422 });
  });

  it('in the directories of nodes, which are all named', async () => {
    project.workflow({
      environments: { a: { vcs: { type: 'opentofu', path: 'stacks/aa' } }, b: node('b'), c: node('gone') },
    });
    const said = await refused('deploy', environment.name);
    expect(said).toContain(
      'sub-environment "a": there is no directory "stacks/aa" in the source; did you mean "stacks/a"?',
    );
    expect(said).toContain('sub-environment "c": there is no directory "stacks/gone" in the source');
    expect(project.lines('b')).toEqual([]);
  });

  it('in what is to be destroyed', async () => {
    await run('deploy', environment.name);
    expect(await refused('destroy', `${environment.name}/a`, '--yes')).toContain('"a" is needed by "b"');
    await follow(['deploy', environment.name]);
  });
});
