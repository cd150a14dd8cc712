import { z } from 'zod';
import {
  driftResultSchema,
  environmentDriftSchema,
  environmentScheduleSchema,
  pageOf,
  scheduledRunSchema,
} from '../model/index.ts';
import { pageQuery, projectQuery, refParams } from './parameters.ts';
import { route } from './route.ts';

const scheduleAnswerSchema = z
  .object({
    schedule: environmentScheduleSchema.nullable(),
    next: z.object({ deploy: z.array(z.string()), destroy: z.array(z.string()) }).describe('Next firings, ISO 8601'),
    missed: z
      .number()
      .nullable()
      .describe('Firings dropped because of an outage longer than the catch-up window; null while Temporal is away'),
  })
  .meta({ id: 'ScheduleAnswer' });

const driftAnswerSchema = z
  .object({
    drift: environmentDriftSchema.nullable(),
    next: z.array(z.string()).describe('Next checks, ISO 8601'),
    results: z.array(driftResultSchema),
    nextCursor: z.string().nullable().describe('Pass as `cursor` for older results'),
  })
  .meta({ id: 'DriftAnswer' });

export const schedules = {
  list: route('GET /schedules', {
    tag: 'Environments',
    permission: 'view',
    summary: 'List what happens at fixed times, over all environments',
    description: 'A page holds the schedules of `limit` environments.',
    query: z.strictObject({ ...pageQuery, ...projectQuery }),
    response: pageOf(scheduledRunSchema),
  }),
  get: route('GET /environments/:ref/schedule', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Show the schedule and its next firings',
    params: refParams,
    response: scheduleAnswerSchema,
  }),
  set: route('PUT /environments/:ref/schedule', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Deploy and destroy at fixed times',
    params: refParams,
    body: environmentScheduleSchema,
    response: scheduleAnswerSchema,
  }),
  remove: route('DELETE /environments/:ref/schedule', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Remove the schedule',
    params: refParams,
  }),
};

export const drift = {
  get: route('GET /environments/:ref/drift', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Show when drift is checked, and what was found, newest first',
    params: refParams,
    query: z.strictObject(pageQuery),
    response: driftAnswerSchema,
  }),
  set: route('PUT /environments/:ref/drift', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Check for drift at fixed times',
    params: refParams,
    body: environmentDriftSchema,
    response: driftAnswerSchema,
  }),
  remove: route('DELETE /environments/:ref/drift', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Stop checking for drift',
    params: refParams,
  }),
};
