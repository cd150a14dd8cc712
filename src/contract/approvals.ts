import { z } from 'zod';
import { approvalDecisionInputSchema, approvalSchema, pageOf } from '../model/index.ts';
import { idParams, pageQuery, projectQuery, reference } from './parameters.ts';
import { route } from './route.ts';

const decidedSchema = approvalSchema
  .extend({ warning: z.string().optional().describe('The decision is recorded and the run hears of it later: why') })
  .meta({ id: 'DecidedApproval' });

export const approvals = {
  list: route('GET /approvals', {
    tag: 'Approvals',
    permission: 'view',
    summary: 'List decisions that are or were waited for, newest first',
    query: z.strictObject({
      ...pageQuery,
      ...projectQuery,
      status: approvalSchema.shape.status.optional(),
      deployment: reference.optional(),
      environment: reference.optional(),
    }),
    response: pageOf(approvalSchema),
  }),
  get: route('GET /approvals/:id', {
    tag: 'Approvals',
    permission: 'view',
    summary: 'Show what a decision is about',
    params: idParams,
    response: approvalSchema,
  }),
  approve: route('POST /approvals/:id/approve', {
    tag: 'Approvals',
    permission: 'approve',
    summary: 'Approve a plan; exactly this plan is applied',
    params: idParams,
    body: approvalDecisionInputSchema,
    response: decidedSchema,
  }),
  reject: route('POST /approvals/:id/reject', {
    tag: 'Approvals',
    permission: 'approve',
    summary: 'Reject a plan; nothing of it is applied',
    params: idParams,
    body: approvalDecisionInputSchema,
    response: decidedSchema,
  }),
};
