import type { Masker } from '../masking/index.ts';
import type { NodeBegin, NodeEnding, NodeKey, NodeSnapshot, RunNodeInput } from '../model/index.ts';
import type { Isolation } from '../process/index.ts';
import type { RunnerRegistry, StackRun, StackRunner } from '../tools/index.ts';
import type { Sources } from '../sources/index.ts';
import type { Logger } from 'pino';
import type { NodeFlow } from './flow.ts';
import type { NodeRecords, NodeValues, WorkerIdentity } from './host.ts';
import type { LogWriter } from './log-writer.ts';

/** What this machine runs tools with. */
export interface NodeDeps {
  readonly runners: RunnerRegistry;
  readonly sources: Sources;
  readonly worker: WorkerIdentity;
  readonly log: Logger;
  /** Work directories of environments on this machine. */
  readonly workDirectory: string;
  /** Keeps stacks from the rest of this machine. */
  readonly isolation: Isolation;
}

/** What the recovery has found that later stages of the same call write down with their own evidence. */
export interface CrashNotes {
  /** Stage of a change that was cut off; it stays on record until the next change begins. */
  cutOff: string | null;
}

/** One call of the tool for one node, from its first record to its last. Everything in it may be repeated after a crash. */
export interface NodeCall {
  readonly deps: NodeDeps;
  readonly records: NodeRecords;
  readonly input: RunNodeInput;
  readonly key: NodeKey;
  readonly begin: NodeBegin;
  readonly snapshot: NodeSnapshot;
  readonly values: NodeValues;
  /** With the commands of the custom flow around its steps, if there is one. */
  readonly runner: StackRunner;
  readonly flow: NodeFlow | null;
  readonly run: StackRun;
  /** What the tool reads and writes the managed state with; it ends with the call. Null for a tool without a state. */
  readonly grantId: string | null;
  readonly crash: CrashNotes;
  readonly masker: Masker;
  readonly log: LogWriter;
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
}

/** What is known of a call that failed before it was ready to run the tool. */
export type FailingCall = Pick<NodeCall, 'deps' | 'records' | 'input' | 'key' | 'begin' | 'masker' | 'log' | 'signal'> &
  Partial<Pick<NodeCall, 'flow' | 'grantId' | 'crash'>>;

export function nodeKeyOf({ deploymentId, index, compensation }: RunNodeInput): NodeKey {
  return { deploymentId, index, compensation: compensation ?? false };
}

/** A destroy, or the plan of one. */
export const takesDown = ({ action, removal }: Pick<NodeBegin, 'action' | 'removal'>): boolean =>
  action === 'destroy' || (action === 'plan' && removal === 'destroy');

/** Writes down how the call ended. Nothing of it may use the state afterwards, so it is the last that a call does. */
export function endCall({ records, grantId }: FailingCall, ending: Omit<NodeEnding, 'grantId'>): Promise<void> {
  return records.end({ ...ending, ...(typeof grantId === 'string' ? { grantId } : {}) });
}
