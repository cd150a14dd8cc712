import { z } from 'zod';
import { poolNameSchema } from './pool.ts';
import { sourceSchema, templateConfigSchema, nodeTypeSchema } from './template.ts';

/** When an environment destroys itself. Hours count from the end of the last successful deploy. */
export const ttlSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('unlimited') }),
    z.strictObject({ kind: z.literal('hours'), hours: z.number().positive().max(87_600) }),
    z.strictObject({ kind: z.literal('date'), at: z.iso.datetime({ offset: true }) }),
  ])
  .meta({ id: 'Ttl' });
export type Ttl = z.infer<typeof ttlSchema>;

export const cronSchema = z
  .string()
  .min(9)
  .max(100)
  .describe('Five fields: minute hour day-of-month month day-of-week');

const fromFileSchema = z
  .literal(true)
  .optional()
  .describe('Set by the workflow file, which may change it again; not kept when it is sent');

export const environmentScheduleSchema = z
  .strictObject({
    deploy: cronSchema.optional(),
    destroy: cronSchema.optional(),
    timezone: z.string().max(60).default('UTC'),
    paused: z.boolean().default(false),
    catchUpSeconds: z
      .number()
      .int()
      .min(10)
      .max(604_800)
      .default(600)
      .describe('Firings missed by more than this are dropped'),
    fromFile: fromFileSchema,
  })
  .meta({ id: 'EnvironmentSchedule' });
export type EnvironmentSchedule = z.infer<typeof environmentScheduleSchema>;

export const environmentDriftSchema = z
  .strictObject({
    cron: cronSchema,
    timezone: z.string().max(60).default('UTC'),
    remediation: z.enum(['none', 'redeploy', 'ask']).default('none'),
    maxParallel: z.number().int().min(1).max(500).default(4),
    paused: z.boolean().default(false),
    fromFile: fromFileSchema,
  })
  .meta({ id: 'EnvironmentDrift' });
export type EnvironmentDrift = z.infer<typeof environmentDriftSchema>;

/** Saved settings of one environment; a workflow file may set the same things for its own runs. */
export const environmentSettingsSchema = z
  .strictObject({
    requiresApproval: z.boolean().optional(),
    requiredApprovals: z.number().int().min(1).max(20).default(1),
    forbidSelfApproval: z.boolean().default(false),
    approvalExpirySeconds: z
      .number()
      .int()
      .min(60)
      .max(31_536_000)
      .default(14 * 86_400),
    ttl: ttlSchema.optional(),
    schedule: environmentScheduleSchema.optional(),
    drift: environmentDriftSchema.optional(),
    coalesceDeploys: z.boolean().default(false).describe('Keep only the newest queued deploy; never jumps a destroy'),
    maxParallel: z.number().int().min(1).max(1000).optional(),
    pool: poolNameSchema
      .optional()
      .describe('Runner pool, instead of that of the templates; of a node instead of the whole'),
  })
  .meta({ id: 'EnvironmentSettings' });
export type EnvironmentSettings = z.infer<typeof environmentSettingsSchema>;

/** A template that lives only inside its environment (`vcs` in a workflow file). */
export const inlineTemplateSchema = z.strictObject({
  type: nodeTypeSchema,
  source: sourceSchema,
  config: templateConfigSchema,
});

export const environmentLockSchema = z.strictObject({
  reason: z.string().min(1).max(1000),
  by: z.string(),
  at: z.string(),
});
export type EnvironmentLock = z.infer<typeof environmentLockSchema>;

export const environmentInputSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    template: z.string().min(1).max(200).describe('Name or id of the template'),
    workspace: z.string().max(200).optional(),
    revision: z.string().max(250).optional().describe("Instead of the template's revision"),
    settings: environmentSettingsSchema.prefault({}),
  })
  .meta({ id: 'EnvironmentInput' });
export type EnvironmentInput = z.infer<typeof environmentInputSchema>;
