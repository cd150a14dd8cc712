/**
 * The contract between the API, the workflows and the activities: names, inputs and small results.
 * Plain types only: this file is bundled into the workflow sandbox, which must not carry zod.
 */
import type { FailurePolicy } from './definition.ts';
import type { DeploymentType, NodeAction, NodeResult, Removal, SkipReason } from './deployment.ts';
import type { EnvironmentActivities } from './environment-messages.ts';
import type { DeploymentStatus, NodeStatus } from './status.ts';

export const taskQueues = {
  /** Workflow tasks and short activities on records. */
  orchestration: 'windlass-orchestration',
  /** Activities that run tools. */
  run: 'windlass-run',
} as const;

/** Where the tools of a runner pool are run: a worker of that pool alone asks there. */
export function poolQueue(pool: string): string {
  return `${taskQueues.run}.${pool}`;
}

/** Keyword attributes; the Temporal UI filters and lists by them. */
export const searchAttributes = {
  environment: 'WindlassEnvironment',
  project: 'WindlassProject',
  kind: 'WindlassKind',
  status: 'WindlassStatus',
} as const;

/** Values of `WindlassKind`: what a workflow is there for. */
export type WorkflowKind =
  'environment' | 'deployment' | 'subEnvironment' | 'scheduled' | 'schedule' | 'reconcile' | 'housekeeping';

export const workflowTypes = {
  environment: 'environment',
  deployment: 'deployment',
  subEnvironment: 'subEnvironment',
  scheduledRequest: 'scheduledRequest',
  reconcile: 'reconcile',
  keepHouse: 'keepHouse',
} as const;

export const workflowIds = {
  environment: (environmentId: string): string => `environment:${environmentId}`,
  deployment: (deploymentId: string): string => `deployment:${deploymentId}`,
  node: (deploymentId: string, alias: string, compensation = false): string =>
    `deployment:${deploymentId}/${compensation ? 'rollback/' : ''}${alias}`,
  schedule: (kind: ScheduleKind, environmentId: string): string => `${kind}:${environmentId}`,
  reconcile: 'windlass-reconcile',
  keepHouse: 'windlass-housekeeping',
} as const;

export type ScheduleKind = 'deploy' | 'destroy' | 'drift';

// ---- deployment: one per run ------------------------------------------------------------------

/** One node as the engine sees it; everything else stays in the store. */
export interface RunNode {
  readonly alias: string;
  /** Indexes of nodes that must have succeeded first; already reversed for a destroy. */
  readonly needs: readonly number[];
  readonly action: NodeAction;
  /** For `keep`: dependents may run, because it is deployed. */
  readonly satisfied?: boolean;
  /** Runs after all others have succeeded: removed nodes. */
  readonly last?: true;
  /** What a deploy does to a node that is no longer wanted. In a plan it is only shown. */
  readonly removal?: Removal;
  /** Runs only when a node it needs or reads changed its outputs in this run. */
  readonly onlyOnChange?: true;
  /** Nodes it reads outputs of and needs through others only; given where `onlyOnChange` is. */
  readonly reads?: readonly number[];
  /** Reason recorded when it is kept. */
  readonly keptBecause?: SkipReason;
  readonly timeoutSeconds?: number;
  /** Where its calls are done, when not where tools are run. */
  readonly taskQueue?: string;
}

export interface ResolvedRun {
  readonly title: string;
  readonly type: DeploymentType;
  readonly environmentId: string;
  readonly projectId: string;
  readonly nodes: readonly RunNode[];
  readonly onFailure: FailurePolicy;
  readonly maxParallel: number;
}

/**
 * A graph as it crosses a history: columns instead of objects, so that one of 10,000 nodes is some hundred kB and not some
 * MB. Readable text, since the workflow sandbox has nothing to inflate with.
 */
export interface PackedGraph {
  /** One line each. */
  readonly aliases: string;
  /** One letter each; see definition/packed-graph.ts. */
  readonly actions: string;
  /** For each node how far back, or ahead, what it needs lies; base 36, `,` between needs and `;` between nodes. */
  readonly needs: string;
  /** What else nodes have, each kind once. */
  readonly extras: readonly NodeExtra[];
  /** For each node the place of its extra in base 36, `;` between them. */
  readonly extraOf: string;
}

