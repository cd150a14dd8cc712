import { z } from 'zod';
import type { ErrorClass, RunError } from './errors.ts';
import { failurePolicies, longestAlias, redeployPolicies, trickleDowns } from './definition.ts';
import { retryRuleSchema, sourceSchema, templateConfigSchema, nodeTypeSchema } from './template.ts';
import { variableInputSchema, variableKindSchema, variableTypeSchema } from './variable.ts';

export const deploymentTypes = ['deploy', 'destroy', 'plan', 'drift', 'rollback'] as const;
export type DeploymentType = (typeof deploymentTypes)[number];

export const triggers = ['user', 'api', 'schedule', 'ttl', 'drift', 'webhook', 'system'] as const;
export type Trigger = (typeof triggers)[number];

/** What is done to a node in a run. `keep`: part of the graph, not run. */
export const nodeActions = ['deploy', 'destroy', 'plan', 'drift', 'keep'] as const;
export type NodeAction = (typeof nodeActions)[number];

/** What becomes of a node that is no longer wanted: its resources go, or it lives on by itself. */
export const removals = ['destroy', 'detach'] as const;
export type Removal = (typeof removals)[number];

/** The stages of a node's run, each with its own log and time. */
export const stages = [
  'prepare',
  'init',
  'plan',
  'policy',
  'approval',
  'apply',
  'destroy',
  'outputs',
  'recover',
  'hooks',
] as const;
export type Stage = (typeof stages)[number];

export const changeCountsSchema = z.object({
  add: z.number().int().nonnegative(),
  change: z.number().int().nonnegative(),
  destroy: z.number().int().nonnegative(),
});
export type ChangeCounts = z.infer<typeof changeCountsSchema>;

/** One approval with bounds: nodes planned later go on by themselves while inside. */
export const approvalEnvelopeSchema = z
  .strictObject({
    maxChanges: z.number().int().min(0).optional().describe('Adds, changes and destroys together, for each node'),
    maxDestroys: z.number().int().min(0).default(0),
    allowedTypes: z
      .array(z.string().max(200))
      .max(500)
      .optional()
      .describe('Resource types that may change; all when absent'),
  })
  .meta({ id: 'ApprovalEnvelope' });
export type ApprovalEnvelope = z.infer<typeof approvalEnvelopeSchema>;

/** Which part of the graph a run is for. */
export const partialRunSchema = z
  .discriminatedUnion('operation', [
    z.strictObject({ operation: z.literal('run-from-here'), node: z.string().min(1) }),
    z.strictObject({
      operation: z.literal('single-node-deploy'),
      node: z.string().min(1),
      trickleDown: z.enum(trickleDowns).default('changed-outputs'),
    }),
    z.strictObject({
      operation: z.literal('single-node-destroy'),
      node: z.string().min(1),
      force: z.boolean().default(false).describe('Destroy it although live dependents exist'),
    }),
  ])
  .meta({ id: 'PartialRun' });
export type PartialRun = z.infer<typeof partialRunSchema>;

/** What a caller asks for; kept with the deployment for ever. */
export const deploymentRequestSchema = z
  .strictObject({
    type: z.enum(deploymentTypes).default('deploy'),
    partial: partialRunSchema.optional(),
    revision: z.string().max(250).optional().describe('Of the workflow file, for this run only'),
    comment: z.string().max(2000).optional(),
    variables: z
      .array(variableInputSchema)
      .max(500)
      .default([])
      .describe('For this run only; `alias` limits one to a node'),
    requiresApproval: z.boolean().optional().describe('Instead of the file and the saved setting, for every node'),
    nodeApprovals: z.record(z.string(), z.boolean()).optional().describe('The same for single aliases'),
    envelope: approvalEnvelopeSchema.optional(),
    resume: z
      .strictObject({
        deployment: z.string().describe('The finished deployment whose failed and skipped nodes are run'),
        refresh: z.boolean().default(false).describe('Read the file again instead of the snapshot'),
      })
      .optional(),
    moves: z
      .record(z.string(), z.string())
      .optional()
      .describe('Aliases that were renamed, old to new: the resources stay and only the name changes'),
    replaceRenamed: z.boolean().default(false).describe('What looks like a renamed alias is destroyed and made anew'),
    restoreNodes: z
      .array(z.string().min(1).max(longestAlias))
      .min(1)
      .max(10_000)
      .optional()
      .describe(
        'Aliases of nodes that are brought back to what was deployed last; the file is not read, the rest is kept',
      ),
    rollbackTo: z
      .string()
      .optional()
      .describe('Deployment whose snapshot is restored; the last successful one when absent'),
    mayDestroy: z
      .array(z.string().min(1).max(longestAlias))
      .max(10_000)
      .optional()
      .describe(
        'Aliases of nodes of which something may be destroyed. A run that would destroy anything else is refused; when absent nothing is',
      ),
    force: z.boolean().default(false).describe('Run nodes that are unchanged too'),
    onFailure: z.enum(failurePolicies).optional(),
  })
  .meta({ id: 'DeploymentRequest' });
