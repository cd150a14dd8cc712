// Everything that has to hold before a change is taken: types, lint, import rules, unit tests, scenario tests.
//   ./windlass test                 all of it
//   ./windlass test graph           only tests whose path matches; other arguments go to Jest as they are
//   ./windlass test --unit          no scenario tests
// Tools that the tests need are found or got first, and kept outside the clone.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const started = performance.now();

const own = new Set(['--unit']);
const wanted = new Set(process.argv.slice(2).filter((argument) => own.has(argument)));
const passedOn = process.argv.slice(2).filter((argument) => !own.has(argument));

// ---- tools ---------------------------------------------------------------------------------------

function onPath(program, extraDirectories = []) {
  for (const directory of [...(process.env.PATH ?? '').split(delimiter), ...extraDirectories]) {
    const candidate = join(directory, program);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not in this one.
    }
  }
  return null;
}

/** Debian keeps several versions of the server side by side, off PATH; the newest is taken. */
function postgresDirectories() {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  return [...versions.map((version) => join(base, version, 'bin')), '/opt/homebrew/opt/postgresql/bin'];
}

function installPackage(name) {
  if (process.getuid?.() !== 0 || !onPath('apt-get')) return false;
  console.log(`  … ${name} with apt-get`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], { env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
  apt('update');
  return apt('install', '-y', '--no-install-recommends', name).status === 0;
}

function systemProgram({ program, packageName, variable, directories = [] }) {
  const named = process.env[variable];
  if (named) return named;
  const look = () => onPath(program, directories.length > 0 ? directories : postgresDirectories());
  const found = look() ?? (installPackage(packageName) ? look() : null);
  if (found) return found;
  throw new Error(`${program} is not here: install the package ${packageName}, or set ${variable} to the program`);
}

/** Each step once, and long ones again every half minute. */
function progressPrinter() {
  const said = new Map();
  return ({ tool, phase, elapsedMs, detail, version }) => {
    const name = [tool, version].filter(Boolean).join(' ');
    const seconds = Math.round(elapsedMs / 1000);
    if (phase === 'ready') console.log(`  ✔ ${name}  ${detail}  ${seconds} s`);
    if (phase === 'ready' || phase === 'looking') return;
    const last = said.get(tool + phase);
    if (last !== undefined && seconds - last < 30) return;
    said.set(tool + phase, seconds);
    console.log(`  … ${name}  ${phase}: ${detail}${last === undefined ? '' : `  ${seconds} s`}`);
  };
}

async function findTools() {
  const { loadConfig } = await import('../dist/src/config.js');
  const embedded = await import('../dist/src/embedded/index.js');
  // A server that happens to run is no place for tests; the rest of the environment counts.
  const config = loadConfig({ ...process.env, TEMPORAL_ADDRESS: '', WINDLASS_MODE: '' });
  const onProgress = progressPrinter();
  const tools = embedded.createToolLocator(config, onProgress);
  const cache = config.cacheDirectory;
  return {
    WINDLASS_TEMPORAL: await tools.find('temporal'),
    WINDLASS_TEST_SERVER: await embedded.findTestServer(cache, process.env.WINDLASS_TEST_SERVER || null, onProgress),
    WINDLASS_TOFU: await tools.find('tofu'),
    WINDLASS_PROVIDER_MIRROR:
      process.env.WINDLASS_PROVIDER_MIRROR || (await embedded.findProviderMirror(cache, onProgress)),
    WINDLASS_GIT: systemProgram({ program: 'git', packageName: 'git', variable: 'WINDLASS_GIT' }),
    WINDLASS_POSTGRES: systemProgram({ program: 'postgres', packageName: 'postgresql', variable: 'WINDLASS_POSTGRES' }),
    WINDLASS_INITDB: systemProgram({ program: 'initdb', packageName: 'postgresql', variable: 'WINDLASS_INITDB' }),
    ...findChromium(),
  };
}

/** The browser of the tests of pages. Without one only those fail, and say why. */
function findChromium() {
  if (wanted.has('--unit') || (passedOn.length > 0 && !passedOn.some((argument) => /page/.test(argument)))) return {};
  try {
    const program = systemProgram({ program: 'chromium', packageName: 'chromium', variable: 'WINDLASS_CHROMIUM' });
    return { WINDLASS_CHROMIUM: program };
  } catch (error) {
    console.log(`  ✖ chromium  ${error.message}`);
    return {};
  }
}

/** The tests' surroundings: the tools by name, and nothing of the user's that would change what the tools do. */
function testEnvironment(tools) {
  const environment = { ...process.env, ...tools, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' };
  for (const name of Object.keys(environment)) {
    if (/^(TF_|TEMPORAL_|PG|DATABASE_URL$)/.test(name)) delete environment[name];
    if (/^WINDLASS_(DATA|DATABASE_URL|URL|TOKEN|PORT|HOST|MODE|ENCRYPTION_KEY)/.test(name)) delete environment[name];
  }
  return environment;
}

// ---- steps ---------------------------------------------------------------------------------------

const totals = { passed: 0, failed: 0 };

let current = null;
for (const signal of ['SIGINT', 'SIGTERM']) {
  // The child gets a Ctrl-C of its own from the terminal; this one only waits for its end.
  process.on(signal, () => (current && signal === 'SIGTERM' ? current.kill(signal) : undefined));
}

function run(script, args, environment) {
  return new Promise((resolve) => {
    current = spawn(process.execPath, [script, ...args], { cwd: root, env: environment, stdio: 'inherit' });
    current.once('exit', (code, signal) => {
      if (signal) process.exitCode = 130;
      resolve(code ?? 1);
    });
  });
}

function binaryOf(name, program = name) {
  const packageFile = require.resolve(`${name}/package.json`);
  const { bin } = JSON.parse(readFileSync(packageFile, 'utf8'));
  return join(dirname(packageFile), typeof bin === 'string' ? bin : bin[program]);
}

async function check(title, script, args) {
  const begun = performance.now();
  const code = await run(script, args, process.env);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`  ${code === 0 ? '✔' : '✖'} ${title}  ${seconds} s`);
  // A check that fails is one failure, so that the closing line never says that nothing failed.
  if (code !== 0) totals.failed++;
}

async function jest(project, { args, environment, workers }) {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-jest-'));
  const report = join(directory, 'report.json');
  const common = ['--json', `--outputFile=${report}`, '--passWithNoTests', `--maxWorkers=${workers}`];
  // The equals sign matters: otherwise Jest takes the path that follows for one more project.
  const code = await run(binaryOf('jest'), [`--selectProjects=${project}`, ...common, ...args], environment);
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    totals.passed += result.numPassedTests;
    totals.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    if (code !== 0 && result.numFailedTests + result.numRuntimeErrorTestSuites === 0) totals.failed++;
    return result.numTotalTests;
  } catch {
    totals.failed++;
    return 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function main() {
  console.log('Tools');
  const environment = testEnvironment(await findTools());

  if (passedOn.length === 0) {
    console.log('Checks');
    await check('types', binaryOf('typescript', 'tsc'), ['--noEmit']);
    await check('lint', binaryOf('oxlint'), ['--type-aware', '--quiet']);
    await check('imports', join(root, 'scripts', 'check-imports.mjs'), []);
    await check('format', binaryOf('prettier'), [
      '--check',
      '--log-level=warn',
      '--cache',
      '{src,test,bench,scripts}/**/*.{ts,mjs,cjs}',
    ]);
  }

  // Jest writes its JSON to the file and the report for people to stderr, so both can be read.
  let ran = await jest('unit', { args: passedOn, environment, workers: '100%' });
  if (process.exitCode !== 130 && !wanted.has('--unit')) {
    // Scenario tests start servers and tools of their own; more of them at once would only wait for each other.
    ran += await jest('scenario', { args: passedOn, environment, workers: '2' });
  }
  if (ran === 0 && totals.failed === 0) {
    console.error(`no test matches ${passedOn.join(' ')}`);
    totals.failed++;
  }
}

try {
  await main();
} catch (error) {
  console.error(`windlass test: ${error.message}`);
  if (error.hint) console.error(`  ${error.hint}`);
  totals.failed++;
}
console.log(`${Math.round((performance.now() - started) / 1000)} s`);
if (totals.failed > 0) process.exitCode ??= 1;
console.log(`${totals.passed} passed, ${totals.failed} failed`);
