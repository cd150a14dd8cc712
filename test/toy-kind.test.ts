import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deployment, Environment } from '../src/model/index.ts';
import { addNodeKind } from '../src/node/kinds/catalogue.ts';
import { makeEnvironment, makeProject } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, freePort, startUp, tailOf } from './support/processes.ts';
import type { TestApi } from './support/processes.ts';
import { note } from './toy-kind/definition.ts';

/** A kind of nodes that lies outside of src/: a block in the file, and whoever does its work. */
let root: string;
let up: TestApi;
let project: TestProject;
let environment: Environment;

const line = (name: string): Record<string, unknown> => ({
  vcs: { type: 'shell', deployScript: `echo ${name} >> ${file()}`, destroyScript: `echo no ${name} >> ${file()}` },
});
const file = (): string => join(project.journal, 'lines');

beforeAll(async () => {
  buildDist();
  root = mkdtempSync(join(tmpdir(), 'windlass-kind-'));
  mkdirSync(join(root, 'data'));
  const port = await freePort();
  up = await startUp({ dataDirectory: join(root, 'data'), port, program: 'test/toy-kind/windlass.js' });
  project = makeProject('kind');
  environments(note.name, { file: file(), says: 'noted' });
  environment = await makeEnvironment(up.client, project);
});
afterAll(async () => {
  await up?.stop();
  project?.remove();
  rmSync(root, { recursive: true, force: true });
});

/** first → between → last, of which the second is of the new kind. */
function environments(kind: string, block: unknown): void {
  project.workflow({
    environments: {
      first: line('first'),
      between: { [kind]: block, needs: ['first'] },
      last: { ...line('last'), needs: ['between'] },
    },
  });
}

async function succeeded(run: Deployment): Promise<void> {
  const ended = await up.client.ended(run.id);
  if (ended.status !== 'succeeded')
    throw new Error(`${JSON.stringify([ended, await up.client.nodes(run.id)])}\n${tailOf(up.logFile)}`);
}

it('is deployed and destroyed in its place of the graph, and is neither planned nor checked', async () => {
  await succeeded(await up.client.start(environment.id, { type: 'plan' }));
  expect(project.lines('lines')).toEqual([]);
  await succeeded(await up.client.start(environment.id));
  expect(project.lines('lines')).toEqual(['first', 'noted', 'last']);
  expect((await up.client.environment(environment.id)).status).toBe('active');
  await succeeded(await up.client.start(environment.id, { type: 'drift' }));
  await succeeded(await up.client.start(environment.id, { type: 'destroy' }));
  expect(project.lines('lines').slice(3)).toEqual(['no last', 'no longer: noted', 'no first']);
});

it.each([
  ['what its schema does not take', 'note', { file: 'x', says: 7 }, /says in .*expected string/],
  ['a key that it does not know', 'note', { file: 'x', says: 'y', when: 'now' }, /Unrecognized key.*when/],
  ['a mistyped kind', 'notes', {}, /unknown key "notes".*did you mean "note"\?/],
])('the file is refused for %s', async (_what, kind, block, expected) => {
  environments(kind, block);
  const text = JSON.stringify(await up.client.refused(environment.id)).replaceAll('\\"', '"');
  expect(text).toMatch(expected);
});

it('is refused when it comes after the schemas were made, as in this process', async () => {
  await expect(addNodeKind(note, () => Promise.reject(new Error('is not loaded')))).rejects.toThrow(/too late/);
});
