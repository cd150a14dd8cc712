// Everything that has to hold before a change is taken: types, lint, import rules, unit tests, scenario tests.
//   ./windlass test                 all of it
//   ./windlass test graph           only tests whose path matches; other arguments go to Jest as they are
//   ./windlass test --unit          no scenario tests
//   ./windlass test --date 2028-02-29T23:30:00Z   as on another day; see clockAt() for what keeps the real date
// Tools that the tests need are found or got first, and kept outside the clone.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clockAt, findTools, keepsRealDate, testEnvironment } from './test-tools.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const started = performance.now();

const passedOn = process.argv.slice(2);

/** Takes an option of ours out of what Jest gets; answers its value, `true` without one, or null when it is not there. */
function takeOption(name, { value = false } = {}) {
  const at = passedOn.indexOf(name);
  if (at < 0) return null;
  const [, given] = passedOn.splice(at, value ? 2 : 1);
  return value ? (given ?? '') : true;
}
const unitOnly = takeOption('--unit') !== null;
const date = takeOption('--date', { value: true });

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
  const asksFor = (pattern) =>
    !unitOnly && date === null && (passedOn.length === 0 || passedOn.some((argument) => pattern.test(argument)));
  const clock = date === null ? {} : clockAt(date);
  const environment = {
    ...testEnvironment(await findTools({ chromium: asksFor(/page/), temporalCluster: asksFor(/cluster/) })),
    ...clock,
  };

  if (passedOn.length === 0 && date === null) {
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
  // Last, since Jest takes what follows this option for more of it.
  const args = [...passedOn, ...(date === null ? [] : [`--testPathIgnorePatterns=${keepsRealDate}`])];
  let ran = await jest('unit', { args, environment, workers: '100%' });
  if (process.exitCode !== 130 && !unitOnly) {
    // Scenario tests start servers and tools of their own; more of them at once would only wait for each other.
    ran += await jest('scenario', { args, environment, workers: '2' });
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
