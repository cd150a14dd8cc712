import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, LeftRunningError, readPlainFile, stopRun } from '../process/index.ts';
import type { StopLadder } from '../process/index.ts';
import { ToolError } from './runner.ts';
import type { StackRun } from './runner.ts';
import { exchangeDirectory, sandboxOf } from './sandbox.ts';
import { acceptChanges, buildWorkTree, filesIn, stackDirectory } from './work-tree.ts';

/** One command of a custom flow. */
export interface Hook {
  readonly name: string;
  readonly command: string;
  readonly shell: 'sh' | 'bash';
  readonly environment: Readonly<Record<string, string>>;
}

const largestEnvironmentFile = 1024 * 1024;
/** The end of what a command printed, of which its error shows the last line. */
const keptText = 4096;
const ladder: StopLadder = { interruptMs: 10_000, terminateMs: 5000 };

const directoryOf = (run: StackRun): string => join(run.workDirectory, 'hooks');

/** Ends commands that an earlier call for this environment left behind; nobody waits for them any more. */
export async function stopLeftHooks(run: StackRun): Promise<void> {
  let left: string[];
  try {
    left = readdirSync(directoryOf(run));
  } catch {
    return;
  }
  for (const name of left) {
    const directory = join(directoryOf(run), name);
    await stopRun({
      directory,
      ladder: { interruptMs: 5000, terminateMs: 2000 },
      onNotice: (text) => run.log(`A command of an earlier call: ${text}\n`),
    });
    await rm(directory, { recursive: true, force: true });
  }
}

/** Copies the stack anew with everything beside it, lets commands change it, and makes the tool take it as they leave it. */
export async function changeWorkTree(run: StackRun, change: () => Promise<void>): Promise<void> {
  await buildWorkTree(run, { pristine: true });
  const before = filesIn(run);
  await change();
  await acceptChanges(run, before);
}

/**
 * Runs a command in the stack's work tree and answers the variables it wrote to `$ENV0_ENV`, one `NAME=VALUE` a line.
 * Throws a ToolError when it ends with anything but 0, and LeftRunningError when the worker leaves: unlike a tool, a
 * command is ended then and runs again from its start.
 */
export async function runHook(run: StackRun, hook: Hook, changedState: boolean): Promise<Record<string, string>> {
  const directory = directoryOf(run);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const call = randomUUID();
  const sandbox = await sandboxOf(run);
  const exported = join(exchangeDirectory(run), `${call}.env`);
  await writeFile(exported, '', { mode: 0o600 });
  const runDirectory = join(directory, call);
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(leaves(run) ? 'abort' : run.signal.reason);
  run.signal.addEventListener('abort', onAbort);
  if (run.signal.aborted) onAbort();
  let text = '';
  try {
    const end = await launch({
      id: `${run.id}/${call}`,
      argv: [
        '/usr/bin/env',
        hook.shell,
        '-e',
        ...(hook.shell === 'bash' ? ['-o', 'pipefail'] : []),
        '-c',
        hook.command,
      ],
      cwd: stackDirectory(run),
      sandbox,
      env: { ...run.environment, ...hook.environment, ENV0_ENV: exported, WINDLASS_ENV: exported },
      directory: runDirectory,
      onOutput: (_, piece) => {
        text = (text + piece).slice(-keptText);
        run.log(piece);
      },
      onNotice: (notice) => run.log(`${notice}\n`),
      signal: stop.signal,
      ladder,
      scope: 'group',
      timeoutMs: run.timeoutMs,
    });
    if (leaves(run)) throw new LeftRunningError(runDirectory);
    if (end.code !== 0 || end.stopped !== null) throw failure(hook, end, text, changedState);
    return parseExports((readPlainFile(exported)?.toString('utf8') ?? '').slice(0, largestEnvironmentFile));
  } finally {
    run.signal.removeEventListener('abort', onAbort);
    await rm(exported, { recursive: true, force: true });
    await rm(runDirectory, { recursive: true, force: true });
  }
}

const leaves = (run: StackRun): boolean => run.signal.aborted && run.signal.reason === 'shutdown';

function failure(
  hook: Hook,
  end: { readonly code: number | null; readonly stopped: string | null },
  text: string,
  changedState: boolean,
): ToolError {
  const { code, stopped } = end;
  const last = text.trimEnd().split('\n').at(-1)?.trim() ?? '';
  const how = code === null ? 'was killed' : `ended with exit code ${code}`;
  const what =
    stopped === null
      ? `${how}${last === '' ? '' : `: ${last}`}`
      : stopped === 'timeout'
        ? 'took too long'
        : 'was stopped';
  return new ToolError(
    {
      class: stopped === null ? 'tool' : stopped === 'timeout' ? 'timeout' : 'cancelled',
      message: `the command "${hook.name}" of the custom flow ${what}`,
      hint: 'Its output is in the log of the stage "hooks".',
    },
    changedState,
  );
}

function parseExports(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*?)\r?$/.exec(line);
    if (match?.[1] !== undefined) found[match[1]] = match[2] ?? '';
  }
  return found;
}
