import { writeFileSync } from 'node:fs';
import { isRunning } from '../host/index.ts';
import { isAlive, toolIn } from './namespace.ts';
import { readIdentity, readNamespace, readRecord, runFiles } from './run-directory.ts';

/** Why a run is to stop. `shutdown`: the worker leaves and the tool may go on; another try adopts it. */
export type StopReason = 'abort' | 'cancel' | 'timeout' | 'shutdown';

/** How long each rung of stopping a tool lasts. */
export interface StopLadder {
  /** After the interrupt. Long, because a tool that is interrupted twice leaves without writing its state. */
  readonly interruptMs: number;
  /** After the terminate. */
  readonly terminateMs: number;
}

export const defaultLadder: StopLadder = { interruptMs: 60_000, terminateMs: 10_000 };

/** Whom the gentle signals go to. Scripts need `group`: a shell does not pass an interrupt on to what it runs. */
export type SignalScope = 'tool' | 'group';

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function signalRun(directory: string, scope: SignalScope, signal: NodeJS.Signals): boolean {
  if (readRecord(directory)?.isolation === 'bubblewrap') return signalInside(directory, scope, signal);
  return signalOutside(directory, scope, signal);
}

/**
 * What is known as the tool is bwrap then, which would end on a signal and leave the tool running: a signal is for what it
 * runs. A kill is for both, and the outer ones first, so that nobody writes down an exit code.
 */
function signalInside(directory: string, scope: SignalScope, signal: NodeJS.Signals): boolean {
  const namespace = readNamespace(directory);
  const alive = namespace !== null && isAlive(namespace);
  if (signal === 'SIGKILL') {
    const outside = signalOutside(directory, 'group', signal);
    return (alive && send(namespace.first, signal)) || outside;
  }
  if (!alive) return false;
  const tool = toolIn(namespace);
  if (tool === null) return false;
  // The first process leads the session of the tool.
  return scope === 'tool' ? send(tool, signal) : send(-namespace.first, signal);
}

function signalOutside(directory: string, scope: SignalScope, signal: NodeJS.Signals): boolean {
  const tool = readIdentity(directory, 'tool');
  const wrapper = readIdentity(directory, 'wrapper');
  const toolRuns = tool !== null && isRunning(tool);
  if (scope === 'tool' && toolRuns) return send(tool.pid, signal);
  // The group has the wrapper's number and exists as long as one of the two runs.
  if (wrapper !== null && (toolRuns || isRunning(wrapper))) return send(-wrapper.pid, signal);
  return false;
}

export interface LadderOptions {
  readonly directory: string;
  readonly scope: SignalScope;
  readonly ladder: StopLadder;
  readonly reason: StopReason;
  /** Told about each rung, in words for the log. */
  readonly onNotice: (text: string) => void;
}

const because: Readonly<Record<StopReason, string>> = {
  abort: 'the run is aborted',
  cancel: 'the run is cancelled',
  timeout: 'its time is up',
  shutdown: 'this worker stops',
};

/** For the wrapper. A directory that is gone has none any more. */
function markStopped(directory: string): void {
  try {
    writeFileSync(runFiles(directory).stopped, '', { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Starts to stop a tool. Answers a function that ends the ladder once the tool is over. */
export function startLadder(options: LadderOptions): () => void {
  const { directory, scope, ladder, onNotice } = options;
  let timer: NodeJS.Timeout | undefined;
  const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;
  // A tool that is just being started may not have written itself down; it is asked again until it can be reached.
  const interrupt = (attempt: number): void => {
    if (!signalRun(directory, scope, 'SIGINT') && attempt < 20) {
      timer = setTimeout(() => interrupt(attempt + 1), 50);
      return;
    }
    onNotice(`Interrupted, because ${because[options.reason]}; it has ${seconds(ladder.interruptMs)} to end well.`);
    timer = setTimeout(terminate, ladder.interruptMs);
  };
  const terminate = (): void => {
    onNotice(`Terminated, because it did not end; it has ${seconds(ladder.terminateMs)} left.`);
    signalRun(directory, scope, 'SIGTERM');
    timer = setTimeout(kill, ladder.terminateMs);
  };
  const kill = (): void => {
    onNotice('Killed, because it did not end when terminated.');
    signalRun(directory, 'group', 'SIGKILL');
  };
  markStopped(options.directory);
  interrupt(0);
  return () => clearTimeout(timer);
}
