import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deployment, Environment, Template } from '../src/model/index.ts';
import { addTool } from '../src/tools/catalogue.ts';
import { beforeEnd, makeEnvironment, makeProject } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, freePort, processesOf, startUp, tailOf } from './support/processes.ts';
import type { TestApi } from './support/processes.ts';
import { toy } from './toy-tool/definition.ts';

/** A tool that lies outside of src/: what it can do shows that nobody has to know a tool besides its own folder. */
let root: string;
let port: number;
let up: TestApi;
let project: TestProject;
let environment: Environment;

const start = async (): Promise<void> => {
  up = await startUp({ dataDirectory: join(root, 'data'), port, program: 'test/toy-tool/windlass.js' });
};

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-toy-'));
  mkdirSync(join(root, 'data'));
  port = await freePort();
  await start();
});
afterAll(async () => {
  await up?.stop();
  project?.remove();
  rmSync(root, { recursive: true, force: true });
});

beforeEach(async () => {
  project?.remove();
  project = makeProject('toy');
  project.write('stacks/box/stack.toy', 'a ball\n');
  project.workflow({
    environments: {
      box: { vcs: { type: 'toy', path: 'stacks/box', toyTarget: target() }, requiresApproval: false },
      reader: {
        vcs: { type: 'shell', deployScript: `echo "$WINDLASS_VAR_box" > ${join(project.journal, 'reader')}` },
        needs: ['box'],
        inputs: { box: { value: '${environments.box.outputs.target}' } },
      },
    },
  });
  environment = await makeEnvironment(up.client, project);
});

const target = (): string => join(project.journal, 'made');
const hold = (): string => `${target()}.hold`;
const made = (): string | null => (existsSync(target()) ? readFileSync(target(), 'utf8') : null);
const journal = (): string[] => project.lines('made.journal');

async function succeeded(run: Deployment): Promise<void> {
  const ended = await up.client.ended(run.id);
  if (ended.status !== 'succeeded')
    throw new Error(`${JSON.stringify([ended, await up.client.nodes(run.id)])}\n${tailOf(up.logFile)}`);
}
const deploy = async (): Promise<void> => succeeded(await up.client.start(environment.id));
async function countsOf(type: string): Promise<unknown> {
  const run = await up.client.run(environment.id, { type });
  return (await up.client.nodes(run.id)).find(({ alias }) => alias === 'box')?.counts;
}

it('is planned, deployed and destroyed as a node, and others read its outputs', async () => {
  expect(await countsOf('plan')).toEqual({ add: 1, change: 0, destroy: 0 });
  await deploy();
  expect(made()).toBe('a ball\n');
  expect(project.lines('reader')).toEqual([target()]);
  project.write('stacks/box/stack.toy', 'two balls\n');
  expect(await countsOf('plan')).toEqual({ add: 0, change: 1, destroy: 0 });
  await deploy();
  expect(made()).toBe('two balls\n');
  await succeeded(await up.client.start(environment.id, { type: 'destroy' }));
  expect(made()).toBeNull();
  expect(journal()).toEqual(['apply', 'apply', 'destroy']);
});

it('drifts when what it has made is changed outside', async () => {
  await deploy();
  const drift = async (): Promise<string> => {
    await succeeded(await up.client.start(environment.id, { type: 'drift' }));
    return (await up.client.environment(`${environment.name}/box`)).flags.drift;
  };
  expect(await drift()).toBe('ok');
  writeFileSync(target(), 'somebody was here\n');
  expect(await drift()).toBe('drifted');
  expect(journal()).toEqual(['apply']);
});

it('fails by the rules of its failures', async () => {
  project.write('stacks/box/stack.toy', 'broken\n');
  const run = await up.client.start(environment.id);
  const box = await beforeEnd(up.client, run, (nodes) => nodes.find(({ alias, error }) => alias === 'box' && error));
  expect(box.error?.class).toBe('credentials');
  await up.client.request('POST', `/deployments/${run.id}/abort`, {});
  await up.client.ended(run.id);
});

it('its commands of a custom flow run around its steps', async () => {
  project.write(
    'stacks/box/env0.yml',
    `version: 2\ndeploy:\n  steps:\n    toyMake:\n      before: echo before >> ${target()}.journal\n      after: echo after >> ${target()}.journal\n`,
  );
  await deploy();
  expect(journal()).toEqual(['before', 'apply', 'after']);
});

it('a kill -9 of the server in its apply leaves it at work, and it is adopted', async () => {
  writeFileSync(hold(), '');
  const run = await up.client.start(environment.id);
  await beforeEnd(up.client, run, () => journal().length > 0);
  await up.kill();
  await start();
  rmSync(hold());
  await succeeded(run);
  expect([made(), journal()]).toEqual(['a ball\n', ['apply']]);
});

it('a kill -9 of both is found out, and the apply is done again', async () => {
  writeFileSync(hold(), '');
  const run = await up.client.start(environment.id);
  await beforeEnd(up.client, run, () => journal().length > 0);
  await up.kill();
  for (const { pid } of processesOf(join(root, 'data'))) process.kill(pid, 'SIGKILL');
  await up.client.until(() => Promise.resolve(processesOf(join(root, 'data')).length === 0));
  rmSync(hold());
  await start();
  await succeeded(run);
  expect([made(), journal()]).toEqual(['a ball\n', ['apply', 'apply']]);
});

it('has no state of its own kept, templates name its type, and its reserved variables are refused', async () => {
  await deploy();
  const ref = encodeURIComponent(`${environment.name}/box`);
  expect(await up.client.request('GET', `/environments/${ref}/state`)).toBeNull();
  const source = { kind: 'local', directory: project.directory };
  const template = await up.client.createTemplate({ name: `${environment.name}-box`, type: 'toy', source });
  expect((await up.client.request<Template>('GET', `/templates/${template.id}`)).type).toBe('toy');
  const variable = { name: 'TOY_TARGET', kind: 'environment', type: 'text', value: 'x' };
  const refused = await up.client.refused(environment.id, { variables: [variable] });
  expect(JSON.stringify(refused)).toContain('Windlass sets it itself');
});

it('is refused when it comes after the schemas were made, as in this process', async () => {
  await expect(addTool(toy, () => Promise.reject(new Error('is not loaded')))).rejects.toThrow(/too late/);
});
