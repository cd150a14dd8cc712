import { z } from 'zod';
import {
  deploymentRequestSchema,
  deploymentSchema,
  eventSchema,
  logChunkSchema,
  nodeRunSchema,
  pageOf,
  previewSchema,
  stages,
  variableInputSchema,
} from '../model/index.ts';
import {
  acceptedSchema,
  deploymentFilters,
  eventQuery,
  flag,
  nodeParams,
  optionalReasonBody,
  pageQuery,
  projectQuery,
  refParams,
  reference,
} from './parameters.ts';
import { deploymentEvents, logEvents } from './events.ts';
import { route } from './route.ts';

const emptyBody = z.strictObject({});

const logQuery = z.strictObject({
  ...eventQuery.shape,
  node: z.string().min(1).max(300).optional().describe('Alias'),
  stage: z.enum(stages).optional(),
  follow: flag.describe('Stay until the run is over; server-sent events'),
  format: z.enum(['json', 'text']).default('json').describe('`text`: all of it, one node after the other'),
});

export const deployments = {
  list: route('GET /deployments', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'List deployments, newest first',
    query: z.strictObject({ ...pageQuery, ...projectQuery, environment: reference.optional(), ...deploymentFilters }),
    response: pageOf(deploymentSchema),
  }),
  get: route('GET /deployments/:ref', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Show a deployment',
    params: refParams,
    response: deploymentSchema,
  }),
  nodes: route('GET /deployments/:ref/nodes', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'List the nodes of a deployment in their order; those that take something back come last',
    params: refParams,
    query: z.strictObject({
      ...pageQuery,
      limit: z.coerce.number().int().min(1).max(10_000).optional().describe('200 when absent'),
    }),
    response: pageOf(nodeRunSchema),
  }),
  cancel: route('POST /deployments/:ref/cancel', {
    tag: 'Deployments',
    permission: ['execute', 'abort'],
    summary: 'Drop what is queued or waiting; running tools finish',
    params: refParams,
    body: optionalReasonBody,
    response: deploymentSchema,
  }),
  abort: route('POST /deployments/:ref/abort', {
    tag: 'Deployments',
    permission: 'abort',
    summary: 'Interrupt running tools and take nothing back',
    params: refParams,
    body: optionalReasonBody,
    response: deploymentSchema,
  }),
  rollback: route('POST /deployments/:ref/rollback', {
    tag: 'Deployments',
    permission: ['execute', 'rollback'],
    summary: 'Take back what a running deployment changed; of a finished one, with a new deployment',
    params: refParams,
    body: optionalReasonBody,
    status: 202,
    response: acceptedSchema,
  }),
  previewRollback: route('GET /deployments/:ref/rollback', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Show what a rollback of this deployment would do: which node goes back to what, and what goes',
    params: refParams,
    response: previewSchema,
  }),
  pause: route('POST /deployments/:ref/pause', {
    tag: 'Deployments',
    permission: 'execute',
    summary: 'Start nothing new; what runs goes on',
    params: refParams,
    body: emptyBody,
    response: deploymentSchema,
  }),
  continue: route('POST /deployments/:ref/continue', {
    tag: 'Deployments',
    permission: 'execute',
    summary: 'Go on with a paused run',
    params: refParams,
    body: emptyBody,
    response: deploymentSchema,
  }),
  resume: route('POST /deployments/:ref/resume', {
    tag: 'Deployments',
    permission: 'execute',
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
  }),
  retryNode: route('POST /deployments/:ref/nodes/:alias/retry', {
    tag: 'Deployments',
    permission: 'execute',
    summary: 'Try a failed node of a running deployment again',
    params: nodeParams,
    body: emptyBody,
    response: deploymentSchema,
  }),
  skipNode: route('POST /deployments/:ref/nodes/:alias/skip', {
    tag: 'Deployments',
    permission: 'execute',
    summary: 'Leave a node of a running deployment out; what waited on it goes on',
    params: nodeParams,
    body: emptyBody,
    response: deploymentSchema,
  }),
  setNodeVariables: route('PUT /deployments/:ref/nodes/:alias/variables', {
    tag: 'Deployments',
    permission: 'execute',
    summary: 'Give a node of a running deployment other variables, for this run only and from its next try on',
    params: nodeParams,
    body: z.array(variableInputSchema).min(1).max(500),
    response: nodeRunSchema,
  }),
  plan: route('GET /deployments/:ref/nodes/:alias/plan', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Read the plan of a node: as the tool prints it, or its JSON',
    params: nodeParams,
    query: z.strictObject({ format: z.enum(['json', 'text']).default('json') }),
    media: { 'application/json': z.json(), 'text/plain': z.string() },
  }),
  events: route('GET /deployments/:ref/events', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Follow a deployment',
    description:
      'Server-sent events: first `snapshot` with the deployment and its nodes, then what happens, `progress` of running tools (not kept), and `end`. `Last-Event-ID` or `after` goes on where a stream was cut. As JSON: a page of events.',
    params: refParams,
    query: eventQuery,
    media: { 'text/event-stream': eventSchema, 'application/json': pageOf(eventSchema) },
    events: deploymentEvents,
  }),
  logs: route('GET /deployments/:ref/logs', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Read the log of a deployment, of one node or one stage',
    description:
      'JSON pages, server-sent events (`log`, then `end`), or plain text grouped by node. Values of secrets are masked.',
    params: refParams,
    query: logQuery,
    media: {
      'application/json': pageOf(logChunkSchema),
      'text/event-stream': logChunkSchema,
      'text/plain': z.string(),
    },
    events: logEvents,
  }),
};
