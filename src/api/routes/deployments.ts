import { z } from 'zod';
import {
  deploymentRequestSchema,
  deploymentSchema,
  nodeRunSchema,
  pageOf,
  previewSchema,
  variableInputSchema,
} from '../../model/index.ts';
import { route, streamRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { accepted, acceptedSchema, deploymentFilters } from './environments.ts';
import { nodeParams, optionalReasonBody, pageQuery, projectQuery, refParams, reference, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const verbs = [
  ['cancel', 'Drop what is queued or waiting; running tools finish'],
  ['abort', 'Interrupt running tools and take nothing back'],
] as const;

const steps = [
  ['pause', 'Start nothing new; what runs goes on'],
  ['continue', 'Go on with a paused run'],
] as const;

const repairs = [
  ['retry', 'Try a failed node of a running deployment again'],
  ['skip', 'Leave a node of a running deployment out; what waited on it goes on'],
] as const;

const emptyBody = z.strictObject({});

export function deploymentRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/deployments',
      tag: 'Deployments',
      summary: 'List deployments, newest first',
      query: z.strictObject({ ...pageQuery, ...projectQuery, environment: reference.optional(), ...deploymentFilters }),
      status: 200,
      response: pageOf(deploymentSchema),
      handle: ({ caller, query }) => operations.listDeployments({ actor: caller, ...query }),
    }),
    route({
      method: 'get',
      path: '/deployments/:ref',
      tag: 'Deployments',
      summary: 'Show a deployment',
      params: refParams,
      status: 200,
      response: deploymentSchema,
      handle: ({ caller, params }) => operations.getDeployment({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'get',
      path: '/deployments/:ref/nodes',
      tag: 'Deployments',
      summary: 'List the nodes of a deployment in their order; those that take something back come last',
      params: refParams,
      query: z.strictObject({
        ...pageQuery,
        limit: z.coerce.number().int().min(1).max(10_000).optional().describe('200 when absent'),
      }),
      status: 200,
      response: pageOf(nodeRunSchema),
      handle: async ({ caller, params, query }) =>
        slice(await operations.listNodes({ actor: caller, ref: params.ref }), query),
    }),
    ...verbs.map(([verb, summary]) =>
      route({
        method: 'post',
        path: `/deployments/:ref/${verb}`,
        tag: 'Deployments',
        summary,
        params: refParams,
        body: optionalReasonBody,
        status: 200,
        response: deploymentSchema,
        handle: ({ caller, params, body }) => {
          const ask = { actor: caller, ref: params.ref, reason: body.reason };
          return verb === 'cancel' ? operations.cancelDeployment(ask) : operations.abortDeployment(ask);
        },
      }),
    ),
    route({
      method: 'post',
      path: '/deployments/:ref/rollback',
      tag: 'Deployments',
      summary: 'Take back what a running deployment changed; of a finished one, with a new deployment',
      params: refParams,
      body: optionalReasonBody,
      status: 202,
      response: acceptedSchema,
      handle: async ({ caller, params, body, idempotencyKey }) =>
        accepted(
          await operations.rollbackDeployment({ actor: caller, ref: params.ref, reason: body.reason, idempotencyKey }),
        ),
    }),
    route({
      method: 'get',
      path: '/deployments/:ref/rollback',
      tag: 'Deployments',
      summary: 'Show what a rollback of this deployment would do: which node goes back to what, and what goes',
      params: refParams,
      status: 200,
      response: previewSchema,
      handle: ({ caller, params }) => operations.previewRollback({ actor: caller, ref: params.ref }),
    }),
    ...steps.map(([step, summary]) =>
      route({
        method: 'post',
        path: `/deployments/:ref/${step}`,
        tag: 'Deployments',
        summary,
        params: refParams,
        body: emptyBody,
        status: 200,
        response: deploymentSchema,
        handle: ({ caller, params }) => {
          const ask = { actor: caller, ref: params.ref };
          return step === 'pause' ? operations.pauseDeployment(ask) : operations.continueDeployment(ask);
        },
      }),
    ),
    route({
      method: 'post',
      path: '/deployments/:ref/resume',
      tag: 'Deployments',
      summary: 'Run the failed and skipped nodes of a finished deployment in a new one',
      params: refParams,
      body: z.strictObject({
        refresh: z
          .boolean()
          .optional()
          .describe(
            'Read the file again, or go on with the snapshot. When absent the snapshot, unless its code was at fault and has changed since: then it is refused',
          ),
        mayDestroy: deploymentRequestSchema.shape.mayDestroy
          .nullable()
          .describe('Instead of what the resumed run was asked with; null for anything'),
      }),
      status: 202,
      response: acceptedSchema,
      handle: async ({ caller, params, body, idempotencyKey }) =>
        accepted(await operations.resumeDeployment({ actor: caller, ref: params.ref, ...body, idempotencyKey })),
    }),
    ...repairs.map(([repair, summary]) =>
      route({
        method: 'post',
        path: `/deployments/:ref/nodes/:alias/${repair}`,
        tag: 'Deployments',
        summary,
        params: nodeParams,
        body: emptyBody,
        status: 200,
        response: deploymentSchema,
        handle: ({ caller, params }) => {
          const ask = { actor: caller, ...params };
          return repair === 'retry' ? operations.retryNode(ask) : operations.skipNode(ask);
        },
      }),
    ),
    route({
      method: 'put',
      path: '/deployments/:ref/nodes/:alias/variables',
      tag: 'Deployments',
      summary: 'Give a node of a running deployment other variables, for this run only and from its next try on',
      params: nodeParams,
      body: z.array(variableInputSchema).min(1).max(500),
      status: 200,
      response: nodeRunSchema,
      handle: ({ caller, params, body }) => operations.setNodeVariables({ actor: caller, ...params, variables: body }),
    }),
    streamRoute({
      method: 'get',
      path: '/deployments/:ref/nodes/:alias/plan',
      tag: 'Deployments',
      summary: 'Read the plan of a node: as the tool prints it, or its JSON',
      params: nodeParams,
      query: z.strictObject({ format: z.enum(['json', 'text']).default('json') }),
      media: { 'application/json': z.json(), 'text/plain': z.string() },
      stream: async ({ caller, params, query, response }) => {
        const plan = await operations.readPlan({ actor: caller, ...params, format: query.format });
        response.status(200).type(query.format === 'json' ? 'application/json' : 'text/plain; charset=utf-8');
        response.end(Buffer.from(plan));
      },
    }),
  ];
}
