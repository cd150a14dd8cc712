/**
 * Where the records of a node are kept while it is run: in the database of this process, or behind the API of another.
 * Everything that the room `node` knows of the world beside the tool comes through here.
 */
import type {
  EffectiveVariable,
  Journal,
  NewLogChunk,
  NodeBegin,
  NodeEnding,
  NodeOutcome,
  Plan,
  RunError,
  RunNodeInput,
  Stage,
  StateUnverified,
} from '../model/index.ts';
import type { EnvelopeAnswer } from '../definition/index.ts';
import type { StopReason } from '../process/index.ts';
import type { Outputs } from '../tools/index.ts';

/** Who runs tools here; what a later try needs to prove that this one is over. */
export interface WorkerIdentity {
  readonly id: string;
  readonly host: string;
  readonly bootId: string;
}

/** The workflow that an activity was called by, as the Temporal server has it. */
export interface Caller {
  readonly workflowId: string;
  /** The same for each try of one call. */
  readonly callId: string;
  /** 1 unless an earlier try has failed or was lost. */
  readonly attempt: number;
  /** Temporal's time of the first try, epoch milliseconds. */
  readonly scheduledAtMs: number;
  /** The time of this try, epoch milliseconds: Temporal's, when that is ahead. */
  readonly nowMs: number;
}

export interface NodeHost {
  /**
   * Begins a node, or answers how it has ended or why it does not begin. Throws an ApplicationFailure `refused` for what the
   * records do not bear out.
   */
  begin(input: RunNodeInput, caller: Caller): Promise<BegunCall>;
  /** Whether an error of any method passes by itself, because the records are out of reach. */
  isAway(error: unknown): boolean;
}

export type BegunCall =
  | { readonly status: 'begun'; readonly begin: NodeBegin; readonly records: NodeRecords }
  | { readonly status: 'over'; readonly outcome: NodeOutcome };

/** The values that a node runs with, decrypted. */
export interface NodeValues {
  readonly variables: readonly EffectiveVariable[];
  /** Inputs that read outputs nobody has produced yet; only a plan may go on with some. */
  readonly unknown: readonly string[];
}

/** What a call may do once it was opened. */
export type Opening =
  /** The same hash and the same state as at its last success: nothing is to be done. */
  | { readonly kind: 'unchanged' }
  /** Its account has asked for slower calls. */
  | { readonly kind: 'slower'; readonly afterMs: number; readonly account: string }
  | { readonly kind: 'ready'; readonly values: NodeValues; readonly grant: StateGrant | null };

/** What a tool reads and writes the managed state with, for the time of the call. Null for a tool that has no state. */
export interface StateGrant {
  readonly id: string;
  readonly token: string;
  /** Of the state, such as `https://windlass.example.com/state/env_x`. */
  readonly address: string;
}

export type NodeArtifact = 'plan' | 'planText' | 'planJson' | 'flowVariables';

export interface Question {
  readonly because: string;
  readonly plan: Plan;
  /** Of the plan that an approval applies; null when its tool keeps none. */
  readonly planArtifact: string | null;
}

export interface Asked {
  readonly approvalId: string;
  readonly expiresInMs: number;
}

/** What the bounds that were given for the run say of a plan; null when nobody gave any. */
export interface BoundsVerdict {
  readonly answer: EnvelopeAnswer | null;
  /** For the log: why bounds do not count. */
  readonly remark: string | null;
}

export interface Success {
  readonly outputs: Outputs;
  readonly plan: Plan | null;
  readonly grantId: string | null;
  /** The variables it ran with, kept for a later rollback. */
  readonly variables: readonly EffectiveVariable[];
  /** What an earlier deploy may have made outside the state is still there. */
  readonly keepUnverified: boolean;
}

export interface DriftFound {
  readonly status: 'ok' | 'drifted' | 'error';
  readonly resources: Plan['resources'];
  readonly message: string | null;
}

/** What is known of a worker whose call has ended unseen. */
export interface WorkerSigns {
  /** It left in good order. */
  readonly stopped: boolean;
  /** Changes with each sign of life. */
  readonly seenAt: string;
  /** Since the last one, by the clock that wrote it. */
  readonly silentMs: number;
}

/** How long a throttled node waits before it tries again. */
export interface Pace {
  readonly afterMs: number;
  /** Whether its account has asked too often by now. */
  readonly tooOften: boolean;
  /** The account, for people. */
  readonly account: string;
}

/** The records of one node of one run. Every method may be called again after a crash. */
export interface NodeRecords {
  /** Resolves the values and makes what the call needs, unless it has nothing to do or has to wait. */
  open(call: { readonly mode: RunNodeInput['mode'] }): Promise<Opening>;
  /** Makes a stage and its evidence durable before the stage's first process starts. */
  enter(stage: Stage, journal: Journal): Promise<void>;
  /** Tells followers how far the tool is. `keep` writes it down for those who ask later. */
  progress(text: string, keep: boolean): Promise<void>;
  appendLog(attempt: number, chunks: readonly NewLogChunk[]): Promise<void>;
  /** Why the run is being stopped; null when it is not. */
  stopReason(): Promise<StopReason | null>;
  /** Answers the id. Throws `tooLarge` past 64 MiB. */
  keep(kind: NodeArtifact, body: Uint8Array): Promise<string>;
  /** The very plan that was approved, and what the custom flow had exported when it was made. Null when it is not there. */
  approved(): Promise<{ readonly plan: Uint8Array | null; readonly exported: Uint8Array | null } | null>;
  bounds(question: { readonly plan: Plan; readonly flowAsks: boolean }): Promise<BoundsVerdict>;
  /** Records the question; the call still has to be ended as `waitingForApproval`. */
  ask(question: Question): Promise<Asked>;
  /** Writes how the call has ended. Nothing of it may use the state afterwards, so it is the last that a call does. */
  end(ending: NodeEnding): Promise<void>;
  /** Keeps the outputs and the snapshot that a later rollback or destroy needs, and writes the ending. */
  succeed(success: Success): Promise<{ readonly changedOutputs: boolean }>;
  foundDrift(drift: DriftFound): Promise<void>;
  /** Null when the error is none of an account that asks for slower calls. */
  backOff(error: RunError): Promise<Pace | null>;
  workerSigns(workerId: string): Promise<WorkerSigns | null>;
  /** Says on the node's environment that nobody knows yet what a call that ended unseen has made. */
  markUnverified(mark: StateUnverified): Promise<void>;
  /** Ends the power of an earlier call's grant, then frees the lock it may hold; answers that lock. */
  freeLock(grantId: string, because: string): Promise<string | null>;
}
