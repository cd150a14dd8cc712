import type {
  CancelQueued,
  ControlMessage,
  Decision,
  EnvironmentLock,
  EnvironmentView,
  QueuedRun,
  ScheduleKind,
  SubmitAnswer,
} from '../model/index.ts';

/** The environment whose entity workflow takes a message. The rest lets that workflow start anew with what is recorded. */
export interface EntityTarget {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly lock: EnvironmentLock | null;
  /** Epoch milliseconds. */
  readonly expiresAtMs: number | null;
  /** Nodes have ends of their own that the workflow has to look at; for `expiryChanged`. */
  readonly nodesExpire?: boolean;
}

export interface ScheduleInput {
  readonly kind: ScheduleKind;
  readonly environmentId: string;
  readonly environmentName: string;
  readonly projectId: string;
  /** Five fields. */
  readonly cron: string;
  /** IANA name. */
  readonly timezone: string;
  readonly paused: boolean;
  readonly catchUpSeconds: number;
}

export interface ScheduleView {
  readonly nextRuns: readonly Date[];
  readonly paused: boolean;
  /** Firings that were dropped because Temporal or its workers were away for longer than the catch-up window. */
  readonly missed: number;
}

/**
 * All that Windlass asks of Temporal from outside a workflow. Each call has a deadline. Throws WindlassError:
 * `unavailable` when Temporal or a worker does not answer, `conflict` when the run has ended or refuses.
 */
export interface TemporalGateway {
  /** Queues a run at its environment's workflow, which is started if need be. Repeating it changes nothing. */
  submit(target: EntityTarget, run: QueuedRun): Promise<SubmitAnswer>;
  /** Drops a run that has not started, by a recorded request; false when it had started or was never there. */
  cancelQueued(environmentId: string, message: CancelQueued): Promise<boolean>;
  /** Says that the recorded end, or that of a node, has changed. Starts the workflow when there is an end that it has to attend to. */
  expiryChanged(target: EntityTarget): Promise<void>;
  /** Says that the recorded lock has changed. */
  lockChanged(environmentId: string): Promise<void>;
  /** Says that something is asked of a run, by its recorded request. */
  control(deploymentId: string, message: ControlMessage): Promise<void>;
  decide(node: { deploymentId: string; alias: string; compensation: boolean }, decision: Decision): Promise<void>;
  /** What the environment's workflow knows; null when there is none. */
  view(environmentId: string): Promise<EnvironmentView | null>;
  /** Creates or changes. */
  putSchedule(input: ScheduleInput): Promise<void>;
  /** Deleting what is not there succeeds. */
  deleteSchedule(kind: ScheduleKind, environmentId: string): Promise<void>;
  /** null when there is none. */
  describeSchedule(kind: ScheduleKind, environmentId: string): Promise<ScheduleView | null>;
  /** Calls of activities that wait for a worker of a task queue, about; null when Temporal cannot say. */
  backlog(taskQueue: string): Promise<number | null>;
  /** Throws `unavailable` with the reason when Temporal does not serve the namespace. */
  check(): Promise<void>;
  /** The run in the Temporal Web UI; null when no address of it is known. */
  deploymentUrl(deploymentId: string): string | null;
}
