import { z } from 'zod';

/** What server-sent events carry. `id` grows for ever, so that a client can resume after `Last-Event-ID`. */
export const eventTypes = [
  'deployment.status',
  'node.status',
  'node.stage',
  'node.log',
  'environment.status',
  'environment.warning',
  'approval.requested',
  'approval.decided',
  'ttl.changed',
  'ttl.warning',
  'schedule.skipped',
  'drift.result',
] as const;
export const eventTypeSchema = z.enum(eventTypes);
export type EventType = z.infer<typeof eventTypeSchema>;

export const eventSchema = z
  .object({
    id: z.number().int(),
    type: eventTypeSchema,
    at: z.string().describe('ISO 8601'),
    environmentId: z.string().nullable(),
    deploymentId: z.string().nullable(),
    alias: z.string().nullable(),
    data: z.record(z.string(), z.json()),
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof eventSchema>;
