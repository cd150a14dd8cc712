import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sandbox } from '../process/index.ts';
import type { StackRun } from './runner.ts';

/** What a tool and its worker hand each other besides the code: plans, outputs, exported variables. */
export function exchangeDirectory(run: Pick<StackRun, 'workDirectory'>): string {
  return join(run.workDirectory, 'exchange');
}

/**
 * What every tool of a run may use: its code with what lies beside that, what it hands over, and a home directory of its
 * own. Not the work directory itself, where the worker notes which processes are its own and what it has copied.
 */
export async function sandboxOf(
  run: StackRun,
  more: { readonly read?: readonly string[]; readonly write?: readonly string[] } = {},
): Promise<Sandbox> {
  const home = join(run.workDirectory, 'home');
  const write = [join(run.workDirectory, 'tree'), exchangeDirectory(run), ...(more.write ?? [])];
  for (const path of [home, ...write]) await mkdir(path, { recursive: true, mode: 0o700 });
  return {
    isolation: run.isolation,
    view: { read: [run.sourceDirectory, ...(more.read ?? [])], write, home },
  };
}
