// The real programs that tests, the chaos run and the benchmarks need: found or got, and kept outside the clone.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

function libraryOfFakeTime() {
  const named = process.env.WINDLASS_FAKETIME;
  if (named) return named;
  const look = () => {
    const architectures = existsSync('/usr/lib') ? readdirSync('/usr/lib') : [];
    const files = architectures.map((name) => join('/usr/lib', name, 'faketime', 'libfaketimeMT.so.1'));
    return files.find((file) => existsSync(file)) ?? null;
  };
  const found = look() ?? (installPackage('libfaketime') ? look() : null);
  if (found) return found;
  throw new Error('libfaketime is not here: install the package libfaketime, or set WINDLASS_FAKETIME to the library');
}

/**
 * Variables under which programs see another date. One offset for all of them, so that they agree with each other; clocks
 * that only measure go on as they are. Node, PostgreSQL and the time-skipping Temporal take it. OpenTofu and the Temporal
 * that tests use otherwise do not: Go programs ask the kernel without a library in between.
 */
export function clockAt(date) {
  const wantedMs = Date.parse(date);
  if (Number.isNaN(wantedMs)) throw new Error(`--date takes a date such as 2028-02-29T23:30:00Z, not "${date}"`);
  const offset = Math.round((wantedMs - Date.now()) / 1000);
  return {
    LD_PRELOAD: libraryOfFakeTime(),
    FAKETIME: `${offset < 0 ? '-' : '+'}${Math.abs(offset)}s`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    // Node reads the times of files past the library; shift-file-times.cjs does for it what that does for the others.
    NO_FAKE_STAT: '1',
    WINDLASS_CLOCK_OFFSET_SECONDS: String(offset),
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require=${fileURLToPath(new URL('shift-file-times.cjs', import.meta.url))}`,
  };
}

/**
 * Left out with another date: tests of what is due at a time by the clock of the Temporal development server, and of locks
 * that OpenTofu dates.
 */
export const keepsRealDate = '(test/(life-rules|by-itself)|opentofu/recover)\\.test';

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

/** Where each tool is, under the names by which tests look for them; what is missing is got first. */
export async function findTools({ chromium, temporalCluster }) {
  const { loadConfig } = await import('../dist/src/config.js');
  const embedded = await import('../dist/src/embedded/index.js');
  const { findProviderMirror } = await import('../dist/src/tools/index.js');
  // A server that happens to run is no place for tests; the rest of the environment counts.
  const config = loadConfig({ ...process.env, TEMPORAL_ADDRESS: '', WINDLASS_MODE: '' });
  const onProgress = progressPrinter();
  const tools = embedded.createToolLocator(config, onProgress);
  const cache = config.cacheDirectory;
  return {
    WINDLASS_TEMPORAL: await tools.find('temporal'),
    WINDLASS_TEST_SERVER: await embedded.findTestServer(cache, process.env.WINDLASS_TEST_SERVER || null, onProgress),
    WINDLASS_TOFU: await tools.find('tofu'),
    WINDLASS_PROVIDER_MIRROR: process.env.WINDLASS_PROVIDER_MIRROR || (await findProviderMirror(cache, onProgress)),
    ...(temporalCluster
      ? {
          WINDLASS_TEMPORAL_CLUSTER:
            process.env.WINDLASS_TEMPORAL_CLUSTER || (await embedded.findTemporalCluster(cache, onProgress)),
        }
      : {}),
    WINDLASS_GIT: systemProgram({ program: 'git', packageName: 'git', variable: 'WINDLASS_GIT' }),
    WINDLASS_POSTGRES: systemProgram({ program: 'postgres', packageName: 'postgresql', variable: 'WINDLASS_POSTGRES' }),
    WINDLASS_INITDB: systemProgram({ program: 'initdb', packageName: 'postgresql', variable: 'WINDLASS_INITDB' }),
    WINDLASS_BUBBLEWRAP: systemProgram({
      program: 'bwrap',
      packageName: 'bubblewrap',
      variable: 'WINDLASS_BUBBLEWRAP',
    }),
    ...(chromium ? findChromium() : {}),
  };
}

/** The browser of the tests of pages. Without one only those fail, and say why. */
function findChromium() {
  try {
    const program = systemProgram({ program: 'chromium', packageName: 'chromium', variable: 'WINDLASS_CHROMIUM' });
    return { WINDLASS_CHROMIUM: program };
  } catch (error) {
    console.log(`  ✖ chromium  ${error.message}`);
    return {};
  }
}

/** The tests' surroundings: the tools by name, and nothing of the user's that would change what the tools do. */
export function testEnvironment(tools) {
  const environment = { ...process.env, ...tools, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' };
  for (const name of Object.keys(environment)) {
    if (/^(TF_|TEMPORAL_|PG|DATABASE_URL$)/.test(name)) delete environment[name];
    if (/^WINDLASS_(DATA|DATABASE_URL|URL|TOKEN|PORT|HOST|MODE|ENCRYPTION_KEY)/.test(name)) delete environment[name];
  }
  return environment;
}
