import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WindlassError } from '../../model/index.ts';
import type { RunnerOptions } from '../options.ts';
import { defaultLadder } from '../../process/index.ts';
import type { StopLadder } from '../../process/index.ts';
import type { StackRun } from '../runner.ts';
import { findTool } from '../find-tool.ts';
import { stackDirectory } from '../work-tree.ts';
import { opentofu } from './definition.ts';
import { programOf } from './programs.ts';
import type { ToolName } from './programs.ts';
import { providerCache } from './provider-cache.ts';
import { readStackFacts } from './stack-facts.ts';
import type { StackFacts } from './stack-facts.ts';

/** Name of the file that says that Windlass keeps the state; by its name it wins over a backend in the code. */
export const backendFile = 'windlass_backend_override.tf';
/** Its names in earlier versions of Windlass, which may still lie in a work directory and would count as the stack's own. */
export const formerBackendFiles = ['windlass_backend.tf'] as const;
/** What stands in it: all settings come from the environment, so it is the same for every stack. */
export const backendText = 'terraform {\n  backend "http" {}\n}\n';
/** Sorts behind other `.auto.tfvars` files, so that Windlass's values win. */
export const variablesName = 'zz-windlass.auto.tfvars.json';

/** Everything a call of the tool needs to know about the stack. */
export interface Session {
  readonly run: StackRun;
  readonly tool: ToolName;
  readonly toolPath: string;
  /** Private copy of the stack's directory, in which the tool runs. */
  readonly directory: string;
  readonly facts: StackFacts;
  /** Windlass keeps the state. */
  readonly managed: boolean;
  readonly environment: Readonly<Record<string, string>>;
  readonly cacheDirectory: string;
  /** What the tool reads of this machine besides its own: settings and providers. Never what variables name. */
  readonly shown: readonly string[];
  readonly ladder: StopLadder;
}

/** Variables of the tools that would lead them away from what a session relies on. */
const ours = [
  'TF_DATA_DIR',
  'TF_CLI_CONFIG_FILE',
  'TF_PLUGIN_CACHE_DIR',
  'TF_INPUT',
  'TF_IN_AUTOMATION',
  'TERRAFORM_CONFIG',
];

/** Providers, and what `init` writes. */
const cacheOf = ({ cacheDirectory }: RunnerOptions): string => join(cacheDirectory, opentofu.cache ?? '');

function cliConfigFile(options: RunnerOptions): string {
  const named = options.paths?.['WINDLASS_TF_CLI_CONFIG'];
  if (named !== undefined) return named;
  const cacheDirectory = cacheOf(options);
  const path = join(cacheDirectory, 'cli.tfrc');
  const text = 'disable_checkpoint = true\n';
  try {
    if (readFileSync(path, 'utf8') === text) return path;
  } catch {
    mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 });
  }
  writeFileSync(path, text, { mode: 0o644 });
  return path;
}

/** Mirrors of providers on this machine, to which the shared providers may be links. */
function mirrorsIn(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/filesystem_mirror\s*\{[^}]*?\bpath\s*=\s*"([^"]+)"/g)].flatMap(([, path]) => path ?? []);
}

function shownBy(options: RunnerOptions): string[] {
  const file = cliConfigFile(options);
  return [file, providerCache(cacheOf(options), '').shared, ...mirrorsIn(file)];
}

/** Whether `init` runs code of the stack: a program that encrypts its state and plans. */
export function runsCodeInInit({ facts, environment }: Pick<Session, 'facts' | 'environment'>): boolean {
  return facts.encrypts || environment['TF_ENCRYPTION'] !== undefined;
}

/**
 * Directory in which `init` finds and puts providers; see provider-cache.ts. Where code of the stack can put something there,
 * it is one of its own, from which nothing is shared.
 */
export function providerStaging(session: Pick<Session, 'facts' | 'environment' | 'run'>): string {
  return runsCodeInInit(session) ? ownProviders(session.run) : join(session.run.workDirectory, 'providers');
}

