/** The package for others: what docs/api.md shows compiles against its types, and runs. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startHarness } from '../src/api/api.test-support.ts';
import type { Harness } from '../src/api/api.test-support.ts';
import type { Deployment, Page } from '../src/model/index.ts';
import { recordEvent } from '../src/store/index.ts';
import { until } from './support/until.ts';

const root = join(__dirname, '..');
const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
let api: Harness;
let directory: string;

function compile(...args: string[]): void {
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...args], { cwd: directory, encoding: 'utf8' });
  if (status !== 0) throw new Error(stdout);
}

beforeAll(async () => {
  api = await startHarness();
  directory = mkdtempSync(join(tmpdir(), 'windlass-client-'));
  mkdirSync(join(directory, 'node_modules', '@windlass'), { recursive: true });
  symlinkSync(join(root, 'packages', 'client'), join(directory, 'node_modules', '@windlass', 'client'));
  compile('--project', join(root, 'packages', 'client'));
}, 300_000);
afterAll(async () => {
  await api.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Ends a run as the workflow does, with a word about its node before. */
async function finish({ id, environmentId }: Deployment): Promise<void> {
  await api.db.transaction(async (tx) => {
    const about = { environmentId, deploymentId: id };
    await recordEvent(tx, { ...about, type: 'node.status', alias: 'vpc', data: { index: 0, status: 'succeeded' } });
    await tx
      .updateTable('deployments')
      .set({ status: 'succeeded', finished_at: new Date() })
      .where('id', '=', id)
      .execute();
    await recordEvent(tx, { ...about, type: 'deployment.status', alias: null, data: { status: 'succeeded' } });
  });
}

test('the example of the docs follows a run to its end', async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs', 'api.md'), 'utf8'))?.[1] ?? '';
  expect(example).toContain("from '@windlass/client'");
  const file = join(directory, 'example.mts');
  writeFileSync(file, example);
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
  compile(
    file,
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--lib',
    'es2023',
    '--skipLibCheck',
    ...types,
  );

  await api.environment('shop');
  const env = { ...process.env, WINDLASS_URL: api.url, WINDLASS_TOKEN: api.token };
  const program = spawn(process.execPath, [file.replace('.mts', '.mjs')], { env });
  let output = '';
  for (const stream of [program.stdout, program.stderr]) stream.on('data', (piece) => (output += String(piece)));
  const over = new Promise<number | null>((resolve) => program.once('exit', resolve));
  const run = await until(async () => {
    const { body } = await api.call<Page<Deployment>>('GET', 'deployments');
    return body.items[0];
  });
  await finish(run);
  expect([await over, output]).toEqual([
    0,
    'shop: neverDeployed\ndeployment 1 is queued\nvpc: succeeded\nit succeeded\n',
  ]);
}, 120_000);

test('it depends on the versions that the rest is tested with', () => {
  const read = (path: string) =>
    JSON.parse(readFileSync(join(root, path), 'utf8')) as { version: string; dependencies: Record<string, string> };
  const { version, dependencies } = read('package.json');
  const client = read('packages/client/package.json');
  expect(client.version).toBe(version);
  for (const [name, wanted] of Object.entries(client.dependencies)) expect(dependencies[name]).toBe(wanted);
});
