/** What the REST API answers. Request bodies are the `…InputSchema`s of the things themselves. */
import { z } from 'zod';
import {
  approvalEnvelopeSchema,
  changeCountsSchema,
  deploymentRequestSchema,
  deploymentTypes,
  nodeActions,
  removals,
  resourceActions,
  stages,
  triggers,
} from './deployment.ts';
import { environmentLockSchema, environmentSettingsSchema, ttlSchema } from './environment.ts';
import { nodeTypeSchema, retryRuleSchema, sourceSchema, templateConfigSchema, templateTypeSchema } from './template.ts';
import { approvalStatuses, deploymentStatuses, driftStatuses, environmentStatuses, nodeStatuses } from './status.ts';
import {
  variableKindSchema,
  variableLevels,
  variableScopeSchema,
  variableTypeSchema,
  variableValueSchema,
} from './variable.ts';

import { runErrorSchema } from './problem.ts';

const timestamp = z.iso.datetime().describe('ISO 8601, UTC');

/** Every list: items, and the cursor of the next page when there is one. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next: z.string().nullable().describe('Pass as `cursor` for the next page') });
}
export interface Page<T> {
  readonly items: T[];
  readonly next: string | null;
}

export const organizationSettingsSchema = z
  .strictObject({
    defaultTtl: ttlSchema.optional(),
    maximumTtlHours: z.number().positive().optional().describe('Longest time to live, from the deploy that sets it'),
    maxParallel: z.number().int().min(1).max(1000).optional().describe('Nodes at once in each run'),
  })
  .meta({ id: 'ScopeSettings' });
export type ScopeSettings = z.infer<typeof organizationSettingsSchema>;

export const organizationSchema = z
  .object({ id: z.string(), name: z.string(), settings: organizationSettingsSchema, createdAt: timestamp })
  .meta({ id: 'Organization' });
export type Organization = z.infer<typeof organizationSchema>;

export const projectSchema = z
  .object({
    id: z.string(),
    organizationId: z.string(),
    name: z.string(),
    settings: organizationSettingsSchema,
    createdAt: timestamp,
  })
  .meta({ id: 'Project' });
export type Project = z.infer<typeof projectSchema>;

export const projectInputSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    organization: z.string().optional().describe('Name or id; the only one when absent'),
    settings: organizationSettingsSchema.prefault({}),
  })
  .meta({ id: 'ProjectInput' });

export const templateSchema = z
  .object({
    id: z.string(),
    projectId: z.string(),
    name: z.string(),
    type: templateTypeSchema,
    source: sourceSchema,
    config: templateConfigSchema,
    retryOnDeploy: retryRuleSchema.nullable(),
    retryOnDestroy: retryRuleSchema.nullable(),
    description: z.string().nullable(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Template' });
export type Template = z.infer<typeof templateSchema>;

export const stateUnverifiedSchema = z.object({
  since: timestamp,
  deploymentId: z.string(),
  reason: z.string(),
  lockId: z.string().nullable(),
});
export type StateUnverified = z.infer<typeof stateUnverifiedSchema>;

export const environmentSchema = z
  .object({
    id: z.string(),
    projectId: z.string(),
    parentId: z.string().nullable(),
    alias: z.string().nullable(),
    name: z.string(),
    type: nodeTypeSchema,
    templateId: z.string().nullable(),
    templateName: z.string().nullable(),
    workspace: z.string().nullable(),
    revision: z.string().nullable(),
    status: z.enum(environmentStatuses),
    /** Shown beside the status. */
    flags: z.object({
      waitingForApproval: z.number().int().describe('Nodes that wait for a person'),
      queued: z.number().int().describe('Runs that wait for their turn'),
      drift: z.enum(driftStatuses),
      driftCheckedAt: timestamp.nullable(),
      lock: environmentLockSchema.nullable(),
      stateUnverified: stateUnverifiedSchema.nullable(),
      detached: z.boolean(),
      archived: z.boolean(),
    }),
    settings: environmentSettingsSchema,
    expiresAt: timestamp.nullable(),
    expiryHeld: z
      .string()
      .nullable()
      .describe('Of a node: why it is still there although its end is due, and what to do'),
    currentDeploymentId: z.string().nullable().describe('The run in progress'),
    lastDeploymentId: z.string().nullable(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Environment' });
export type Environment = z.infer<typeof environmentSchema>;

export const nodeWaitSchema = z
  .object({
    until: timestamp.describe('When it tries again'),
    account: z.string().nullable().describe('The account that has asked for slower calls, if that is why'),
    lock: z
      .object({ by: z.string().describe('Such as `deploy 12 of shop`'), since: timestamp })
      .nullable()
      .describe('Who else holds the lock of its state'),
  })
  .meta({ id: 'NodeWait' });

export const nodeRunSchema = z
  .object({
    index: z.number().int(),
    alias: z.string().describe('The path of aliases of a node in a workflow of the graph: `network/vpc`'),
    within: z.array(z.string()).describe('Paths of the workflows that it is in, outermost first'),
    name: z.string(),
    environmentId: z.string(),
    compensation: z.boolean(),
    needs: z.array(z.string()).describe('Aliases this node waits for in this run'),
    action: z.enum(nodeActions),
    removal: z.enum(removals).nullable().describe('Of a node that is no longer wanted: what a deploy does to it'),
    status: z.enum(nodeStatuses),
    stage: z.enum(stages).nullable(),
    progress: z.string().nullable().describe('How far the tool is, such as `3 of 5 resources`'),
    waitsFor: z
      .string()
      .nullable()
      .describe(
        'What it waits for besides its needs, such as `waits for a place: 200 of 200 are running`; told in lists',
      ),
    wait: nodeWaitSchema.nullable().describe('Of a node that tries again later; null otherwise'),
    try: z.number().int(),
    /** Of a skipped or kept node. */
    reason: z.object({ kind: z.string(), alias: z.string().optional(), message: z.string() }).nullable(),
    error: runErrorSchema.nullable(),
    counts: changeCountsSchema.nullable(),
    ran: z.boolean().describe('False when it was recognized as unchanged'),
    approvalId: z.string().nullable().describe('The decision it waits for'),
    templateName: z.string().nullable(),
    type: nodeTypeSchema.nullable(),
    commit: z.string().nullable(),
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
    stageTimes: z.record(z.string(), z.object({ startedAt: timestamp, finishedAt: timestamp.nullable() })),
  })
  .meta({ id: 'NodeRun' });
export type NodeRun = z.infer<typeof nodeRunSchema>;

export const deploymentSchema = z
  .object({
    id: z.string(),
    environmentId: z.string(),
    environmentName: z.string(),
    number: z.number().int(),
    type: z.enum(deploymentTypes),
    status: z.enum(deploymentStatuses),
    paused: z.boolean(),
    maxParallel: z.number().int().nullable().describe('Nodes at once; null before its file was read'),
    trigger: z.enum(triggers),
    requestedBy: z.string(),
    request: deploymentRequestSchema,
    progress: z
      .string()
      .nullable()
      .describe('What it does before it has nodes: what is fetched, or what it waits for; null afterwards'),
    sourceCommit: z.string().nullable(),
    error: runErrorSchema.nullable(),
    basedOn: z.string().nullable(),
    queuePosition: z.number().int().nullable(),
    counts: z.object({
      total: z.number().int(),
      succeeded: z.number().int(),
      failed: z.number().int(),
      cancelled: z.number().int().describe('Cancelled and aborted ones'),
      skipped: z.number().int(),
      running: z.number().int().describe('Those that wait for an approval, a retry or a person too'),
      pending: z.number().int(),
    }),
    waitingForApproval: z.number().int(),
    temporalUrl: z.string().nullable().describe('This run in the Temporal Web UI'),
    queuedAt: timestamp,
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
  })
  .meta({ id: 'Deployment' });
export type Deployment = z.infer<typeof deploymentSchema>;

export const approvalSchema = z
  .object({
    id: z.string(),
    deploymentId: z.string(),
    deploymentNumber: z.number().int(),
    deploymentType: z.enum(deploymentTypes),
    environmentId: z.string(),
    environmentName: z.string().describe('Of the environment whose run waits'),
    alias: z.string(),
    path: z.string().describe('What is decided on, as commands take it: `shop`, or `shop/eks`'),
    requestedBy: z.string().describe('Who asked for the run'),
    status: z.enum(approvalStatuses),
    reason: z.string().describe('Why a person is asked'),
    about: z
      .enum(['plan', 'gate'])
      .describe('A plan of changes, or an approval node of the file, which changes nothing'),
    required: z.number().int(),
    forbidRequester: z.boolean(),
    counts: changeCountsSchema,
    resources: z.array(z.object({ address: z.string(), type: z.string(), action: z.enum(resourceActions) })),
    decisions: z.array(
      z.object({
        by: z.string(),
        decision: z.enum(['approve', 'reject']),
        comment: z.string().nullable(),
        at: timestamp,
      }),
    ),
    createdAt: timestamp,
    expiresAt: timestamp,
  })
  .meta({ id: 'Approval' });
export type Approval = z.infer<typeof approvalSchema>;

export const approvalDecisionInputSchema = z
  .strictObject({ comment: z.string().max(2000).optional(), envelope: approvalEnvelopeSchema.optional() })
  .meta({ id: 'ApprovalDecisionInput' });

/** A stored variable. A sensitive one comes without its value. */
export const variableSchema = z
  .object({
    id: z.string(),
    scope: variableScopeSchema,
    scopeId: z.string(),
    alias: z.string().nullable(),
    name: z.string(),
    kind: variableKindSchema,
    type: variableTypeSchema,
    value: variableValueSchema.nullable(),
    hasValue: z.boolean(),
    sensitive: z.boolean(),
    readOnly: z.boolean(),
    required: z.boolean(),
    regex: z.string().nullable(),
    allowed: z.array(variableValueSchema).nullable(),
    description: z.string().nullable(),
    updatedAt: timestamp,
  })
  .meta({ id: 'Variable' });
export type VariableDto = z.infer<typeof variableSchema>;

/** A variable that was made; with what is worth a word about it. */
export const createdVariableSchema = variableSchema
  .extend({ warning: z.string().optional().describe('Such as that no node declares it') })
  .meta({ id: 'CreatedVariable' });

export const effectiveVariableSchema = z
  .object({
    name: z.string(),
    kind: variableKindSchema,
    type: variableTypeSchema,
    value: variableValueSchema.nullable(),
    sensitive: z.boolean(),
    level: z.enum([...variableLevels, 'input']).describe('`input`: read from outputs of other nodes'),
    overrides: z.array(z.enum([...variableLevels, 'input'])),
    alias: z.string().nullable().describe('For which node; null for the environment itself'),
    readOnly: z.boolean().describe('Nearer levels may not change the value'),
    template: z.string().nullable().describe('Of an input: what it reads, as the file says it'),
  })
  .meta({ id: 'EffectiveVariable' });

export const outputSchema = z
  .object({
    alias: z.string().nullable().describe('Of which node; null for the environment itself'),
    name: z.string(),
    type: variableTypeSchema,
    value: variableValueSchema.nullable().describe('null when sensitive'),
    sensitive: z.boolean(),
    updatedAt: timestamp,
  })
  .meta({ id: 'Output' });
export type OutputDto = z.infer<typeof outputSchema>;

export const logChunkSchema = z
  .object({
    id: z.number().int(),
    alias: z.string(),
    stage: z.enum(stages),
    compensation: z.boolean(),
    try: z.number().int(),
    at: timestamp,
    text: z.string(),
  })
  .meta({ id: 'LogChunk' });
export type LogChunk = z.infer<typeof logChunkSchema>;

export const stateVersionSchema = z
  .object({
    id: z.number().int(),
    serial: z.number().int(),
    lineage: z.string(),
    size: z.number().int(),
    resources: z.number().int(),
    deploymentId: z.string().nullable(),
    restoredFrom: z.number().int().nullable(),
    createdBy: z.string().nullable(),
    createdAt: timestamp,
  })
  .meta({ id: 'StateVersion' });
export type StateVersion = z.infer<typeof stateVersionSchema>;

export const graphNodeSchema = z.object({
  alias: z.string().describe('The path of aliases of a node in a workflow of the graph: `network/vpc`'),
  within: z.array(z.string()).describe('Paths of the workflows that it is in, outermost first; those are nodes, too'),
  name: z.string(),
  environmentId: z.string().nullable(),
  needs: z.array(z.string()),
  status: z.enum(environmentStatuses),
  disabled: z.boolean(),
  drift: z.enum(driftStatuses),
  stateUnverified: stateUnverifiedSchema.nullable(),
  expiresAt: timestamp.nullable().describe('When it is destroyed by itself; null when it has no end of its own'),
  expiryHeld: z.string().nullable().describe('Why it is still there although its end is due, and what to do'),
  templateName: z.string().nullable(),
  type: nodeTypeSchema.nullable(),
});

export const graphSchema = z.object({ nodes: z.array(graphNodeSchema) }).meta({ id: 'Graph' });
export type Graph = z.infer<typeof graphSchema>;

export const apiKeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    prefix: z.string(),
    permissions: z.array(z.string()),
    createdAt: timestamp,
    expiresAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable(),
  })
  .meta({ id: 'ApiKey' });

