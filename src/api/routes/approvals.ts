import { z } from 'zod';
import { approvalDecisionInputSchema, approvalSchema, pageOf } from '../../model/index.ts';
import { route } from '../route.ts';
import type { Route } from '../route.ts';
import { idParams, pageQuery, projectQuery, reference } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const decidedSchema = approvalSchema
  .extend({ warning: z.string().optional().describe('The decision is recorded and the run hears of it later: why') })
  .meta({ id: 'DecidedApproval' });

const decisions = [
  ['approve', 'Approve a plan; exactly this plan is applied'],
  ['reject', 'Reject a plan; nothing of it is applied'],
] as const;

export function approvalRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/approvals',
      tag: 'Approvals',
      summary: 'List decisions that are or were waited for, newest first',
      query: z.strictObject({
        ...pageQuery,
        ...projectQuery,
        status: approvalSchema.shape.status.optional(),
        deployment: reference.optional(),
        environment: reference.optional(),
      }),
      status: 200,
      response: pageOf(approvalSchema),
      handle: ({ caller, query }) => operations.listApprovals({ actor: caller, ...query }),
    }),
    route({
      method: 'get',
      path: '/approvals/:id',
      tag: 'Approvals',
      summary: 'Show what a decision is about',
      params: idParams,
      status: 200,
      response: approvalSchema,
      handle: ({ caller, params }) => operations.getApproval({ actor: caller, id: params.id }),
    }),
    ...decisions.map(([decision, summary]) =>
      route({
        method: 'post',
        path: `/approvals/:id/${decision}`,
        tag: 'Approvals',
        summary,
        params: idParams,
        body: approvalDecisionInputSchema,
        status: 200,
        response: decidedSchema,
        handle: async ({ caller, params, body }) => {
          const { approval, warning } = await operations.decide({ actor: caller, id: params.id, decision, ...body });
          return { ...approval, ...(warning === null ? {} : { warning }) };
        },
      }),
    ),
  ];
}
