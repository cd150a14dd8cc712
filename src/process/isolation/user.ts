import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, statSync } from 'node:fs';
import { chmod, lchown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { plainEnvironment } from './isolation.ts';
import type { Isolation } from './isolation.ts';
import { liesIn } from './machine.ts';

/** Far from the numbers that systems and directories of people give out. */
const firstUser = 1_500_000_000;
const users = 500_000_000;

/** A user for each work directory, so that stacks cannot read each other's. */
function userOf(workDirectory: string): number {
  return firstUser + (createHash('sha256').update(workDirectory).digest().readUInt32BE(0) % users);
}

/** `setpriv` up to the program: another user, no group, no way back. */
function setprivArguments(program: string, user: number): string[] {
  const id = String(user);
  return [
    ...[program, '--reuid', id, '--regid', id, '--clear-groups'],
    ...['--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'],
  ];
}

/** Gives a file, or a directory and what is in it to a user; links themselves, not what they lead to. */
export async function chownTree(user: number, path: string): Promise<void> {
  await lchown(path, user, user);
  if (!lstatSync(path).isDirectory()) return;
  for (const name of await readdir(path)) await chownTree(user, join(path, name));
}

/** Variables that no shell lets itself be told. */
const fixed = new Set(['UID', 'EUID', 'PPID', 'BASHOPTS', 'SHELLOPTS', 'BASH_VERSINFO']);

/** The environment as a shell reads it from a file. */
function settings(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !fixed.has(name))
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');
}

const forOthersToPass = 0o001;

/** Lets others pass through directories of ours on the way to a path, not look into them. Answers where they cannot pass. */
async function openWay(path: string, ours: readonly string[]): Promise<string | null> {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) {
    const { mode } = statSync(at);
    if ((mode & forOthersToPass) !== 0) continue;
    if (!ours.some((directory) => liesIn(at, directory))) return at;
    await chmod(at, (mode & 0o777) | 0o011);
  }
  return null;
}

export interface UserOptions {
  /** Data directory and cache, which nobody else has business with. */
  readonly hidden: readonly string[];
  /** Directories in them in which tools work. */
  readonly directories: readonly string[];
  /** The data directory holds the database and the keys as well. */
  readonly embedded: boolean;
}

/** Answers why it cannot be used when it cannot. */
export async function tryUser(program: string, options: UserOptions): Promise<Isolation | string> {
  const { hidden, directories } = options;
  if (process.getuid?.() !== 0) return 'only root can give tools a user of their own';
  // The way to the work directories would lead others through it.
  if (options.embedded) return 'it is for workers alone, whose data directory holds nothing but work directories';
  try {
    const { stdout } = await promisify(execFile)(program, [
      ...setprivArguments(program, firstUser).slice(1),
      'id',
      '-u',
    ]);
    if (stdout.trim() !== String(firstUser)) return `${program} does not change the user`;
  } catch (error) {
    return (error as Error).message;
  }
  for (const directory of directories) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const closed = await openWay(join(directory, 'any'), hidden);
    if (closed !== null) return `users of tools cannot reach ${directory}: ${closed} is closed to them`;
  }
  return {
    way: 'user',
    note: null,
    async confine({ argv, env, temporary, environmentFile }, view) {
      const workDirectory = dirname(view.home);
      const user = userOf(workDirectory);
      const text = settings({ ...env, HOME: view.home, TMPDIR: temporary });
      await writeFile(environmentFile, text, { mode: 0o600 });
      for (const path of [environmentFile, temporary, view.home, ...view.write]) {
        await openWay(path, hidden);
        await chownTree(user, path);
      }
      for (const path of view.read.filter((one) => existsSync(one))) {
        await openWay(path, hidden);
        if (liesIn(path, workDirectory)) await chownTree(0, path);
      }
      const argvInside = ['/bin/sh', '-c', '. "$1"; shift; exec "$@"', 'windlass-inside', environmentFile, ...argv];
      return { argv: [...setprivArguments(program, user), ...argvInside], env: plainEnvironment, user };
    },
  };
}
