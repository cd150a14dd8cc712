import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { settingsWithMirror } from './support/tools.ts';
import { useTestServer } from './support/windlass.ts';

const settings = mkdtempSync(join(tmpdir(), 'windlass-remedy-'));
const server = useTestServer(async () => settingsWithMirror(settings));
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
  rmSync(settings, { recursive: true, force: true });
});

/** Two deployed files, and a drift check that is never due by itself. */
async function pages(remediation: string, more: Record<string, unknown> = {}) {
  const project = makeProject('remedy');
  projects.push(project);
  const files: Record<string, string> = {};
  for (const name of ['one', 'two']) {
    const path = join(project.journal, `${name}.txt`);
    files[name] = path;
    project.write(
      `stacks/${name}/main.tf`,
      `resource "local_file" "page" {\n  content  = "hello from ${name}"\n  filename = "${path}"\n}\n`,
    );
  }
  project.workflow({ environments: { one: node('one', more), two: node('two', { needs: ['one'] }) } });
  const drift = { cron: '0 0 29 2 *', remediation };
  const environment = await makeEnvironment(server, project, { settings: { drift } });
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded', error: null });
  return { project, environment, one: files['one'] ?? '', two: files['two'] ?? '' };
}
const remedyOf = (environment: Environment): Promise<Deployment> =>
  server.until(async () => {
    const page = await server.request<Page<Deployment>>(
      'GET',
      `/deployments?environment=${environment.id}&type=deploy`,
    );
    return page.items.find((run) => run.trigger === 'drift');
  });

it('brings back only the nodes that drifted, with the code that was deployed', async () => {
  const { project, environment, one } = await pages('redeploy', { redeploy: 'onInputChange' });
  writeFileSync(one, 'changed by hand');
  project.write('stacks/one/main.tf', 'this is not what was deployed');
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  const remedy = await server.ended((await remedyOf(environment)).id);
  expect(remedy.status).toBe('succeeded');
  expect(await server.statuses(remedy.id)).toEqual({ one: 'succeeded', two: 'skipped' });
  expect(readFileSync(one, 'utf8')).toBe('hello from one');
  expect((await server.environment(`${environment.name}/one`)).flags.drift).toBe('neverRun');
  expect((await server.environment(environment.id)).flags.drift).toBe('ok');
  // The repaired environment drifts no more, so that nothing further is asked for.
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('succeeded');
  const runs = await server.request<Page<Deployment>>('GET', `/deployments?environment=${environment.id}&type=deploy`);
  expect(runs.items.filter((run) => run.trigger === 'drift')).toHaveLength(1);
});

it('asks before it brings something back', async () => {
  const { environment, two } = await pages('ask');
  writeFileSync(two, 'changed by hand');
  await server.run(environment.id, { type: 'drift' });
  const remedy = await remedyOf(environment);
  const approval = await server.until(async () => {
    const page = await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${remedy.id}`);
    return page.items[0];
  });
  expect(approval).toMatchObject({ alias: 'two', reason: 'the request asked for it' });
  expect(readFileSync(two, 'utf8')).toBe('changed by hand');
  await server.request('POST', `/approvals/${approval.id}/approve`, {});
  expect((await server.ended(remedy.id)).status).toBe('succeeded');
  expect(readFileSync(two, 'utf8')).toBe('hello from two');
});

it('does nothing about drift when nobody said so', async () => {
  const { environment, one } = await pages('none');
  writeFileSync(one, 'changed by hand');
  await server.run(environment.id, { type: 'drift' });
  expect((await server.environment(environment.id)).flags.drift).toBe('drifted');
  const runs = await server.request<Page<Deployment>>('GET', `/deployments?environment=${environment.id}`);
  expect(runs.items.map((run) => run.type)).toEqual(['drift', 'deploy']);
});

it('says error, with the reason, when a node could not be checked', async () => {
  const project = makeProject('remedy');
  projects.push(project);
  project.write('stacks/a/main.tf', `data "local_file" "read" {\n  filename = "${project.journal}/there"\n}\n`);
  project.stack('b');
  project.workflow({ environments: { a: node('a'), b: node('b') } });
  writeFileSync(join(project.journal, 'there'), '');
  const environment = await makeEnvironment(server, project);
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded' });
  rmSync(join(project.journal, 'there'));
  expect((await server.run(environment.id, { type: 'drift' })).status).toBe('failed');
  expect((await server.environment(environment.id)).flags.drift).toBe('error');
  expect((await server.environment(`${environment.name}/b`)).flags.drift).toBe('ok');
  const { results } = await server.request<{ results: { alias: string; status: string; message: string | null }[] }>(
    'GET',
    `/environments/${environment.id}/drift`,
  );
  const failed = results.find((result) => result.alias === 'a');
  expect(failed).toMatchObject({ status: 'error' });
  expect(failed?.message).toContain('there');
  expect((await server.environment(environment.id)).status).toBe('active');
});
