import type { Stage } from '../../model/index.ts';
import { ToolError } from '../runner.ts';
import type { HeldLock, StackRun } from '../runner.ts';
import { readOutput, removeRunDirectory } from '../../process/index.ts';
import type { ProcessEnd, Sandbox, StopLadder, WatchOptions } from '../../process/index.ts';
import { clearCall, followCall, runDirectory, startCall } from '../calls.ts';
import type { Call } from '../calls.ts';
import { createEventReader } from './events.ts';
import type { ToolReport } from './events.ts';
import { describeFailure } from '../failures.ts';
import type { Failure } from '../failures.ts';
import { sandboxOf } from '../sandbox.ts';
import { providerStaging } from './session.ts';
import type { Session } from './session.ts';

const what = 'call of the tool';

/** What a call of the tool ended with. */
export interface Invocation {
  readonly code: number | null;
  readonly report: ToolReport;
  readonly failure: Failure;
  /** It was killed, and its lock could not be seen to be free. */
  readonly held?: HeldLock;
}

export interface InvokeOptions {
  readonly stage: Stage;
  readonly args: readonly string[];
  /** Resources may be changed by it. */
  readonly changes?: boolean;
  /** False when the stage was entered by the call before. */
  readonly enter?: boolean;
  /** False keeps the output out of the log. */
  readonly log?: boolean;
  /** Name of the run directory; the stage's when absent. */
  readonly name?: string;
}

/** The end of the output that is not JSON, enough to find errors in. */
const keptText = 64 * 1024;

interface Collector {
  readonly onOutput: WatchOptions['onOutput'];
  end(end: ProcessEnd): Invocation;
}

function collector(run: StackRun, stage: string, log: boolean): Collector {
  let text = '';
  const say = (line: string) => {
    if (log) run.log(line);
  };
  const keep = (line: string) => {
    text = (text + line).slice(-keptText);
  };
  const reader = createEventReader({
    onText: (line) => {
      keep(line);
      say(line);
    },
    onProgress: run.progress,
  });
  return {
    onOutput(stream, piece, fresh) {
      if (stream === 'stdout') return reader.write(piece, fresh);
      keep(piece);
      if (fresh) say(piece);
    },
    end(end) {
      const report = reader.end();
      const failure = { diagnostics: report.diagnostics, text, code: end.code, stopped: end.stopped, stage };
      return { code: end.code, report, failure };
    },
  };
}

/** Only `init` puts providers in place; what other calls could put there, other stacks would run. */
async function sandboxFor(session: Session, stage: Stage): Promise<Sandbox> {
  const { run, toolPath, shown } = session;
  const staging = providerStaging(session);
  const read = [toolPath, ...shown];
  return stage === 'init' ? sandboxOf(run, { read, write: [staging] }) : sandboxOf(run, { read: [...read, staging] });
}

/** Runs the tool once. Never throws because of how it ended; its run directory stays until the next call. */
export async function invoke(session: Session, options: InvokeOptions): Promise<Invocation> {
  const { run, ladder } = session;
  const { stage, args, changes = false, enter = true, log = true, name = stage } = options;
  // Before the stage is entered: what lies here afterwards is certainly of this call.
  await clearCall(run, { name, what });
  const collect = collector(run, stage, log);
  const call: Call = {
    ...{ name, what, changes },
    stage: enter ? stage : null,
    argv: [session.toolPath, ...args],
    cwd: session.directory,
    env: session.environment,
    sandbox: await sandboxFor(session, stage),
  };
  return collect.end(await startCall(run, call, { onOutput: collect.onOutput, ladder, scope: 'tool' }));
}

/** Runs the tool for its standard output. */
export async function invokeForText(session: Session, options: InvokeOptions): Promise<string> {
  const name = options.name ?? options.stage;
  const invocation = await invoke(session, { ...options, log: false });
  if (invocation.code !== 0) throw toToolError(session, invocation, false);
  const text = readOutput(runDirectory(session.run, name), 'stdout');
  await removeRunDirectory(runDirectory(session.run, name));
  return text;
}

/** Follows a call that another worker has started, or reads one that has ended unseen. */
export async function follow(run: StackRun, ladder: StopLadder, stage: Stage): Promise<Invocation> {
  const collect = collector(run, stage, true);
  return collect.end(await followCall(run, stage, { onOutput: collect.onOutput, ladder, scope: 'tool' }));
}

/** It had no chance to save its state and free its lock. */
export function wasKilled(invocation: Invocation): boolean {
  return invocation.code === null || invocation.code > 128;
}

/** Somebody else than Windlass has killed it, such as the system when memory runs out. */
export const endedFromOutside = (invocation: Invocation): boolean =>
  wasKilled(invocation) && invocation.failure.stopped === null;

/** A tool saves its state after each resource: one that it was making when it was killed may exist all the same. */
const unsaved: HeldLock = { reason: 'what it made last may be in no state', lockId: null };

/** The error of a call that did not end well. */
export function toToolError(
  session: Pick<Session, 'managed' | 'run'>,
  invocation: Invocation,
  mayHaveChanged: boolean,
): ToolError {
  const { report, failure, code } = invocation;
  // A tool says that it begins with a resource before it does, so without such a word nothing was changed.
  const changed = mayHaveChanged && (report.applyStarted || (code === null && failure.stopped === null));
  const cutOff = mayHaveChanged && endedFromOutside(invocation) ? unsaved : null;
  return new ToolError(
    describeFailure(failure, { managed: session.managed, directory: session.run.path }),
    changed || cutOff !== null,
    invocation.held ?? cutOff,
  );
}
