import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { defaultLadder, launch } from './process/index.ts';
import { ToolError } from './runner.ts';
import type { StackRun } from './runner.ts';
import { stackDirectory } from './work-tree.ts';

/** One command of a custom flow. */
export interface Hook {
  readonly name: string;
  readonly command: string;
  readonly shell: 'sh' | 'bash';
  readonly environment: Readonly<Record<string, string>>;
}

const largestEnvironmentFile = 1024 * 1024;

/**
 * Runs a command in the stack's directory, as it was prepared by `prepare`, and answers the variables it wrote to
 * `$ENV0_ENV`, one `NAME=VALUE` a line. Throws a ToolError when it ends with anything but 0.
 */
export async function runHook(run: StackRun, hook: Hook, changedState: boolean): Promise<Record<string, string>> {
  const directory = join(run.workDirectory, 'hooks');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const call = randomUUID();
  const exported = join(directory, `${call}.env`);
  await writeFile(exported, '', { mode: 0o600 });
  const runDirectory = join(directory, call);
  try {
    const end = await launch({
      id: `${run.id}/${call}`,
      argv: [
        '/usr/bin/env',
        hook.shell,
        hook.shell === 'bash' ? '-euo' : '-eu',
        ...(hook.shell === 'bash' ? ['pipefail'] : []),
        '-c',
        hook.command,
      ],
      cwd: stackDirectory(run),
      env: { ...run.environment, ...hook.environment, ENV0_ENV: exported, WINDLASS_ENV: exported },
      directory: runDirectory,
      onOutput: (_, text) => run.log(text),
      onNotice: (text) => run.log(text),
      signal: run.signal,
      ladder: defaultLadder,
      scope: 'group',
      timeoutMs: run.timeoutMs,
    });
    if (end.code !== 0) {
      const stopped = end.stopped === null ? `failed with exit code ${end.code ?? 'unknown'}` : 'was stopped';
      throw new ToolError(
        {
          class: end.stopped === null ? 'tool' : end.stopped === 'timeout' ? 'timeout' : 'cancelled',
          message: `the custom flow "${hook.name}" ${stopped}`,
          hint: 'its output is in the log of the stage "hooks"',
        },
        changedState,
      );
    }
    return parseExports(readFileSync(exported, 'utf8').slice(0, largestEnvironmentFile));
  } finally {
    await rm(exported, { force: true });
    await rm(runDirectory, { recursive: true, force: true });
  }
}

function parseExports(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match?.[1] !== undefined) found[match[1]] = match[2] ?? '';
  }
  return found;
}