export const auditEntrySchema = z
  .object({
    id: z.number().int(),
    at: timestamp,
    actor: z.object({ kind: z.string(), id: z.string(), name: z.string(), from: z.string().nullable() }),
    action: z.string(),
    targetType: z.string(),
    targetId: z.string(),
    targetName: z.string().nullable().describe('As it is called now, or was called: `shop`, `shop/eks`, `shop#7`'),
    projectId: z.string().nullable(),
    projectName: z.string().nullable(),
    before: z.json().nullable(),
    after: z.json().nullable(),
  })
  .meta({ id: 'AuditEntry' });

/** Something that happens at fixed times. */
export const scheduledRunSchema = z
  .object({
    environmentId: z.string(),
    environmentName: z.string(),
    projectId: z.string(),
    kind: z.enum(['deploy', 'destroy', 'drift']),
    cron: z.string(),
    timezone: z.string(),
    paused: z.boolean(),
    locked: z.boolean().describe('A lock of the environment refuses the run'),
    next: timestamp.nullable().describe('null while paused'),
    missed: z.number().int().nullable().describe('Firings dropped because of an outage; null while Temporal is away'),
  })
  .meta({ id: 'ScheduledRun' });
export type ScheduledRun = z.infer<typeof scheduledRunSchema>;

export const driftResultSchema = z
  .object({
    id: z.string(),
    environmentId: z.string(),
    alias: z.string().nullable(),
    deploymentId: z.string(),
    status: z.enum(driftStatuses),
    message: z.string().nullable(),
    resources: z.array(
      z.object({
        address: z.string(),
        type: z.string(),
        action: z.enum(resourceActions),
        before: z.json().nullable().describe('As it was deployed'),
        after: z.json().nullable().describe('As it is'),
        planned: z.json().optional().describe('As a deploy would make it; absent when the tool does not say'),
      }),
    ),
    at: timestamp,
  })
  .meta({ id: 'DriftResult' });
