import { z } from 'zod';

/** Longer without a sign of life than any worker that lives: it gives one every five seconds. */
export const workerDeadAfterMs = 20_000;

export const poolNameSchema = z
  .string()
  .min(1)
  .max(60)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'expected small letters, digits and "-", such as eu-private');

export const runnerPoolInputSchema = z
  .strictObject({ name: poolNameSchema, description: z.string().max(1000).optional() })
  .meta({ id: 'RunnerPoolInput' });

/** Workers of somebody else that run the tools of the nodes which are given to them. */
export const runnerPoolSchema = z
  .object({
    name: z.string(),
    description: z.string().nullable(),
    workers: z.number().int().describe('Workers that live'),
    lastSeenAt: z.iso.datetime().nullable().describe('The last sign of life of any of them'),
    running: z.number().int().describe('Nodes whose tools it runs'),
    waiting: z.number().int().nullable().describe('Calls that wait for a worker of it; null while Temporal is away'),
    createdAt: z.iso.datetime(),
    tokenChangedAt: z.iso.datetime(),
  })
  .meta({ id: 'RunnerPool' });
export type RunnerPool = z.infer<typeof runnerPoolSchema>;

export const newRunnerPoolSchema = runnerPoolSchema
  .extend({ token: z.string().describe('Told here and never again') })
  .meta({ id: 'NewRunnerPool' });
export type NewRunnerPool = z.infer<typeof newRunnerPoolSchema>;