export type NodeExtra = Omit<RunNode, 'alias' | 'action' | 'needs'>;

/** A resolved run as it crosses the history: a large graph is packed. */
export type ResolvedAnswer = ResolvedRun | (Omit<ResolvedRun, 'nodes'> & { readonly packed: PackedGraph });

export interface DeploymentWorkflowInput {
  readonly deploymentId: string;
  readonly environmentId: string;
  readonly projectId: string;
  readonly title: string;
  readonly type: DeploymentType;
  /** Carried over continue-as-new; absent at the start. */
  readonly state?: DeploymentState;
}

/** `cancel` lets tools that are changing something finish; `abort` and `rollback` interrupt them. */
export type StopMode = 'cancel' | 'abort' | 'rollback';

export interface DeploymentState {
  readonly graph: GraphState;
  readonly stop: StopMode | null;
  readonly paused: boolean;
  readonly compensating: boolean;
}

/** The engine's view of a graph, compact: one letter per node (see definition/node-states.ts). */
export interface GraphState {
  readonly letters: string;
  /** Index of the failed node that caused a skip, by skipped index. */
  readonly causes: Readonly<Record<number, number>>;
}

export interface DeploymentOutcome {
  readonly status: DeploymentStatus;
  /** When the environment destroys itself, after this run; null for never, undefined when unchanged. */
  readonly expiresAtMs?: number | null;
  /** Nodes have ends of their own, which have to be looked at after this run. */
  readonly nodeExpiry?: true;
}

export type ControlRequest =
  | { readonly kind: 'pause' | 'continue'; readonly by: string }
  | { readonly kind: StopMode; readonly by: string; readonly reason?: string }
  /** `recorded` is the node's status in the records, which may be ahead of what the run has heard. */
  | { readonly kind: 'retry' | 'skip'; readonly alias: string; readonly by: string; readonly recorded?: NodeStatus };

/**
 * What a run is told of a request. Only `requestId` counts: the run looks up what was asked in the records. The rest lets it
 * refuse early what it could not do anyway.
 */
export type ControlMessage = ControlRequest & { readonly requestId?: string };

/**
 * A place of `maxParallel`. It is `free` while a node waits for a person, or longer for its next try, and `wanted` when the
 * node could go on; the run answers with `proceed`.
 */
export interface PlaceNews {
  readonly index: number;
  readonly compensation?: true;
  readonly place: 'free' | 'wanted';
}

export const deploymentMessages = {
  /** Update(ControlMessage) -> void. Rejected when the run or node is not in a state for it, or when nothing is on record. */
  control: 'control',
  /** Signal() from the environment: a run that changes something is due. The records say whether that is so. */
  makeWay: 'makeWay',
  /** Signal(PlaceNews) from a node. */
  place: 'place',
} as const;

// ---- subEnvironment: one per node of a run ----------------------------------------------------

export interface NodeWorkflowInput {
  readonly deploymentId: string;
  readonly environmentId: string;
  readonly alias: string;
  readonly index: number;
  readonly action: NodeAction;
  /** Undoes what the run did to the node. */
  readonly compensation?: true;
  readonly timeoutSeconds?: number;
  /** Where its calls are done; absent: where tools are run. */
  readonly taskQueue?: string;
  /**
   * Says its status in the lists of Temporal. In place of a patch, which would be two events more for each node: a workflow
   * that an older version started has no such input.
   */
  readonly showsStatus?: true;
}

export interface Decision {
  readonly approvalId: string;
  readonly decision: 'approve' | 'reject';
  readonly by: string;
  readonly comment?: string;
  /** Set by the API after it has recorded the decision: enough people have approved. */
  readonly complete: boolean;
}

/** Messages are hints: the records say what was decided, whether the run is being stopped, and whether a node may go on. */
export const nodeMessages = {
  /** Update(Decision) -> void. */
  decide: 'decide',
  /** Signal({mode}). */
  stop: 'stop',
  /** Signal(): try a paused node again. */
  resume: 'resume',
  /** Signal(): the run has a place for the node to go on. */
  proceed: 'proceed',
} as const;

// ---- activities -------------------------------------------------------------------------------

