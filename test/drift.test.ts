import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deployment, Environment, Page } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { settingsWithMirror } from './support/tools.ts';
import { useTestServer } from './support/windlass.ts';

interface DriftAnswer {
  readonly results: {
    readonly alias: string | null;
    readonly status: string;
    readonly resources: { readonly address: string; readonly action: string; before: unknown; after: unknown }[];
  }[];
}

const settings = mkdtempSync(join(tmpdir(), 'windlass-drift-'));
const server = useTestServer(async () => settingsWithMirror(settings));
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
  rmSync(settings, { recursive: true, force: true });
});

/** A stack of one real file. */
function fileStack(project: TestProject, name: string): string {
  const path = join(project.journal, `${name}.txt`);
  project.write(
    `stacks/${name}/main.tf`,
    `resource "local_file" "page" {\n  content  = "hello from ${name}"\n  filename = "${path}"\n}\n` +
      'output "path" {\n  value = local_file.page.filename\n}\n',
  );
  return path;
}

async function pages() {
  const project = makeProject('drift');
  projects.push(project);
  const files = { one: fileStack(project, 'one'), two: fileStack(project, 'two') };
  project.workflow({ environments: { one: node('one'), two: node('two', { needs: ['one'] }) } });
  const environment = await makeEnvironment(server, project);
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded', error: null });
  return { project, environment, files };
}
const drift = (environment: Environment): Promise<DriftAnswer> =>
  server.request('GET', `/environments/${environment.id}/drift`);
const flagOf = async (ref: string): Promise<string> => (await server.environment(ref)).flags.drift;

it('finds nothing where nothing was changed', async () => {
  const { environment } = await pages();
  expect(await flagOf(environment.id)).toBe('neverRun');
  const check = await server.run(environment.id, { type: 'drift' });
  expect(check).toMatchObject({ status: 'succeeded', error: null });
  expect(await flagOf(environment.id)).toBe('ok');
  expect((await drift(environment)).results.filter((result) => result.alias !== null)).toHaveLength(2);
});

it('finds a resource that was changed behind its back, shows what, and changes nothing', async () => {
  const { environment, files } = await pages();
  const ref = encodeURIComponent(`${environment.name}/one`);
  const state = await server.request('GET', `/environments/${ref}/state`);
  writeFileSync(files.one, 'changed by hand');
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  expect(await flagOf(environment.id)).toBe('drifted');
  expect(await flagOf(`${environment.name}/one`)).toBe('drifted');
  expect(await flagOf(`${environment.name}/two`)).toBe('ok');
  const result = (await drift(environment)).results.find((item) => item.alias === 'one');
  expect(result?.resources.map((resource) => resource.address)).toEqual(['local_file.page']);
  expect(readFileSync(files.one, 'utf8')).toBe('changed by hand');
  expect(await server.request('GET', `/environments/${ref}/state`)).toEqual(state);
  expect((await server.environment(environment.id)).status).toBe('active');
});

it('is forgotten after a deploy, which mends it', async () => {
  const { environment, files } = await pages();
  writeFileSync(files.two, 'changed by hand');
  await server.run(environment.id, { type: 'drift' });
  expect(await flagOf(environment.id)).toBe('drifted');
  expect((await server.run(environment.id)).status).toBe('succeeded');
  expect(readFileSync(files.two, 'utf8')).toBe('hello from two');
  expect(await flagOf(environment.id)).not.toBe('drifted');
  await server.run(environment.id, { type: 'drift' });
  expect(await flagOf(environment.id)).toBe('ok');
});

it('says error, not OK, when a node could not be checked', async () => {
  const { environment, project } = await pages();
  project.write('stacks/one/main.tf', 'this does not parse');
  // A check runs the code that was deployed, so a broken working copy does not matter to it.
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  expect(await flagOf(environment.id)).toBe('ok');
  const ref = encodeURIComponent(`${environment.name}/one`);
  const { items } = await server.request<Page<{ id: number }>>('GET', `/environments/${ref}/state/versions`);
  expect(items.length).toBeGreaterThan(0);
});

it('makes way for a deploy', async () => {
  const project = makeProject('drift');
  projects.push(project);
  const names = Array.from({ length: 30 }, (_, index) => `n${index}`);
  for (const name of names) fileStack(project, name);
  project.workflow({ environments: Object.fromEntries(names.map((name) => [name, node(name)])) });
  const environment = await makeEnvironment(server, project);
  expect((await server.run(environment.id)).status).toBe('succeeded');
  const check = await server.start(environment.id, { type: 'drift' });
  await beforeEnd(server, check, (nodes) => nodes.some((item) => item.status === 'running'));
  const deploy = await server.start(environment.id);
  const [checked, deployed] = await Promise.all([server.ended(check.id), server.ended(deploy.id)]);
  expect(checked.status).toBe('cancelled');
  expect(deployed.status).toBe('succeeded');
  const finished = (run: Deployment): number => Date.parse(run.finishedAt ?? '');
  expect(finished(checked)).toBeLessThanOrEqual(Date.parse(deployed.startedAt ?? ''));
});