export type DeploymentRequest = z.infer<typeof deploymentRequestSchema>;

/**
 * Everything needed to run, undo or audit a node later, as it was resolved for one run; never changed afterwards.
 * Holds names of sensitive variables, never their values.
 */
export const nodeSnapshotSchema = z.strictObject({
  type: nodeTypeSchema,
  templateId: z.string().nullable(),
  templateName: z.string(),
  source: sourceSchema,
  /** Git commit or `local:<hash>` of the directory. */
  commit: z.string(),
  workspace: z.string().nullable(),
  config: templateConfigSchema,
  retry: retryRuleSchema.nullable(),
  /** The rule of a destroy; a deploy's does not hold for it. */
  retryOnDestroy: retryRuleSchema.nullable().default(null),
  timeoutSeconds: z.number().nullable(),
  /** Its own time to live in the file, counted from the end of a deploy of it. */
  ttlSeconds: z.number().nullable().default(null),
  redeploy: z.enum(redeployPolicies),
  inputs: z.array(
    z.strictObject({
      name: z.string(),
      kind: variableKindSchema,
      type: variableTypeSchema.nullable(),
      template: z.string(),
      whole: z.boolean(),
      references: z.array(z.strictObject({ alias: z.string(), output: z.string() })),
      /** Given to a workflow around the node. */
      inherited: z.literal(true).optional(),
    }),
  ),
  /** From the file and the request; the stored levels are added when the node starts. */
  variables: z.array(
    z.strictObject({
      name: z.string(),
      kind: variableKindSchema,
      type: variableTypeSchema,
      sensitive: z.boolean(),
      /** Plain JSON, or ciphertext when sensitive. */
      value: z.json(),
      from: z.enum(['workflow', 'file', 'request']),
    }),
  ),
  /** After request, file and saved setting were weighed. */
  requiresApproval: z.boolean().nullable(),
  /** What the file alone says; a destroy long afterwards weighs it with its own request. */
  approvalInFile: z.boolean().nullable().default(null),
  /** Aliases it needed in that run: the graph that a later destroy walks in reverse. */
  needs: z.array(z.string()).default([]),
  /** Paths of the workflows of the graph that it is in, outermost first. */
  within: z.array(z.string()).default([]),
  /** The variables in force when the node last succeeded, for rollback; sensitive ones as ciphertext. */
  resolved: z
    .array(
      z.strictObject({
        name: z.string(),
        kind: variableKindSchema,
        type: variableTypeSchema,
        sensitive: z.boolean(),
        value: z.json(),
      }),
    )
    .optional(),
});
export type NodeSnapshot = z.infer<typeof nodeSnapshotSchema>;

/** Why a node was not run. */
export interface SkipReason {
  readonly kind:
    | 'failedAncestor'
    | 'disabled'
    | 'disabledAncestor'
    | 'notSelected'
    | 'stopped'
    | 'skippedByUser'
    | 'keptAlive'
    | 'removed';
  /** The node that caused it. */
  readonly alias?: string | undefined;
  readonly message: string;
}

export interface Plan {
  readonly counts: ChangeCounts;
  /** False when applying would do nothing. */
  readonly hasChanges: boolean;
  readonly resources: readonly ResourceChange[];
  /** Serial and lineage of the state the plan was made from; null when the tool has none. */
  readonly state: { readonly serial: number; readonly lineage: string } | null;
}

export const resourceActions = ['create', 'update', 'delete', 'replace', 'read', 'noop'] as const;
export type ResourceAction = (typeof resourceActions)[number];

/** One planned or drifted resource. Its values are masked and cut to a readable size. */
export interface ResourceChange {
  readonly address: string;
  readonly type: string;
  readonly action: ResourceAction;
  readonly before?: unknown;
  readonly after?: unknown;
  /** Of a drifted resource, which was `before` and is `after`: what a deploy would make of it; null for nothing. */
  readonly planned?: unknown;
}

/** The small answer a node's child workflow gives its deployment. */
export type NodeResult =
  | { readonly status: 'succeeded'; readonly changedOutputs: boolean; readonly ran: boolean }
  | { readonly status: 'failed'; readonly class: ErrorClass; readonly message: string; readonly changedState: boolean }
  | { readonly status: 'cancelled' | 'aborted'; readonly message: string; readonly changedState: boolean };

export type { RunError };
