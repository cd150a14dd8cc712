import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { plainEnvironment } from './isolation.ts';
import type { Isolation, StackPath } from './isolation.ts';
import { findSystemDirectories, kernelControls, liesIn, programDirectories, realPath, systemFiles } from './machine.ts';

export interface BubblewrapOptions {
  /** Where programs are looked for. */
  readonly path: string;
  readonly home: string | undefined;
  readonly stackPaths: readonly StackPath[];
  /** Files and directories of Windlass's own, which no stack sees, also where they lie in a directory that is shown. */
  readonly hidden: readonly string[];
}

/**
 * A tool becomes the child of a shell that is the first process of its own process namespace: when that shell ends, the
 * kernel ends everything that the tool has left behind. A first process hears signals only when it wants to, so the tool
 * is not it. The session is its own, so that the tool's signals to its group reach nobody else.
 */
const inside = ['/bin/sh', '-c', 'trap : INT TERM HUP; "$@"; exit $?', 'windlass-inside'];

const namespaces = ['--unshare-pid', '--unshare-ipc', '--new-session', '--as-pid-1', '--cap-drop', 'ALL'];

/** Strongest first: older versions and some containers do not have all of it. */
const strengths = [['--unshare-user', '--disable-userns'], ['--unshare-user'], []] as const;

const readOnly = (path: string): string[] => ['--ro-bind-try', path, path];

/** System, devices and processes, as every tool sees them. */
function systemArguments(): string[] {
  return [
    ...findSystemDirectories().flatMap(({ path, target }) =>
      target === null ? readOnly(path) : ['--symlink', target, path],
    ),
    ...systemFiles.flatMap(readOnly),
    ...['--proc', '/proc', ...kernelControls.flatMap(readOnly), '--dev', '/dev'],
    ...['--dir', '/run', '--dir', '/var', '--symlink', '../tmp', '/var/tmp'],
  ];
}

const bind = ({ path, writable }: StackPath): string[] => [writable ? '--bind-try' : '--ro-bind-try', path, path];

function hide(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return [];
  return found.isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path];
}

/** What the machine's operator shows to all stacks, and what is hidden of it. */
function sharedArguments({ path, stackPaths, hidden }: BubblewrapOptions): string[] {
  const secret = [...new Set(hidden.flatMap((one) => [one, realPath(one)]))];
  const programs = programDirectories(path, secret);
  const shown = [...findSystemDirectories().map((one) => one.path), ...programs, ...stackPaths.map((one) => one.path)];
  const isSecret = (one: StackPath): boolean => secret.some((directory) => liesIn(one.path, directory));
  return [
    ...programs.flatMap(readOnly),
    ...stackPaths.filter((one) => !isSecret(one)).flatMap(bind),
    ...secret.filter((one) => shown.some((directory) => liesIn(one, directory))).flatMap(hide),
    // Named by the operator one by one, so meant.
    ...stackPaths.filter(isSecret).flatMap(bind),
  ];
}

/** The environment as bwrap reads it from a file, so that no list of processes shows it. */
function settings(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .filter(([name]) => name !== 'TMPDIR')
    .map(([name, value]) => `--setenv\0${name}\0${value}\0`)
    .join('');
}

/** Home directories that can be put somewhere else. */
function homeOf(home: string | undefined): string | null {
  if (home === undefined || !home.startsWith('/') || home === '/') return null;
  return [...findSystemDirectories().map((one) => one.path), '/etc', '/proc', '/dev', '/tmp'].some((root) =>
    liesIn(home, root),
  )
    ? null
    : home;
}

async function works(program: string, args: readonly string[]): Promise<string | null> {
  try {
    await promisify(execFile)(program, [...args, '--', ...inside, 'true'], { timeout: 20_000, env: plainEnvironment });
    return null;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return (stderr ?? '').trim().split('\n').at(-1) || message;
  }
}

/** Answers why it cannot be used when it cannot. */
export async function tryBubblewrap(program: string, options: BubblewrapOptions): Promise<Isolation | string> {
  const system = systemArguments();
  const shared = sharedArguments(options);
  const home = homeOf(options.home);
  let reason = '';
  for (const strength of strengths) {
    const begin = [...strength, ...namespaces];
    const failure = await works(program, [...begin, ...system, '--tmpfs', '/tmp', ...shared]);
    reason ||= failure ?? '';
    if (failure !== null) continue;
    return {
      way: 'bubblewrap',
      note: null,
      async confine({ argv, cwd, env, temporary, environmentFile }, view) {
        await writeFile(environmentFile, settings(home === null ? { ...env, HOME: '/tmp' } : env), { mode: 0o600 });
        const args = [
          ...begin,
          // Opened by the shell around it: the first process of the namespace, and the environment.
          ...['--info-fd', '3', '--args', '4'],
          ...system,
          ...['--bind', temporary, '/tmp'],
          ...(home === null ? [] : ['--bind', view.home, home]),
          ...shared,
          ...[...new Set(view.read.flatMap((path) => [path, realPath(path)]))].flatMap(readOnly),
          ...view.write.flatMap((path) => ['--bind', path, path]),
          ...['--chdir', cwd, '--'],
        ];
        return { argv: [program, ...args, ...inside, ...argv], env: plainEnvironment, user: null };
      },
    };
  }
  return reason;
}
