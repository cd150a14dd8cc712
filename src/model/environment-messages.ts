/**
 * What the workflow of an environment is told, answers and asks for. Plain types only: this file is bundled into the workflow
 * sandbox, which must not carry zod.
 */
import type { DeploymentType } from './deployment.ts';
import type { EnvironmentLock } from './environment.ts';

/** A run that waits for its turn, or has it. */
export interface QueuedRun {
  readonly deploymentId: string;
  readonly type: DeploymentType;
  /** Shown in the Temporal UI, such as `Deploy "Online shop" #3`. */
  readonly title: string;
  /** Coalescing: a newer deploy may take the place of this one. */
  readonly coalesce?: boolean;
  /** Sent once more, because it is queued on record and the environment's workflow does not hold it. */
  readonly again?: true;
}

export interface EnvironmentWorkflowInput {
  readonly environmentId: string;
  readonly projectId: string;
  readonly name: string;
  /** Carried over continue-as-new; absent at the start. */
  readonly state?: EnvironmentState;
}

export interface EnvironmentState {
  readonly queue: readonly QueuedRun[];
  readonly lock: EnvironmentLock | null;
  /** Epoch milliseconds at which the environment is destroyed; null lives for ever. */
  readonly expiresAtMs: number | null;
  /** Warnings already given for this expiry, in milliseconds before it. */
  readonly warnedMs: readonly number[];
  /** The end whose destroy was refused, which was said once; absent and null mean none. */
  readonly refusedEndMs?: number | null;
  /** When the ends of nodes have to be looked at, epoch milliseconds; absent and null: when somebody says so. */
  readonly nodesDueMs?: number | null;
  /** Runs already accepted, newest last, so that a repeated submit changes nothing. */
  readonly accepted: readonly string[];
}

export interface CancelQueued {
  readonly deploymentId: string;
  /** The recorded request; absent in messages of versions before there were any. */
  readonly requestId?: string;
}

export interface SubmitAnswer {
  /** 0 runs now, 1 is next. */
  readonly position: number;
}

/** Messages are hints: what they speak of is looked up in the records. */
export const environmentMessages = {
  /** Update(QueuedRun) -> SubmitAnswer. Refused while locked. */
  submit: 'submit',
  /** Update(CancelQueued) -> {cancelled}. Drops a run that has not started; true when it was there. */
  cancelQueued: 'cancelQueued',
  /** Update({}) -> void: the recorded end has changed. */
  setExpiry: 'setExpiry',
  /** Update({}) -> void: the recorded lock has changed. */
  setLock: 'setLock',
  /** Query() -> EnvironmentView. */
  view: 'view',
} as const;

/** Empty: the records have changed. Older versions sent the new values along. */
export interface LifeMessage {
  readonly expiresAtMs?: number | null;
  readonly lock?: EnvironmentLock | null;
}

export interface EnvironmentView {
  readonly queue: readonly QueuedRun[];
  readonly running: readonly QueuedRun[];
  readonly lock: EnvironmentLock | null;
  readonly expiresAtMs: number | null;
  /** As in `EnvironmentState`; absent in workflows that an older version answers for. */
  readonly nodesDueMs?: number | null;
}

/** Why a run that waits for its turn is dropped; each is looked up in the records. */
export type DropCause =
  | { readonly kind: 'requested'; readonly requestId: string | null }
  /** Coalescing: this newer deploy takes its place. */
  | { readonly kind: 'replaced'; readonly by: string }
  /** It was to end the environment, whose end was put off. */
  | { readonly kind: 'putOff' }
  /** Its workflow has ended without an ending. */
  | { readonly kind: 'lost' };

export interface EnvironmentActivities {
  /** Makes the destroy that ends a time to live. `told`: that it was refused has been said before. */
  requestExpiry(input: { environmentId: string; expiresAtMs: number; told: boolean }): Promise<ExpiryAnswer>;
  warnExpiry(input: { environmentId: string; expiresAtMs: number; remainingMs: number }): Promise<void>;
  /**
   * Marks a run as dropped, if the records bear the cause out; workflows of versions before there were causes give none.
   * Answers the end of the environment when the run was to bring it about.
   */
  recordCancelled(input: {
    deploymentId: string;
    message: string;
    cause?: DropCause;
  }): Promise<{ cancelled?: boolean; expiresAtMs?: number | null; nodeExpiry?: true }>;
  /** The end and the lock as they are on record. `said` is what a message of an older version claims. */
  readLife(input: { environmentId: string; said?: unknown }): Promise<EnvironmentLife>;
  /** Warns of the ends of nodes, and makes the destroys of those that are due: what they are is read from the records. */
  attendNodeExpiry(input: { environmentId: string }): Promise<NodeExpiryAnswer>;
}

export interface NodeExpiryAnswer {
  /** Runs that are to be queued. */
  readonly runs: readonly QueuedRun[];
  /** Ids of queued runs whose node does not end any more. */
  readonly withdrawn: readonly string[];
  /** When to look again, epoch milliseconds; null when somebody says so. */
  readonly nextMs: number | null;
}

export interface EnvironmentLife {
  /** It was put away, so its workflow may end. Absent otherwise, and in histories of older versions. */
  readonly archived?: true;
  /** Nodes have ends of their own. */
  readonly nodeExpiry?: true;
  readonly expiresAtMs: number | null;
  readonly lock: EnvironmentLock | null;
}

export type ExpiryAnswer =
  | { readonly kind: 'run'; readonly run: QueuedRun }
  /** Not now: the end stays due. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The end is another one now; null when nothing is left that could end. */
  | { readonly kind: 'moved'; readonly expiresAtMs: number | null };
