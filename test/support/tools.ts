import { accessSync, constants, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Real programs that scenario tests run, and the environment variable that names each. */
const variables = {
  tofu: 'WINDLASS_TOFU',
  terraform: 'WINDLASS_TERRAFORM',
  temporal: 'WINDLASS_TEMPORAL',
  'temporal-test-server': 'WINDLASS_TEST_SERVER',
  git: 'WINDLASS_GIT',
  postgres: 'WINDLASS_POSTGRES',
  initdb: 'WINDLASS_INITDB',
  chromium: 'WINDLASS_CHROMIUM',
} as const;
export type TestTool = keyof typeof variables;

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Absolute path of a program the tests need. Throws with the way to get it, since a skipped test proves nothing. */
export function toolPath(tool: TestTool): string {
  const named = process.env[variables[tool]];
  if (named && executable(named)) return named;
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(directory, tool);
    if (directory && executable(candidate)) return candidate;
  }
  throw new Error(`${tool} is not here: run the tests with ./windlass test, or set ${variables[tool]}`);
}

/** A directory in the layout of `filesystem_mirror` that holds hashicorp/local. Throws when it is not there. */
export function providerMirror(): string {
  const named = process.env['WINDLASS_PROVIDER_MIRROR'];
  if (named) return named;
  throw new Error(
    'the provider mirror is not here: run the tests with ./windlass test, or set WINDLASS_PROVIDER_MIRROR',
  );
}

/** Settings of a server whose stacks get their providers from the mirror alone; what they need is written into a directory. */
export function settingsWithMirror(directory: string): Record<string, string> {
  const file = join(directory, 'cli.tfrc');
  writeFileSync(file, `provider_installation {\n  filesystem_mirror {\n    path = "${providerMirror()}"\n  }\n}\n`);
  return { WINDLASS_TF_CLI_CONFIG: file, WINDLASS_CACHE: join(directory, 'cache') };
}

/** A program of a Temporal cluster. Throws when it is not there. */
export function temporalClusterProgram(program: 'temporal-server' | 'temporal-sql-tool'): string {
  const directory = process.env['WINDLASS_TEMPORAL_CLUSTER'];
  if (directory && executable(join(directory, program))) return join(directory, program);
  throw new Error(
    `${program} is not here: run the tests with ./windlass test, or set WINDLASS_TEMPORAL_CLUSTER to its directory`,
  );
}

/** What makes a program see the date of `./windlass test --date`; nothing without that option. */
export function clockVariables(): Record<string, string> {
  const names = ['LD_PRELOAD', 'FAKETIME', 'FAKETIME_DONT_FAKE_MONOTONIC', 'NO_FAKE_STAT'];
  if (process.env['FAKETIME']) names.push('WINDLASS_CLOCK_OFFSET_SECONDS', 'NODE_OPTIONS');
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
