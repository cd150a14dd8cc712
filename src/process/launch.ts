import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { WindlassError } from '../model/index.ts';
import type { ConfinedCall, Isolation, View } from './isolation/index.ts';
import type { StopReason } from './ladder.ts';
import { inspect, processesRun } from './inspect.ts';
import { startLadder } from './ladder.ts';
import type { SignalScope, StopLadder } from './ladder.ts';
import { createRunDirectory, readExitCode, readHandled, runFiles } from './run-directory.ts';
import { startTool, StartUnknownError } from './starter.ts';
import { openTail } from './tail.ts';
import { wrapperArguments } from './wrapper.ts';

export type OutputStream = 'stdout' | 'stderr';

export interface WatchOptions {
  /** Private directory of this one run; must not exist before `launch`. */
  readonly directory: string;
  /** Called with text as it comes; `fresh` is false for what another worker has already handed on. */
  readonly onOutput: (stream: OutputStream, text: string, fresh: boolean) => void;
  /** Told what happens to the tool, in words for the log. */
  readonly onNotice: (text: string) => void;
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
  readonly ladder: StopLadder;
  readonly scope: SignalScope;
  /** The tool is stopped with the reason `timeout` after this time. */
  readonly timeoutMs: number;
}

export interface LaunchOptions extends WatchOptions {
  /** Names the run, so that nobody takes another's end for its own. */
  readonly id: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment of the tool. */
  readonly env: Readonly<Record<string, string>>;
  /** What keeps it from the rest of the machine; nothing when absent. */
  readonly sandbox?: Sandbox | undefined;
}

export interface Sandbox {
  readonly isolation: Isolation;
  readonly view: View;
}

export interface ProcessEnd {
  /** Null when it was killed together with its wrapper, so that nobody could write it down. Above 128: ended by a signal. */
  readonly code: number | null;
  /** Why it was stopped; null when it ended by itself. */
  readonly stopped: StopReason | null;
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/** Thrown when the worker leaves and the tool goes on, or may do so; another try adopts it. */
export class LeftRunningError extends Error {
  readonly directory: string;

  constructor(directory: string) {
    super('the tool was left running, because this worker stops');
    this.name = 'LeftRunningError';
    this.directory = directory;
  }
}

function stopReason(signal: AbortSignal): StopReason {
  const reason: unknown = signal.reason;
  return reason === 'abort' || reason === 'timeout' || reason === 'shutdown' ? reason : 'cancel';
}

const fastestPollMs = 40;
const slowestPollMs = 250;
/** How often it is written down how much output was handed on, at most. */
const handledEveryMs = 1000;

/** Follows the output of a run until `over` says that its processes have ended. */
async function watch(options: WatchOptions, over: Promise<unknown>): Promise<ProcessEnd> {
  const { directory, signal } = options;
  const files = runFiles(directory);
  const handled = readHandled(directory);
  const stdout = await openTail(files.stdout, handled.stdout, (text, fresh) => options.onOutput('stdout', text, fresh));
  const stderr = await openTail(files.stderr, handled.stderr, (text, fresh) => options.onOutput('stderr', text, fresh));
  let ended = false;
  let stopped: StopReason | null = null;
  let endLadder: (() => void) | undefined;
  let wake: (() => void) | undefined;
  const stop = (reason: StopReason): void => {
    if (stopped !== null || ended) return;
    stopped = reason;
    if (reason === 'shutdown') wake?.();
    else endLadder = startLadder({ ...options, reason });
  };
  const onAbort = (): void => stop(stopReason(signal));
  const timeout = setTimeout(() => stop('timeout'), Math.min(Math.max(options.timeoutMs, 0), 2 ** 31 - 1));
  let failure: Error | undefined;
  const end = (): void => {
    ended = true;
    wake?.();
  };
  over.then(end, (error: Error) => {
    failure = error;
    end();
  });
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    let pollMs = fastestPollMs;
    let writtenAtMs = Date.now();
    while (!ended && stopped !== 'shutdown') {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pollMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (ended) break;
      const any = (await stdout.read()) || (await stderr.read());
      pollMs = any ? fastestPollMs : Math.min(pollMs * 1.5, slowestPollMs);
      if (any && Date.now() - writtenAtMs >= handledEveryMs) {
        writtenAtMs = Date.now();
        await stderr.read();
        await writeFile(files.handled, `${stdout.position} ${stderr.position}\n`, { mode: 0o600 });
      }
    }
    if (!ended) {
      await writeFile(files.handled, `${stdout.position} ${stderr.position}\n`, { mode: 0o600 });
      throw new LeftRunningError(directory);
    }
    if (failure !== undefined) throw failure;
    await stdout.finish();
    await stderr.finish();
    return { code: readExitCode(directory), stopped, stdoutPath: files.stdout, stderrPath: files.stderr };
  } finally {
    endLadder?.();
    clearTimeout(timeout);
    signal.removeEventListener('abort', onAbort);
    await stdout.close();
    await stderr.close();
  }
}