/** Where providers lie that code of the stack may have put there. */
export function ownProviders(run: StackRun): string {
  return join(run.workDirectory, 'own-providers');
}

/**
 * A restart of the API takes a minute at most; the waits are 1, 2, 4, 8, then 10 seconds, about three minutes in all.
 * Only missing answers and server errors are tried again: a lock that somebody holds is refused at once.
 */
const patience = { TF_HTTP_RETRY_MAX: '20', TF_HTTP_RETRY_WAIT_MIN: '1', TF_HTTP_RETRY_WAIT_MAX: '10' };

function toolEnvironment(
  run: StackRun,
  options: RunnerOptions,
  facts: StackFacts,
  managed: boolean,
): Record<string, string> {
  const environment: Record<string, string> = { ...run.environment };
  for (const name of ours) delete environment[name];
  Object.assign(environment, {
    TF_CLI_CONFIG_FILE: run.environment['TF_CLI_CONFIG_FILE'] ?? cliConfigFile(options),
    TF_IN_AUTOMATION: '1',
    TF_INPUT: '0',
    CHECKPOINT_DISABLE: '1',
  });
  // A tool without providers lives for milliseconds with little memory: collecting garbage is a third of its work.
  if (facts.selfContained) environment['GOGC'] ??= '800';
  if (!managed || run.state === null) return environment;
  const { address, username, password } = run.state;
  delete environment['TF_WORKSPACE'];
  return {
    ...patience,
    ...environment,
    TF_HTTP_ADDRESS: address,
    TF_HTTP_LOCK_ADDRESS: address,
    TF_HTTP_UNLOCK_ADDRESS: address,
    TF_HTTP_LOCK_METHOD: 'LOCK',
    TF_HTTP_UNLOCK_METHOD: 'UNLOCK',
    TF_HTTP_UPDATE_METHOD: 'POST',
    TF_HTTP_USERNAME: username,
    TF_HTTP_PASSWORD: password,
  };
}

/**
 * A `local` backend without a place outside would keep its state in a directory of this worker, where plans, drift checks
 * and other workers do not find it, so it counts as none. One that is told its place when `init` is called has one.
 */
function ownBackend(facts: StackFacts, run: StackRun): StackFacts {
  if (!facts.besideCode || run.state === null) return facts;
  const given = `${run.environment['TF_CLI_ARGS'] ?? ''} ${run.environment['TF_CLI_ARGS_init'] ?? ''}`;
  return given.includes('-backend-config') ? facts : { ...facts, backend: null };
}

/** The session after its run was stopped: what has to be done all the same is not stopped too. */
export function withoutAbort(session: Session): Session {
  return { ...session, run: { ...session.run, signal: new AbortController().signal, timeoutMs: 300_000 } };
}

/** Reads what lies in the work directory. `prepare` must have been there. */
export async function openSession(run: StackRun, options: RunnerOptions): Promise<Session> {
  const tool = programOf(run.type);
  const toolPath = await findTool(options.tools, tool, run);
  const directory = stackDirectory(run);
  const facts = ownBackend(readStackFacts(directory, tool, backendFile), run);
  if (!facts.hasFiles) {
    throw new WindlassError(
      'invalidDefinition',
      `the directory "${run.path}" has no ${tool === 'tofu' ? '.tf or .tofu' : '.tf'} files`,
      {
        class: 'definition',
        hint: 'Correct the path of the template, or push the files to the revision it uses.',
      },
    );
  }
  const managed = facts.backend === null && run.state !== null;
  return {
    run,
    tool,
    toolPath,
    directory,
    facts,
    managed,
    environment: toolEnvironment(run, options, facts, managed),
    cacheDirectory: cacheOf(options),
    shown: shownBy(options),
    ladder: options.ladder ?? defaultLadder,
  };
}
