import { z } from 'zod';
import {
  deploymentRequestSchema,
  deploymentSchema,
  driftStatuses,
  effectiveVariableSchema,
  environmentDriftSchema,
  environmentInputSchema,
  environmentScheduleSchema,
  environmentSchema,
  environmentStatuses,
  environmentStatusReportSchema,
  eventSchema,
  graphSchema,
  outputSchema,
  pageOf,
  poolNameSchema,
  previewSchema,
  ttlSchema,
} from '../model/index.ts';
import {
  acceptedSchema,
  deploymentFilters,
  eventQuery,
  flag,
  pageQuery,
  projectQuery,
  reasonBody,
  refParams,
  reference,
  shortListQuery,
} from './parameters.ts';
import { environmentEvents } from './events.ts';
import { route } from './route.ts';

/** Only what is given changes; null takes a setting away. */
const settingsPatchSchema = z
  .strictObject({
    requiresApproval: z.boolean().nullable().optional(),
    requiredApprovals: z.number().int().min(1).max(20).optional(),
    forbidSelfApproval: z.boolean().optional(),
    approvalExpirySeconds: z.number().int().min(60).max(31_536_000).optional(),
    ttl: ttlSchema.nullable().optional(),
    schedule: environmentScheduleSchema.nullable().optional(),
    drift: environmentDriftSchema.nullable().optional(),
    coalesceDeploys: z.boolean().optional(),
    maxParallel: z.number().int().min(1).max(1000).nullable().optional(),
    pool: poolNameSchema.nullable().optional(),
  })
  .meta({ id: 'EnvironmentSettingsPatch' });

const environmentPatchSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200).optional(),
    template: reference.optional().describe('Name or id of the template'),
    workspace: z.string().max(200).nullable().optional(),
    revision: z.string().max(250).nullable().optional(),
    settings: settingsPatchSchema.optional(),
  })
  .meta({ id: 'EnvironmentPatch' });

const ttlExtensionSchema = z.strictObject({ hours: z.number().positive().max(87_600) });

export const environments = {
  list: route('GET /environments', {
    tag: 'Environments',
    permission: 'view',
    summary: 'List environments',
    query: z.strictObject({
      ...pageQuery,
      ...projectQuery,
      status: z.enum(environmentStatuses).optional(),
      name: z.string().max(200).optional().describe('Part of the name'),
      parent: reference.optional().describe('Lists the nodes of this one'),
      drift: z.enum(driftStatuses).optional(),
      archived: flag.describe('Archived ones instead of the others'),
    }),
    response: pageOf(environmentSchema),
  }),
  create: route('POST /environments', {
    tag: 'Environments',
    permission: 'project.manage',
    summary: 'Create an environment from a template',
    query: z.strictObject(projectQuery),
    body: environmentInputSchema,
    status: 201,
    response: environmentSchema,
  }),
  get: route('GET /environments/:ref', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Show an environment',
    params: refParams,
    query: z.strictObject(projectQuery),
    response: environmentSchema,
  }),
  update: route('PATCH /environments/:ref', {
    tag: 'Environments',
    permission: 'project.manage',
    summary: 'Change an environment and its saved settings',
    params: refParams,
    body: environmentPatchSchema,
    response: environmentSchema,
  }),
  archive: route('DELETE /environments/:ref', {
    tag: 'Environments',
    permission: 'project.manage',
    summary: 'Archive an environment that has nothing deployed',
    params: refParams,
    query: z.strictObject({
      force: flag.describe('Abort a run in progress, and forget resources that may still be there'),
    }),
  }),
  children: route('GET /environments/:ref/children', {
    tag: 'Environments',
    permission: 'view',
    summary: 'List the sub-environments',
    params: refParams,
    query: z.strictObject({ ...pageQuery, detached: flag.describe('Also those the file no longer lists') }),
    response: pageOf(environmentSchema),
  }),
  graph: route('GET /environments/:ref/graph', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Show the graph with the status of each node',
    params: refParams,
    response: graphSchema,
  }),
  status: route('GET /environments/:ref/status', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Show how an environment is: its runs, what waits, and the last result of each node',
    params: refParams,
    response: environmentStatusReportSchema,
  }),
  outputs: route('GET /environments/:ref/outputs', {
    tag: 'Environments',
    permission: 'view',
    summary: 'List outputs, of a workflow environment those of all nodes; sensitive ones without their values',
    params: refParams,
    query: shortListQuery,
    response: pageOf(outputSchema),
  }),
  variables: route('GET /environments/:ref/variables', {
    tag: 'Variables',
    permission: 'view',
    summary: 'List the variables in force, and where each comes from',
    description:
      'Of a workflow environment its own, then what each node has beside those. Inputs have the level `input` and the text that they read.',
    params: refParams,
    query: z.strictObject({ ...pageQuery, alias: z.string().max(300).optional().describe('For this node of it') }),
    response: pageOf(effectiveVariableSchema),
  }),
  deployments: route('GET /environments/:ref/deployments', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'List the deployments of an environment, newest first',
    params: refParams,
    query: z.strictObject({ ...pageQuery, ...deploymentFilters }),
    response: pageOf(deploymentSchema),
  }),
  preview: route('POST /environments/:ref/preview', {
    tag: 'Deployments',
    permission: 'view',
    summary: 'Show what a run would do, without asking for it',
    description:
      'Which nodes would be deployed, kept, destroyed or detached, what each is at and becomes, and what would be destroyed as far as it is known. The source is read, no tool is run. It is refused with what the request itself would be refused with.',
    params: refParams,
    body: deploymentRequestSchema,
    response: previewSchema,
  }),
  requestDeployment: route('POST /environments/:ref/deployments', {
    tag: 'Deployments',
    permission: ['plan', 'execute', 'rollback'],
    summary: 'Ask for a deploy, destroy, plan, drift check or rollback',
    description:
      'The run joins the queue of its environment. For a node (`shop%2Feks`) it is a partial run of the graph. While Temporal is away the answer is still 202, with a `warning`: the run is recorded and begins when it is back.',
    params: refParams,
    body: deploymentRequestSchema,
    status: 202,
    response: acceptedSchema,
  }),
  lock: route('POST /environments/:ref/lock', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Lock an environment: no run that changes it begins',
    params: refParams,
    body: reasonBody,
    response: environmentSchema,
  }),
  unlock: route('DELETE /environments/:ref/lock', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Unlock an environment',
    params: refParams,
    response: environmentSchema,
  }),
  setTtl: route('PUT /environments/:ref/ttl', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Set when an environment, or one node of it, destroys itself',
    params: refParams,
    body: ttlSchema,
    response: environmentSchema,
  }),
  extendTtl: route('POST /environments/:ref/ttl/extend', {
    tag: 'Environments',
    permission: 'execute',
    summary: 'Put the end of an environment, or of one node of it, off',
    params: refParams,
    body: ttlExtensionSchema,
    response: environmentSchema,
  }),
  events: route('GET /environments/:ref/events', {
    tag: 'Environments',
    permission: 'view',
    summary: 'Follow an environment and its nodes',
    description:
      'Server-sent events: first `snapshot` with the environment, then what happens. As JSON: a page of events, oldest first.',
    params: refParams,
    query: eventQuery,
    media: { 'text/event-stream': eventSchema, 'application/json': pageOf(eventSchema) },
    events: environmentEvents,
  }),
};
