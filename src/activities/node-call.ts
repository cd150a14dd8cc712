import type { LogWriter } from '../artifacts/index.ts';
import type { Masker } from '../access/index.ts';
import type { NodeSnapshot, RunNodeInput } from '../model/index.ts';
import type { StackRun, StackRunner } from '../runners/index.ts';
import { endNode } from '../store/index.ts';
import type { NodeBegin, NodeEnding, NodeKey } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import type { NodeFlow } from './node-hooks.ts';
import type { NodeValues } from './node-inputs.ts';

/** What the recovery has found that later stages of the same call write down with their own evidence. */
export interface CrashNotes {
  /** Stage of a change that was cut off; it stays on record until the next change begins. */
  cutOff: string | null;
}

/** One call of the tool for one node, from its first record to its last. Everything in it may be repeated after a crash. */
export interface NodeCall {
  readonly deps: ActivityDeps;
  readonly input: RunNodeInput;
  readonly key: NodeKey;
  readonly begin: NodeBegin;
  readonly snapshot: NodeSnapshot;
  readonly values: NodeValues;
  /** With the commands of the custom flow around its steps, if there is one. */
  readonly runner: StackRunner;
  readonly flow: NodeFlow | null;
  /** Whom its calls are counted for when a service asks for slower ones. */
  readonly paceKey: string;
  readonly run: StackRun;
  /** What the tool reads and writes the managed state with; it ends with the call. */
  readonly grantId: string;
  readonly crash: CrashNotes;
  readonly masker: Masker;
  readonly log: LogWriter;
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
}

/** What is known of a call that failed before it was ready to run the tool. */
export type FailingCall = Pick<NodeCall, 'deps' | 'input' | 'key' | 'begin' | 'masker' | 'log' | 'signal'> &
  Partial<Pick<NodeCall, 'flow' | 'paceKey' | 'grantId' | 'crash'>>;

/** Writes down how the call ended. Nothing of it may use the state afterwards, so it is the last that a call does. */
export function endCall({ deps, key, grantId }: FailingCall, ending: Omit<NodeEnding, 'grantId'>): Promise<void> {
  return endNode(deps.db.sql, key, { ...ending, grantId });
}
