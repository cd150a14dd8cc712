/** What a run would do, worked out before it is asked for. No tool is run for it. */
import { z } from 'zod';
import { deploymentTypes } from './deployment.ts';

/** What a node is at: the deployment that made it so, and its code. */
export const nodeVersionSchema = z.object({
  deployment: z.number().int().nullable().describe('Number of the deployment'),
  commit: z.string().nullable(),
});
export type NodeVersion = z.infer<typeof nodeVersionSchema>;

export const previewNodeSchema = z
  .object({
    alias: z.string(),
    name: z.string(),
    action: z.enum(['deploy', 'destroy', 'detach', 'keep']),
    because: z.string().nullable().describe('Why it is kept, or goes'),
    from: nodeVersionSchema.nullable().describe('What is deployed now; null when nothing is'),
    to: nodeVersionSchema.nullable().describe('What it becomes; null when it goes'),
    resources: z
      .number()
      .int()
      .nullable()
      .describe('Resources in its state; null when Windlass does not keep the state'),
  })
  .meta({ id: 'PreviewNode' });
export type PreviewNode = z.infer<typeof previewNodeSchema>;

export const previewDestroySchema = z
  .object({
    alias: z.string(),
    name: z.string(),
    whole: z.boolean().describe('The node goes as a whole; else only resources of it'),
    resources: z.number().int().nullable().describe('How many, as far as it is known'),
    addresses: z.array(z.string()).describe('The resources, where a plan names them'),
    plannedIn: z.number().int().nullable().describe('Number of the plan that says so'),
  })
  .meta({ id: 'PreviewDestroy' });
export type PreviewDestroy = z.infer<typeof previewDestroySchema>;

export const previewSchema = z
  .object({
    environmentId: z.string(),
    environmentName: z.string(),
    type: z.enum(deploymentTypes),
    /** Of a running deployment: it is stopped, and what it began is taken back. */
    stops: z.string().nullable().describe('Id of the running deployment that is stopped for it'),
    basedOn: z.object({ id: z.string(), number: z.number().int() }).nullable().describe('What is gone back to'),
    commit: z.string().nullable(),
    nodes: z.array(previewNodeSchema),
    destroys: z.array(previewDestroySchema).describe('What would be destroyed, as far as it is known before the run'),
    warnings: z.array(z.string()),
  })
  .meta({ id: 'Preview' });
export type Preview = z.infer<typeof previewSchema>;