/** What one call of the tool activity ended with. */
export type NodeOutcome =
  | NodeResult
  | { readonly status: 'waitingForApproval'; readonly approvalId: string; readonly expiresInMs: number }
  /** `uncounted`: waiting was not the node's fault, so that it uses up none of its tries. */
  | { readonly status: 'retry'; readonly afterMs: number; readonly message: string; readonly uncounted?: true }
  | { readonly status: 'paused'; readonly message: string };

export interface RunNodeInput extends NodeWorkflowInput {
  /**
   * `run` plans and applies as needed; `apply` applies the approved plan; `settle` begins nothing: it stops what a call
   * that was lost may have left running, and records how the node ended.
   */
  readonly mode: 'run' | 'apply' | 'settle';
  /** Counts the tries that the retry rules allow, from 1. */
  readonly try: number;
}

/** A node whose status the workflow decides, because no tool ran for it. */
export interface NodeUpdate {
  readonly index: number;
  readonly status: NodeStatus;
  readonly reason?: SkipReason;
  /** Set when the node's workflow ended without recording why. */
  readonly message?: string;
}

export interface CompensationNode {
  /** Index of the node in the run it undoes. */
  readonly index: number;
  /** `keep` when there is nothing to undo. */
  readonly action: NodeAction;
}

/** What the workflow of a run was told about it; the records have to say the same. */
export interface ResolveInput {
  readonly deploymentId: string;
  readonly environmentId?: string;
  readonly projectId?: string;
  readonly type?: DeploymentType;
  /** Given when the run goes on after a continue-as-new. */
  readonly state?: DeploymentState;
}

export type TakenControl =
  | { readonly kind: 'taken'; readonly request: ControlRequest }
  /** An earlier message has brought it about. */
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly message: string };

/** Activities on the orchestration queue: they change records and never run a tool. */
export interface DeploymentActivities {
  /** Reads the file at its commit, checks it, and makes sub-environments and node runs. Repeating it answers the same. */
  resolveDeployment(input: ResolveInput): Promise<ResolvedAnswer>;
  /** Takes a recorded request, once, and writes down what it means for the run. */
  takeControl(input: { deploymentId: string; requestId: string | null; said: string }): Promise<TakenControl>;
  /** Whether a read has to make way for a run that changes something; writes down that it is being stopped. */
  makeWay(input: { deploymentId: string }): Promise<{ stop: boolean }>;
  /** How a node's run is being stopped, as far as the records say; null when it is not. */
  recordedStop(input: { deploymentId: string; alias: string; said: StopMode }): Promise<{ stop: StopMode | null }>;
  recordNodes(input: { deploymentId: string; compensation?: true; updates: readonly NodeUpdate[] }): Promise<void>;
  /** `stopMode` says how an operator's cancel in Temporal stops the run; what people ask for is on record already. */
  setDeploymentStatus(input: {
    deploymentId: string;
    status: DeploymentStatus;
    paused?: boolean;
    stopMode?: StopMode;
  }): Promise<void>;
  /** Which nodes this run began to change, and what undoes each. */
  planCompensation(input: { deploymentId: string }): Promise<readonly CompensationNode[]>;
  finishDeployment(input: {
    deploymentId: string;
    status: DeploymentStatus;
    message?: string;
  }): Promise<DeploymentOutcome>;
  /** Waits until one of these children has ended; used only for children that outlived a continue-as-new. */
  watchNodes(input: {
    deploymentId: string;
    compensation?: true;
    indexes: readonly number[];
  }): Promise<readonly WatchedNode[]>;
}

export interface WatchedNode {
  readonly index: number;
  readonly result: NodeResult;
}

export interface ScheduledActivities {
  /** Asks for the run of a schedule. Answers why when it was not made. */
  requestScheduled(input: {
    environmentId: string;
    kind: ScheduleKind;
    firedAt: string;
  }): Promise<{ skipped?: string }>;
  reconcile(input: { limit: number }): Promise<{ repaired: number }>;
  /** Removes records that have served their time. */
  keepHouse(): Promise<{ removed: number }>;
}

export interface RunActivities {
  runNode(input: RunNodeInput): Promise<NodeOutcome>;
}

export type OrchestrationActivities = DeploymentActivities & EnvironmentActivities & ScheduledActivities;
