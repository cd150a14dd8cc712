/** What happens, as it is recorded and told: one kind of event for each thing that can happen. */
import { z } from 'zod';
import { nodeRunSchema } from './api.ts';
import { changeCountsSchema, deploymentTypes, nodeActions, stages, triggers } from './deployment.ts';
import { environmentLockSchema } from './environment.ts';
import { runErrorSchema } from './problem.ts';
import { approvalStatuses, deploymentStatuses, driftStatuses, environmentStatuses, nodeStatuses } from './status.ts';

const node = { index: z.number().int(), compensation: z.boolean().optional() };
const reasonSchema = nodeRunSchema.shape.reason.unwrap();
/** ISO 8601, or as PostgreSQL writes timestamps inside JSON. */
const moment = z.string();
const waitSchema = z.object({
  until: moment,
  /** That has asked for slower calls. */
  account: z.string().optional(),
  /** Who else holds the lock of its state. */
  lock: z.object({ by: z.string(), since: moment }).optional(),
});

/** What each kind of event carries. What is optional was not told by earlier versions, or is not always known. */
const dataSchemas = {
  'deployment.status': z.object({
    status: z.enum(deploymentStatuses),
    number: z.number().int().optional(),
    type: z.enum(deploymentTypes).optional(),
    trigger: z.enum(triggers).optional(),
    paused: z.boolean().optional(),
    /** What a run does before it has nodes. */
    progress: z.string().optional(),
    message: z.string().optional(),
    error: runErrorSchema.nullish(),
  }),
  'node.status': z.object({
    ...node,
    status: z.enum(nodeStatuses),
    action: z.enum(nodeActions).optional(),
    try: z.number().int().optional(),
    ran: z.boolean().optional(),
    error: runErrorSchema.optional(),
    reason: reasonSchema.optional(),
    /** Of a node that tries again later. */
    wait: waitSchema.optional(),
    counts: changeCountsSchema.optional(),
    approvalId: z.string().optional(),
    startedAt: moment.optional(),
    finishedAt: moment.optional(),
  }),
  'node.stage': z.object({ ...node, stage: z.enum(stages) }),
  'node.log': z.object({ message: z.string() }),
  /** `lock` and `stateUnverified` are there when it is they that have changed; null when they are gone. */
  'environment.status': z.object({
    status: z.enum(environmentStatuses),
    lock: environmentLockSchema.nullable().optional(),
    stateUnverified: z.looseObject({ reason: z.string() }).nullable().optional(),
  }),
  'environment.warning': z.object({
    message: z.string(),
    kind: z.enum(['stranded', 'stateUnlocked']).optional(),
    lockId: z.string().optional(),
  }),
  'approval.requested': z.object({
    ...node,
    approvalId: z.string(),
    reason: z.string(),
    counts: changeCountsSchema,
    expiresAt: moment,
  }),
  'approval.decided': z.object({
    ...node,
    approvalId: z.string(),
    decision: z.enum(['approve', 'reject']),
    by: z.string(),
    status: z.enum(approvalStatuses),
    complete: z.boolean(),
  }),
  'ttl.changed': z.object({ expiresAt: moment.nullable(), by: z.string().optional() }),
  'ttl.warning': z.object({ expiresAt: moment, remainingSeconds: z.number() }),
  'schedule.skipped': z.object({
    kind: z.enum(['deploy', 'destroy', 'drift']),
    firedAt: z.string(),
    message: z.string(),
  }),
  'drift.result': z.object({
    status: z.enum(driftStatuses),
    /** How many. */
    resources: z.number().int(),
    message: z.string().nullable(),
  }),
} as const;

export type EventType = keyof typeof dataSchemas;
/** What an event of a kind carries. */
export type EventData<T extends EventType> = z.infer<(typeof dataSchemas)[T]>;

export const eventTypes = Object.keys(dataSchemas) as [EventType, ...EventType[]];
export const eventTypeSchema = z.enum(eventTypes);

const subject = {
  environmentId: z.string().nullable(),
  deploymentId: z.string().nullable(),
  alias: z.string().nullable(),
};
const told = { id: z.number().int(), at: z.string(), ...subject };

/** An event of a kind and shape that this version knows. */
export const knownEventSchema = z.discriminatedUnion('type', [
  z.object({ ...told, type: z.literal('deployment.status'), data: dataSchemas['deployment.status'] }),
  z.object({ ...told, type: z.literal('node.status'), data: dataSchemas['node.status'] }),
  z.object({ ...told, type: z.literal('node.stage'), data: dataSchemas['node.stage'] }),
  z.object({ ...told, type: z.literal('node.log'), data: dataSchemas['node.log'] }),
  z.object({ ...told, type: z.literal('environment.status'), data: dataSchemas['environment.status'] }),
  z.object({ ...told, type: z.literal('environment.warning'), data: dataSchemas['environment.warning'] }),
  z.object({ ...told, type: z.literal('approval.requested'), data: dataSchemas['approval.requested'] }),
  z.object({ ...told, type: z.literal('approval.decided'), data: dataSchemas['approval.decided'] }),
  z.object({ ...told, type: z.literal('ttl.changed'), data: dataSchemas['ttl.changed'] }),
  z.object({ ...told, type: z.literal('ttl.warning'), data: dataSchemas['ttl.warning'] }),
  z.object({ ...told, type: z.literal('schedule.skipped'), data: dataSchemas['schedule.skipped'] }),
  z.object({ ...told, type: z.literal('drift.result'), data: dataSchemas['drift.result'] }),
]);
export type KnownEvent = z.infer<typeof knownEventSchema>;

/** An event that is to be recorded. */
export type NewEvent = {
  readonly [T in EventType]: {
    readonly type: T;
    readonly environmentId: string | null;
    readonly deploymentId: string | null;
    readonly alias: string | null;
    readonly data: EventData<T>;
  };
}[EventType];

/**
 * What server-sent events carry. `id` grows for ever, so that a client can resume after `Last-Event-ID`. Events of other
 * versions are told as they are; see `knownEventSchema`.
 */
export const eventSchema = z
  .object({
    id: z.number().int(),
    type: eventTypeSchema,
    at: z.string().describe('ISO 8601'),
    ...subject,
    data: z.record(z.string(), z.json()),
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof eventSchema>;
