import type { ErrorClass, Plan, RunError, Stage } from '../model/index.ts';
import type { NodeSnapshot, NodeType, VariableType, VariableValue } from '../model/index.ts';
import type { Isolation } from '../process/index.ts';

/** A tool's way to a state that Windlass keeps. Absent when the stack brings its own backend, or the tool has no state. */
export interface ManagedState {
  /** Base address of this environment's state, such as `http://127.0.0.1:8080/state/env_x`. */
  readonly address: string;
  readonly username: string;
  /** Valid for this call of the tool alone; registered with the masker. */
  readonly password: string;
}

export interface ToolVariable {
  readonly name: string;
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
  /** Given for this very stack or run and not inherited, so that it is worth a word when the stack has no such variable. */
  readonly own?: boolean | undefined;
}

export interface Output {
  readonly name: string;
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
}
export type Outputs = readonly Output[];

/**
 * One node's run as a runner sees it. It hides where the run happens and who watches it.
 */
export interface StackRun {
  /** `<deployment>/<index>`; for messages only. */
  readonly id: string;
  readonly environmentId: string;
  readonly type: NodeType;
  /** Nothing of it is ever applied, so it takes no lock: it neither waits for others nor makes them wait. */
  readonly onlyReads?: boolean;
  /** Root of the pinned, read-only source. */
  readonly sourceDirectory: string;
  /** Directory of the stack inside it, relative and checked to stay inside. */
  readonly path: string;
  /** Private directory of this environment on this machine; kept between runs, safe to lose. */
  readonly workDirectory: string;
  /** Keeps its code from the rest of the machine. */
  readonly isolation: Isolation;
  readonly workspace: string | null;
  readonly config: NodeSnapshot['config'];
  readonly variables: readonly ToolVariable[];
  /** The whole process environment of the tool, apart from what the runner adds. */
  readonly environment: Readonly<Record<string, string>>;
  readonly state: ManagedState | null;
  readonly timeoutMs: number;
  /** Masked, stored and streamed. Text need not end at a line. */
  readonly log: (text: string) => void;
  /** Must be awaited before a stage's first process: it makes the stage durable, so that a crash can be recovered. */
  readonly enter: (stage: Stage, evidence?: { readonly changes: boolean }) => Promise<void>;
  /** How far the tool is, for people: `3 of 5 resources`. Cheap, may be called often. */
  readonly progress: (text: string) => void;
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
}

/** A plan with the file that `apply` needs, if the tool has one. */
export interface PlanResult {
  readonly plan: Plan;
  readonly artifact: Uint8Array | null;
  /** Full text as a person reads it, not yet masked. */
  readonly text: string;
  /** Machine-readable plan of the tool, not yet masked; null when it has none. */
  readonly json: unknown;
}

export interface Drift {
  readonly drifted: boolean;
  readonly plan: PlanResult;
}

export interface ApplyResult {
  readonly outputs: Outputs;
  /** What was changed; null when the tool cannot say. */
  readonly plan: Plan | null;
}

/** What is known about a call of a tool that did not report its end. */
export interface CrashEvidence {
  readonly stage: Stage;
  /** The stage may have changed resources. */
  readonly changes: boolean;
  readonly sameHost: boolean;
  /** The worker of that call is proven dead, or this is that worker. */
  readonly workerDead: boolean;
}

/** What became of an unfinished call. */
export type Recovery =
  /** It never changed anything: run again. */
  | { readonly kind: 'clean' }
  /** Its process lived on and ended well; nothing has to be repeated. */
  | { readonly kind: 'finished'; readonly result: ApplyResult }
  /** It may have changed something, is proven over, and its state is safe: refresh, plan, go on. */
  | { readonly kind: 'interrupted'; readonly detail: string; readonly lockId: string | null }
  /** Nobody can prove that it is over. */
  | { readonly kind: 'unknown'; readonly detail: string; readonly lockId: string | null };

/** What a killed tool may have left: a lock, a state that cannot be reached, or a resource in no state. */
export interface HeldLock {
  readonly reason: string;
  readonly lockId: string | null;
}

/** Thrown by runners when a stage did not do what it should. */
export class ToolError extends Error {
  readonly class: ErrorClass;
  readonly error: RunError;
  /** The tool began to change resources before it failed. */
  readonly changedState: boolean;
  /** The tool was killed, and its state has to be looked at. */
  readonly held: HeldLock | null;

  constructor(error: RunError, changedState: boolean, held: HeldLock | null = null) {
    super(error.message);
    this.name = 'ToolError';
    this.class = error.class;
    this.error = error;
    this.changedState = changedState;
    this.held = held;
  }
}

/** One IaC tool. Runners keep nothing between calls but what lies in the work directory. */
export interface StackRunner {
  /** Makes the work directory ready: files, backend, providers. Does as little as it can. */
  prepare(run: StackRun): Promise<void>;
  plan(run: StackRun): Promise<PlanResult>;
  /** Applies exactly this artifact; throws `stalePlan` when the state has moved on. */
  apply(run: StackRun, artifact: Uint8Array): Promise<ApplyResult>;
  /** Plan and apply in as few processes as the tool allows, when nobody has to see the plan first. */
  deploy(run: StackRun): Promise<ApplyResult>;
  planDestroy(run: StackRun): Promise<PlanResult>;
  destroy(run: StackRun): Promise<ApplyResult>;
  /** Only reads: neither state nor lock is touched. */
  detectDrift(run: StackRun): Promise<Drift>;
  /** Finds out what a call that ended unseen has done; frees what it held when it is proven dead. */
  recover(run: StackRun, evidence: CrashEvidence): Promise<Recovery>;
}