/**
 * Starts a tool so that it outlives this process, and follows it to its end. Its output lies in files that grow as
 * long as it prints; they are read in small pieces and never held in memory.
 * Throws LeftRunningError when the signal says `shutdown`.
 */
export async function launch(options: LaunchOptions): Promise<ProcessEnd> {
  const { directory, argv, cwd } = options;
  if (options.signal.aborted) {
    if (stopReason(options.signal) === 'shutdown') throw new LeftRunningError(directory);
    return { code: null, stopped: stopReason(options.signal), stdoutPath: '', stderrPath: '' };
  }
  const way = options.sandbox?.isolation.way ?? 'off';
  const { token } = createRunDirectory(directory, options.id, way);
  const files = runFiles(directory);
  const confined = await confine(options);
  const { over } = await startTool({
    command: '/bin/sh',
    args: wrapperArguments({ ...confined, directory, token, way }),
    cwd,
    env: confined.env,
    stdout: files.stdout,
    stderr: files.stderr,
  }).catch((error: unknown) => {
    // If it runs after all, another try finds it by its run directory.
    throw error instanceof StartUnknownError ? new LeftRunningError(directory) : cannotStart(argv, error);
  });
  // The shell may be killed before the tool, and a killed sandbox takes a moment to end.
  return watch(
    options,
    over.then(() => waitUntilOver(directory, 20)),
  );
}

async function waitUntilOver(directory: string, everyMs: number): Promise<void> {
  while (processesRun(directory)) await new Promise((resolve) => setTimeout(resolve, everyMs));
}

async function confine({ directory, argv, cwd, env, sandbox }: LaunchOptions): Promise<ConfinedCall> {
  if (sandbox === undefined) return { argv, env, user: null };
  const { temporary, environment } = runFiles(directory);
  return sandbox.isolation.confine({ argv, cwd, env, temporary, environmentFile: environment }, sandbox.view);
}

function cannotStart(argv: readonly string[], cause: unknown): WindlassError {
  return new WindlassError('internal', `could not start ${argv[0] ?? 'the tool'}`, {
    cause,
    class: 'tool',
    hint: 'See that /bin/sh and the work directory are there and that this machine is not out of processes.',
  });
}

/** Follows a tool that another process has started, from the start of its output, to its end. */
export async function adopt(options: WatchOptions): Promise<ProcessEnd> {
  let stopWaiting = false;
  const over = (async () => {
    while (!stopWaiting && readExitCode(options.directory) === null && processesRun(options.directory)) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    return await watch(options, over);
  } finally {
    stopWaiting = true;
  }
}

/** Stops a run that another process has started and waits for its end. Nothing to stop is fine. */
export async function stopRun(options: {
  readonly directory: string;
  readonly ladder: StopLadder;
  readonly onNotice: (text: string) => void;
}): Promise<void> {
  const { directory } = options;
  if ((await inspect(directory)).kind !== 'running') return;
  const endLadder = startLadder({ ...options, scope: 'tool', reason: 'abort' });
  try {
    await waitUntilOver(directory, 50);
  } finally {
    endLadder();
  }
}

/** Whole output of an ended run. Only for output that is known to be small or needed at once. */
export function readOutput(directory: string, stream: OutputStream): string {
  return readFileSync(runFiles(directory)[stream], 'utf8');
}
