import { z } from 'zod';
import { approvalSchema, deploymentSchema, environmentSchema, graphNodeSchema, nodeRunSchema } from './api.ts';
import { deploymentTypes } from './deployment.ts';

/** What the newest run that changed a node, or was to change it, has come to. */
export const lastNodeRunSchema = nodeRunSchema
  .omit({ needs: true })
  .extend({
    deploymentId: z.string(),
    deploymentNumber: z.number().int(),
    deploymentType: z.enum(deploymentTypes),
  })
  .meta({ id: 'LastNodeRun' });
export type LastNodeRun = z.infer<typeof lastNodeRunSchema>;

export const nodeStateSchema = graphNodeSchema
  .extend({ last: lastNodeRunSchema.nullable().describe('null while nothing was asked of it') })
  .meta({ id: 'NodeState' });
export type NodeState = z.infer<typeof nodeStateSchema>;

/** How an environment is, with all that a page about it shows; of a node, its own part of its parent's runs. */
export const environmentStatusReportSchema = z
  .object({
    environment: environmentSchema,
    path: z.string().describe('As commands take it: `shop`, or `shop/eks` of a node'),
    current: deploymentSchema.nullable().describe('The run in progress that changes something'),
    last: deploymentSchema.nullable().describe('The newest finished run; plans and drift checks do not count'),
    queued: z.array(deploymentSchema).describe('The first 20 that wait for their turn, next first'),
    reading: z.array(deploymentSchema).describe('Plans and drift checks in progress'),
    lastPlan: deploymentSchema.nullable(),
    lastDriftCheck: deploymentSchema.nullable(),
    approvals: z.array(approvalSchema).describe('Decisions that are waited for'),
    nodes: z.array(nodeStateSchema),
  })
  .meta({ id: 'EnvironmentStatusReport' });
export type EnvironmentStatusReport = z.infer<typeof environmentStatusReportSchema>;
