// Builds dist/: the compiled code, the workflow bundle and the static files. Does nothing when nothing has changed.
// `--force` builds everything.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const stampFile = join(dist, '.windlass-built');
const bundleFile = join(dist, 'workflow-bundle.js');
const force = process.argv.includes('--force');

/** Files below a directory, sorted; none when it is not there. */
function filesIn(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

const isTest = (file) => /\.(test|test-support|fixture)\.ts$/.test(file);

function hashOf(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of files) hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return {};
  }
}

/** Compiled files whose source is gone would still be found by whoever looks. */
function removeOrphans() {
  for (const room of ['src', 'test', 'bench']) {
    for (const file of filesIn(join(dist, room))) {
      const source = join(root, relative(dist, file)).replace(/\.js(\.map)?$/, '.ts');
      if (source.endsWith('.ts') && (!existsSync(source) || isTest(source))) rmSync(file);
    }
  }
}

function compile() {
  const require = createRequire(import.meta.url);
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const args = [compiler, '--project', join(root, 'scripts', 'tsconfig.build.json'), '--noEmitOnError'];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  removeOrphans();
}

function copyStaticFiles() {
  const from = join(root, 'src', 'api', 'static');
  const to = join(dist, 'src', 'api', 'static');
  rmSync(to, { recursive: true, force: true });
  if (existsSync(from)) cpSync(from, to, { recursive: true });
}

/** Completion answers from this, without loading the commands. */
function writeCommandShape() {
  const script = join(dist, 'src', 'cli', 'completion', 'write-shape.js');
  if (!existsSync(script)) return;
  const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

async function bundleWorkflows() {
  const workflowsPath = join(root, 'src', 'workflows', 'index.ts');
  if (!existsSync(workflowsPath)) {
    rmSync(bundleFile, { force: true });
    console.log('no src/workflows/index.ts: the workflow bundle is left out');
    return;
  }
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    failureConverterPath: join(root, 'src', 'workflows', 'failure-converter.ts'),
    logger: quiet,
  });
  writeFileSync(`${bundleFile}.new`, code);
  renameSync(`${bundleFile}.new`, bundleFile);
}

const settings = ['package-lock.json', 'tsconfig.json', 'scripts/build.mjs', 'scripts/tsconfig.build.json'].map(
  (name) => join(root, name),
);
const sources = ['src', 'test', 'bench'].flatMap((name) => filesIn(join(root, name))).filter((file) => !isTest(file));
const bundled = ['src/workflows', 'src/model', 'src/definition'].flatMap((name) => filesIn(join(root, name)));

const last = force ? {} : readStamp();
const next = {
  compiled: hashOf([...settings, ...sources]),
  bundled: hashOf([...settings, ...bundled.filter((file) => !isTest(file))]),
};

mkdirSync(dist, { recursive: true });
// A build that fails half-way must not look like the one before it.
if (last.compiled !== next.compiled) rmSync(stampFile, { force: true });
// The stamp is as old as the start of this build, so that a file saved in the meantime is seen as newer.
const stampDraft = `${stampFile}.new`;
writeFileSync(stampDraft, JSON.stringify(next));
if (last.compiled !== next.compiled) {
  compile();
  copyStaticFiles();
  writeCommandShape();
}
if (last.bundled !== next.bundled || !existsSync(bundleFile)) await bundleWorkflows();
renameSync(stampDraft, stampFile);
