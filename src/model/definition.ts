import type { VariableKind, VariableType, VariableValue } from './variable.ts';
import type { NodeType, RetryRule, Source, TemplateConfig } from './template.ts';

/**
 * Letters of an alias, or of the path of aliases to a node in a workflow of a graph: ids of Temporal have at most 1000
 * bytes, and a letter up to three.
 */
export const longestAlias = 300;

/** What happens to sub-environments that the new file no longer lists. */
export const removalStrategies = ['detach', 'destroy'] as const;
export type RemovalStrategy = (typeof removalStrategies)[number];

/** `continue`: other branches go on. `stop`: nothing new starts. `rollback`: as stop, then compensation. */
export const failurePolicies = ['continue', 'stop', 'rollback'] as const;
export type FailurePolicy = (typeof failurePolicies)[number];

/** Whether an unchanged node (same commit, inputs and state) is run again. */
export const redeployPolicies = ['always', 'onInputChange', 'never'] as const;
export type RedeployPolicy = (typeof redeployPolicies)[number];

/** Which dependents a single-node deploy runs afterwards. */
export const trickleDowns = ['none', 'changed-outputs', 'all'] as const;
export type TrickleDown = (typeof trickleDowns)[number];

export const remediations = ['none', 'redeploy', 'ask'] as const;
export type Remediation = (typeof remediations)[number];

/** Where a value stands in the file it came from; lines and columns count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** `${environments.<alias>.outputs.<name>}` of another node, as an input of this one. */
export interface OutputReference {
  readonly alias: string;
  readonly output: string;
}

/** An input of a node: text with references to outputs, or one whole reference that keeps the output's type. */
export interface NodeInputBinding {
  readonly name: string;
  readonly kind: VariableKind;
  readonly type: VariableType | undefined;
  /** Exactly one reference and nothing else: the output's own type is kept. */
  readonly whole: OutputReference | undefined;
  /** The text with `${environments.a.outputs.b}` in it. */
  readonly template: string;
  readonly references: readonly OutputReference[];
  readonly position: Position | undefined;
  /** Given to a workflow around the node. */
  readonly inherited?: true | undefined;
}

export interface NodeVariable {
  readonly name: string;
  readonly kind: VariableKind;
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
  /** Given to a workflow around the node. */
  readonly inherited?: true | undefined;
}

/** One sub-environment of a parsed workflow file. `${VAR}` in the plain fields may be unresolved. */
export interface NodeDefinition {
  readonly alias: string;
  readonly name: string;
  /** Exactly one of `templateName` and `inline` is set. */
  readonly templateName: string | undefined;
  readonly inline: InlineTemplate | undefined;
  readonly needs: readonly string[];
  readonly revision: string | undefined;
  readonly workspace: string | undefined;
  readonly requiresApproval: boolean | undefined;
  readonly disabled: boolean;
  readonly variables: readonly NodeVariable[];
  readonly inputs: readonly NodeInputBinding[];
  readonly redeploy: RedeployPolicy;
  readonly timeoutSeconds: number | undefined;
  readonly retry: RetryRule | undefined;
  /** Time to live of the node alone, in seconds after its deploy. */
  readonly ttlSeconds: number | undefined;
  readonly barriers: readonly string[];
  readonly position: Position | undefined;
}

/** Code that lies beside the workflow file: same repository and commit, path relative to the file's directory. */
export interface OwnSource {
  readonly kind: 'own';
  readonly path: string;
}

/** The `vcs` block of a node: a template that exists only in the file. Without `repository` it is beside the file. */
export interface InlineTemplate {
  readonly type: NodeType;
  readonly source: Source | OwnSource;
  readonly config: TemplateConfig;
}

export interface ScheduleSettings {
  readonly deploy?: string | undefined;
  readonly destroy?: string | undefined;
  /** IANA name; UTC when absent. */
  readonly timezone?: string | undefined;
}

export interface DriftSettings {
  readonly cron: string;
  readonly timezone?: string | undefined;
  readonly remediation: Remediation;
  readonly maxParallel?: number | undefined;
}

export interface WorkflowSettings {
  readonly environmentRemovalStrategy: RemovalStrategy;
  readonly onFailure: FailurePolicy;
  /** At most this many nodes at once; undefined leaves it to the project's and the pool's limits. */
  readonly maxParallel: number | undefined;
  readonly schedule: ScheduleSettings | undefined;
  readonly drift: DriftSettings | undefined;
}

/** A parsed and checked workflow file. */
export interface WorkflowDefinition {
  readonly settings: WorkflowSettings;
  /** In file order. */
  readonly nodes: readonly NodeDefinition[];
}
