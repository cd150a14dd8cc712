/** What the server-sent events of each stream carry. */
import { z } from 'zod';
import {
  deploymentSchema,
  deploymentStatuses,
  environmentSchema,
  eventSchema,
  eventTypes,
  logChunkSchema,
  nodeRunSchema,
} from '../model/index.ts';
import type { EventType } from '../model/index.ts';

const happenings = Object.fromEntries(eventTypes.map((type) => [type, eventSchema])) as Record<
  EventType,
  typeof eventSchema
>;

export const deploymentEvents = {
  ...happenings,
  /** First, and again with each change of the run's status. */
  snapshot: z.object({ deployment: deploymentSchema, nodes: z.array(nodeRunSchema) }),
  /** How far a tool is: told and not kept. */
  progress: z.object({ index: z.number().int(), alias: z.string(), progress: z.string() }),
  /** The run is over. */
  end: z.object({ status: z.enum(deploymentStatuses) }),
};

export const environmentEvents = { ...happenings, snapshot: z.object({ environment: environmentSchema }) };

export const logEvents = { log: logChunkSchema, end: z.object({}) };
