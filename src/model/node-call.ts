/** One call for one node of a run, as those who keep its records and those who run its tool tell each other. */
import { z } from 'zod';
import { actorSchema } from './actor.ts';
import {
  changeCountsSchema,
  deploymentRequestSchema,
  nodeActions,
  nodeSnapshotSchema,
  removals,
  resourceActions,
  stages,
} from './deployment.ts';
import { environmentStatuses, nodeStatuses } from './status.ts';
import { environmentLockSchema, environmentSettingsSchema } from './environment.ts';
import { problemSchema, runErrorSchema } from './problem.ts';

/** One node of a run, or what undoes it. */
export const nodeKeySchema = z.strictObject({
  deploymentId: z.string().max(100),
  index: z.number().int().nonnegative(),
  compensation: z.boolean(),
});
export type NodeKey = z.infer<typeof nodeKeySchema>;

/** Evidence about the call of a tool, written before the tool starts; see docs/architecture.md, "Recovery". */
export const journalSchema = z.object({
  open: z.boolean(),
  stage: z.enum(stages),
  changes: z.boolean(),
  workerId: z.string(),
  host: z.string(),
  bootId: z.string(),
  workDirectory: z.string(),
  grantId: z.string().nullable(),
  /** Stage of an earlier change that was cut off and has not been planned over yet. */
  cutOff: z.string().nullish(),
});
export type Journal = z.infer<typeof journalSchema>;

export const heldReasonSchema = z.enum([
  'over',
  'other',
  'notRollingBack',
  'stopping',
  'idle',
  'paused',
  'runPaused',
  'notYet',
]);
/** Why a node is left as it is, whoever calls. */
export type HeldReason = z.infer<typeof heldReasonSchema>;

/** All that the run of a node needs to know of its records. */
export const nodeBeginSchema = z.object({
  held: heldReasonSchema.nullable(),
  alias: z.string(),
  name: z.string(),
  environment_id: z.string(),
  action: z.enum(nodeActions),
  removal: z.enum(removals).nullable(),
  status: z.string(),
  try: z.number(),
  snapshot: nodeSnapshotSchema.nullable(),
  journal: journalSchema.nullable(),
  plan: z.unknown(),
  error: z.unknown(),
  changed_outputs: z.boolean(),
  ran: z.boolean(),
  began_change: z.boolean(),
  request: deploymentRequestSchema,
  deployment_type: z.string(),
  trigger: z.string(),
  /** Of the request that asked for the run. */
  traceparent: z.string().nullable(),
  requested_by: actorSchema,
  /** They could approve when they asked. */
  may_waive_approval: z.boolean(),
  entity_id: z.string(),
  entity_name: z.string(),
  project_id: z.string(),
  organization_id: z.string(),
  parent_id: z.string().nullable(),
  parent_template_id: z.string().nullable(),
  environment_status: z.string(),
  environment_settings: environmentSettingsSchema,
  /** Of the workflow environment it belongs to. */
  entity_settings: environmentSettingsSchema.nullable(),
  /** The workflows of its graph that it is in, outermost first. */
  groups: z
    .array(
      z.object({
        id: z.string(),
        alias: z.string(),
        template_id: z.string().nullable(),
        settings: environmentSettingsSchema,
      }),
    )
    .default([]),
  input_hash: z.string().nullable(),
  state_unverified: z.object({ reason: z.string() }).nullable(),
  deployed_snapshot: nodeSnapshotSchema.nullable(),
  lock: environmentLockSchema.nullable(),
  /** The question that an earlier call has asked and nobody has heard the answer of. */
  asked_approval: z
    .object({
      id: z.string(),
      status: z.string(),
      /** Who decided last, and what they said. */
      by: z.string().nullable(),
      comment: z.string().nullable(),
      expiresInMs: z.number(),
    })
    .nullable(),
  approval_decided: z.string().nullable(),
  /** Who approved its plan, when that was done. */
  reviewers: z.string().nullable(),
});
export type NodeBegin = z.infer<typeof nodeBeginSchema>;

const resourceChangeSchema = z.object({
  address: z.string().max(2000),
  type: z.string().max(500),
  action: z.enum(resourceActions),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
  planned: z.unknown().optional(),
});

/** A plan as it crosses a border. */
export const planSchema = z.object({
  counts: changeCountsSchema,
  hasChanges: z.boolean(),
  resources: z.array(resourceChangeSchema).max(100_000).readonly(),
  state: z.object({ serial: z.number(), lineage: z.string() }).nullable(),
});

/** Why a node failed, as it crosses a border. */
export const nodeErrorSchema = runErrorSchema.extend({ problems: z.array(problemSchema).readonly().optional() });

/** A node's ending, or a wait within its run, with the consequences for its environment. */
export const nodeEndingSchema = z.object({
  status: z.enum(nodeStatuses),
  error: nodeErrorSchema.optional(),
  reason: z.object({ kind: z.string(), alias: z.string().optional(), message: z.string() }).optional(),
  plan: planSchema.nullish(),
  changedOutputs: z.boolean().optional(),
  /** False when it was recognized as unchanged. */
  ran: z.boolean().optional(),
  /** Of a node that is tried again: when, and which account it waits for. */
  wait: z.object({ afterMs: z.number(), account: z.string().nullable() }).optional(),
  /** The grant of the call that ends; absent when it had none yet. Of a later call of the node, which has taken over, nothing is ended. */
  grantId: z.string().optional(),
  /** The grant of an earlier call that nobody can prove over; it stays until a person has decided. */
  openGrantId: z.string().nullish(),
  /** What becomes of the node's environment; undefined leaves it. */
  environment: z
    .object({
      status: z.enum(environmentStatuses).optional(),
      snapshot: z.unknown().optional(),
      inputHash: z.string().nullish(),
      stateUnverified: z.unknown().optional(),
    })
    .optional(),
});
export type NodeEnding = z.infer<typeof nodeEndingSchema>;

export const newLogChunkSchema = z.object({
  stage: z.enum(stages),
  /** Already masked. */
  text: z.string(),
  /** When it was said; now when absent. */
  at: z.coerce.date().optional(),
});
export type NewLogChunk = z.infer<typeof newLogChunkSchema>;

/** The log of one try of a node. */
export interface LogOwner extends NodeKey {
  readonly try: number;
}
