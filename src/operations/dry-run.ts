/** What a run would do, as whoever can read its code works it out. */
import type {
  DeploymentRequest,
  DeploymentType,
  NodeAction,
  Problem,
  Project,
  Removal,
  Template,
} from '../model/index.ts';

export interface DryRunNode {
  readonly alias: string;
  readonly name: string;
  /** null for a node that was not there before. */
  readonly environmentId: string | null;
  readonly action: NodeAction;
  readonly removal: Removal | null;
  /** Why it is kept. */
  readonly because: string | null;
  /** Commit of the code that it is run with. */
  readonly commit: string | null;
}

export interface DryRun {
  /** Commit of the source; null when no file is read. */
  readonly commit: string | null;
  /** Deployment that is gone back to, or gone on from. */
  readonly basedOn: string | null;
  readonly nodes: readonly DryRunNode[];
}

export interface DryRunAsk {
  /** The environment whose queue the run would join. */
  readonly environmentId: string;
  readonly type: DeploymentType;
  /** With plain values. */
  readonly request: DeploymentRequest;
  /** Other runs come first: what is there today decides nothing yet. */
  readonly pending: boolean;
}

export interface WorkflowsAsk {
  readonly project: Pick<Project, 'id' | 'organizationId'>;
  /** The file that names them. */
  readonly fileName: string;
  readonly templates: readonly Template[];
}

/** A source that a run goes on from, as it is now. */
export interface SourceChange {
  /** `the workflow file's source`, or the name of a node's template. */
  readonly what: string;
  readonly was: string;
  readonly now: string;
}

/** Reads sources and workflow files. Nothing is recorded, and no tool is run. */
export interface RunResolver {
  /** Throws what would make the run fail before its first node: a WindlassError with all problems. */
  resolve(ask: DryRunAsk): Promise<DryRun>;
  /** What is wrong with workflow templates that a file of their project names. What cannot be read now is not told. */
  checkWorkflows(ask: WorkflowsAsk): Promise<Problem[]>;
  /** Sources that have moved on since a finished deployment read them. What cannot be read now is not told. */
  changedSince(deploymentId: string): Promise<SourceChange[]>;
}
