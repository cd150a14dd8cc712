/** Calls of a tool as processes in its work directory: one of a name at a time, followed to their end by whoever is there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Stage } from '../model/index.ts';
import { adopt, inspect, launch, readRecord, removeRunDirectory, stopRun } from '../process/index.ts';
import type { ProcessEnd, Sandbox, SignalScope, StopLadder, WatchOptions } from '../process/index.ts';
import { ToolError } from './runner.ts';
import type { CrashEvidence, Recovery, StackRun } from './runner.ts';

/** A process that only reads is not asked for long. */
const shortLadder: StopLadder = { interruptMs: 5000, terminateMs: 2000 };

export interface Follower {
  readonly onOutput: WatchOptions['onOutput'];
  readonly ladder: StopLadder;
  readonly scope: SignalScope;
}

export interface Call {
  /** Of its run directory. */
  readonly name: string;
  /** For people: `call of the tool`. */
  readonly what: string;
  /** Entered before the process starts; null when the call before has done so. */
  readonly stage: Stage | null;
  /** Resources may be changed by it. */
  readonly changes: boolean;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly sandbox: Sandbox;
}

export function runDirectory(run: Pick<StackRun, 'workDirectory'>, name: string): string {
  return join(run.workDirectory, `run-${name}`);
}

function watchOptions(run: StackRun, name: string, follower: Follower): WatchOptions {
  return {
    ...follower,
    directory: runDirectory(run, name),
    onNotice: (text) => run.log(`${text}\n`),
    signal: run.signal,
    timeoutMs: run.timeoutMs,
  };
}

/** Makes place for a call. Throws when a process of the last one of this name still runs. */
export async function clearCall(run: StackRun, { name, what }: Pick<Call, 'name' | 'what'>): Promise<void> {
  const directory = runDirectory(run, name);
  if ((await inspect(directory)).kind === 'running') {
    throw new ToolError(
      {
        class: 'lock',
        message: `an earlier ${what} for this environment still runs (${readRecord(directory)?.id ?? 'unknown'})`,
        hint: 'Wait for its end, or stop it.',
      },
      false,
    );
  }
  await removeRunDirectory(directory);
}

/**
 * Starts a call, for which place was made, and follows it to its end, whatever that is. What lies in its run directory stays
 * until the next call of this name. Throws LeftRunningError when this worker leaves first.
 */
export async function startCall(run: StackRun, call: Call, follower: Follower): Promise<ProcessEnd> {
  const { name, stage, changes, argv, cwd, env, sandbox } = call;
  if (stage !== null) await run.enter(stage, { changes });
  return launch({ ...watchOptions(run, name, follower), id: run.id, argv, cwd, env, sandbox });
}

/** Follows a call that another worker has started, or reads one that has ended unseen. */
export function followCall(run: StackRun, name: string, follower: Follower): Promise<ProcessEnd> {
  const startedAtMs = readRecord(runDirectory(run, name))?.startedAtMs ?? Date.now();
  const timeoutMs = Math.max(0, startedAtMs + run.timeoutMs - Date.now());
  return adopt({ ...watchOptions(run, name, follower), timeoutMs });
}

/** What a tool knows of its own calls when one has ended unseen. */
export interface RecoveringTool {
  /** Names of calls that only read: what is left of them is stopped, and done again when it is needed. */
  readonly readers: readonly string[];
  /** How such a call is named in the log. */
  readonly describeReader: (name: string) => string;
  /** Name of the call that may have changed something. */
  readonly changer: string;
  /** What still runs, for the log: `The tool`. */
  readonly what: string;
  /** The call can be followed to its end here, or has ended here. Throws a ToolError when it has failed. */
  readonly conclude: () => Promise<Recovery>;
  /** It is proven over, and nobody has written down how. */
  readonly killed: (startedAtMs: number) => Promise<Recovery>;
  /** It ran where this process cannot look. */
  readonly onOtherHost: (host: string | null) => Recovery | Promise<Recovery>;
}

/** Finds out what a call that ended unseen has done; see StackRunner.recover. */
export async function recoverCall(run: StackRun, evidence: CrashEvidence, tool: RecoveringTool): Promise<Recovery> {
  for (const name of tool.readers) {
    await stopRun({
      directory: runDirectory(run, name),
      ladder: shortLadder,
      onNotice: (text) => run.log(`${tool.describeReader(name)}: ${text}\n`),
    });
  }
  if (!evidence.changes) return { kind: 'clean' };
  const directory = runDirectory(run, tool.changer);
  const startedAtMs = readRecord(directory)?.startedAtMs ?? 0;
  const found = await inspect(directory, run.id);
  switch (found.kind) {
    case 'running':
      run.log(`${tool.what} still runs; waiting for its end.\n`);
      return tool.conclude();
    case 'exited':
      return tool.conclude();
    case 'vanished':
      return tool.killed(startedAtMs);
    case 'elsewhere':
      return tool.onOtherHost(found.host);
    case 'none':
      // The record is written before the tool is started, in a directory that was made before the stage was entered.
      if (evidence.sameHost && existsSync(run.workDirectory)) return { kind: 'clean' };
      return tool.onOtherHost(null);
  }
}
