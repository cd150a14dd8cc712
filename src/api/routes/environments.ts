import { z } from 'zod';
import {
  deploymentRequestSchema,
  deploymentSchema,
  deploymentStatuses,
  deploymentTypes,
  driftResultSchema,
  driftStatuses,
  effectiveVariableSchema,
  environmentDriftSchema,
  environmentInputSchema,
  environmentScheduleSchema,
  environmentSchema,
  environmentStatusReportSchema,
  environmentStatuses,
  graphSchema,
  outputSchema,
  pageOf,
  scheduledRunSchema,
  previewSchema,
  ttlSchema,
} from '../../model/index.ts';
import { Reply, route } from '../route.ts';
import type { Route } from '../route.ts';
import {
  flag,
  pageQuery,
  projectQuery,
  reasonBody,
  refParams,
  reference,
  shortListQuery,
  since,
  slice,
} from './shared.ts';
import type { RouteDeps } from './shared.ts';

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

/** A deployment that was asked for. */
export const acceptedSchema = deploymentSchema
  .extend({ warning: z.string().optional().describe('The run is recorded and begins later: why') })
  .meta({ id: 'AcceptedDeployment' });

export function accepted({
  deployment,
  warning,
}: {
  deployment: z.input<typeof deploymentSchema>;
  warning: string | null;
}): Reply<z.input<typeof acceptedSchema>> {
  const headers = { Location: `/api/v1/deployments/${deployment.id}` };
  return new Reply({ ...deployment, ...(warning === null ? {} : { warning }) }, { headers });
}

/** One status or several, separated by commas. */
const statusList = z
  .string()
  .max(300)
  .transform((text) => text.split(','))
  .pipe(z.array(z.enum(deploymentStatuses)))
  .optional();

export const deploymentFilters = {
  status: statusList,
  type: z.enum(deploymentTypes).optional(),
  since,
  requestedBy: z.string().max(200).optional().describe('Name or id of the key or user'),
};

const ttlExtensionSchema = z.strictObject({ hours: z.number().positive().max(87_600) });

export function environmentRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/environments',
      tag: 'Environments',
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
      status: 200,
      response: pageOf(environmentSchema),
      handle: ({ caller, query }) => operations.listEnvironments({ actor: caller, ...query }),
    }),
    route({
      method: 'post',
      path: '/environments',
      tag: 'Environments',
      summary: 'Create an environment from a template',
      query: z.strictObject(projectQuery),
      body: environmentInputSchema,
      status: 201,
      response: environmentSchema,
      handle: ({ caller, query, body }) =>
        operations.createEnvironment({ actor: caller, project: query.project, input: body }),
    }),
    route({
      method: 'get',
      path: '/environments/:ref',
      tag: 'Environments',
      summary: 'Show an environment',
      params: refParams,
      query: z.strictObject(projectQuery),
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, query }) =>
        operations.getEnvironment({ actor: caller, ref: params.ref, project: query.project }),
    }),
    route({
      method: 'patch',
      path: '/environments/:ref',
      tag: 'Environments',
      summary: 'Change an environment and its saved settings',
      params: refParams,
      body: environmentPatchSchema,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, body }) =>
        operations.updateEnvironment({ actor: caller, ref: params.ref, patch: body }),
    }),
    route({
      method: 'delete',
      path: '/environments/:ref',
      tag: 'Environments',
      summary: 'Archive an environment that has nothing deployed',
      params: refParams,
      query: z.strictObject({
        force: flag.describe('Abort a run in progress, and forget resources that may still be there'),
      }),
      status: 204,
      response: z.null(),
      handle: async ({ caller, params, query }) => {
        await operations.archiveEnvironment({ actor: caller, ref: params.ref, force: query.force ?? false });
        return null;
      },
    }),
    route({
      method: 'get',
      path: '/environments/:ref/children',
      tag: 'Environments',
      summary: 'List the sub-environments',
      params: refParams,
      query: z.strictObject({ ...pageQuery, detached: flag.describe('Also those the file no longer lists') }),
      status: 200,
      response: pageOf(environmentSchema),
      handle: async ({ caller, params, query }) =>
        slice(await operations.listChildren({ actor: caller, ref: params.ref, detached: query.detached }), query),
    }),
    route({
      method: 'get',
      path: '/environments/:ref/graph',
      tag: 'Environments',
      summary: 'Show the graph with the status of each node',
      params: refParams,
      status: 200,
      response: graphSchema,
      handle: ({ caller, params }) => operations.readGraph({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'get',
      path: '/environments/:ref/status',
      tag: 'Environments',
      summary: 'Show how an environment is: its runs, what waits, and the last result of each node',
      params: refParams,
      status: 200,
      response: environmentStatusReportSchema,
      handle: ({ caller, params }) => operations.readStatus({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'get',
      path: '/environments/:ref/outputs',
      tag: 'Environments',
      summary: 'List outputs, of a workflow environment those of all nodes; sensitive ones without their values',
      params: refParams,
      query: shortListQuery,
      status: 200,
      response: pageOf(outputSchema),
      handle: async ({ caller, params, query }) =>
        slice((await operations.listOutputs({ actor: caller, ref: params.ref })).items, query, 1000),
    }),
    route({
      method: 'get',
      path: '/environments/:ref/variables',
      tag: 'Variables',
      summary: 'List the variables in force, and where each comes from',
      description:
        'Of a workflow environment its own, then what each node has beside those. Inputs have the level `input` and the text that they read.',
      params: refParams,
      query: z.strictObject({ ...pageQuery, alias: z.string().max(300).optional().describe('For this node of it') }),
      status: 200,
      response: pageOf(effectiveVariableSchema),
      handle: async ({ caller, params, query }) => {
        const { items } = await operations.effectiveVariables({ actor: caller, ref: params.ref, alias: query.alias });
        return slice(items, query, 1000);
      },
    }),
    route({
      method: 'get',
      path: '/environments/:ref/deployments',
      tag: 'Deployments',
      summary: 'List the deployments of an environment, newest first',
      params: refParams,
      query: z.strictObject({ ...pageQuery, ...deploymentFilters }),
      status: 200,
      response: pageOf(deploymentSchema),
      handle: ({ caller, params, query }) =>
        operations.listDeployments({ actor: caller, environment: params.ref, ...query }),
    }),
    route({
      method: 'post',
      path: '/environments/:ref/preview',
      tag: 'Deployments',
      summary: 'Show what a run would do, without asking for it',
      description:
        'Which nodes would be deployed, kept, destroyed or detached, what each is at and becomes, and what would be destroyed as far as it is known. The source is read, no tool is run. It is refused with what the request itself would be refused with.',
      params: refParams,
      body: deploymentRequestSchema,
      status: 200,
      response: previewSchema,
      handle: ({ caller, params, body }) =>
        operations.previewDeployment({ actor: caller, environment: params.ref, request: body }),
    }),
    route({
      method: 'post',
      path: '/environments/:ref/deployments',
      tag: 'Deployments',
      summary: 'Ask for a deploy, destroy, plan, drift check or rollback',
      description:
        'The run joins the queue of its environment. For a node (`shop%2Feks`) it is a partial run of the graph. While Temporal is away the answer is still 202, with a `warning`: the run is recorded and begins when it is back.',
      params: refParams,
      body: deploymentRequestSchema,
      status: 202,
      response: acceptedSchema,
      handle: async ({ caller, params, body, idempotencyKey }) =>
        accepted(
          await operations.requestDeployment({
            actor: caller,
            environment: params.ref,
            request: body,
            trigger: 'api',
            idempotencyKey,
          }),
        ),
    }),
    route({
      method: 'post',
      path: '/environments/:ref/lock',
      tag: 'Environments',
      summary: 'Lock an environment: no run that changes it begins',
      params: refParams,
      body: reasonBody,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, body }) =>
        operations.lockEnvironment({ actor: caller, ref: params.ref, reason: body.reason }),
    }),
    route({
      method: 'delete',
      path: '/environments/:ref/lock',
      tag: 'Environments',
      summary: 'Unlock an environment',
      params: refParams,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params }) => operations.unlockEnvironment({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'put',
      path: '/environments/:ref/ttl',
      tag: 'Environments',
      summary: 'Set when an environment destroys itself',
      params: refParams,
      body: ttlSchema,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, body }) => operations.setTtl({ actor: caller, ref: params.ref, ttl: body }),
    }),
    route({
      method: 'post',
      path: '/environments/:ref/ttl/extend',
      tag: 'Environments',
      summary: 'Put the end of an environment off',
      params: refParams,
      body: ttlExtensionSchema,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, body }) => operations.extendTtl({ actor: caller, ref: params.ref, hours: body.hours }),
    }),
    ...scheduleRoutes(operations),
  ];
}

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

function scheduleRoutes(operations: RouteDeps['operations']): Route[] {
  return [
    route({
      method: 'get',
      path: '/schedules',
      tag: 'Environments',
      summary: 'List what happens at fixed times, over all environments',
      description: 'A page holds the schedules of `limit` environments.',
      query: z.strictObject({ ...pageQuery, ...projectQuery }),
      status: 200,
      response: pageOf(scheduledRunSchema),
      handle: ({ caller, query }) => operations.listSchedules({ actor: caller, ...query }),
    }),
    route({
      method: 'get',
      path: '/environments/:ref/schedule',
      tag: 'Environments',
      summary: 'Show the schedule and its next firings',
      params: refParams,
      status: 200,
      response: scheduleAnswerSchema,
      handle: ({ caller, params }) => operations.getSchedule({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'put',
      path: '/environments/:ref/schedule',
      tag: 'Environments',
      summary: 'Deploy and destroy at fixed times',
      params: refParams,
      body: environmentScheduleSchema,
      status: 200,
      response: scheduleAnswerSchema,
      handle: ({ caller, params, body }) => operations.setSchedule({ actor: caller, ref: params.ref, schedule: body }),
    }),
    route({
      method: 'delete',
      path: '/environments/:ref/schedule',
      tag: 'Environments',
      summary: 'Remove the schedule',
      params: refParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.setSchedule({ actor: caller, ref: params.ref, schedule: null });
        return null;
      },
    }),
    route({
      method: 'get',
      path: '/environments/:ref/drift',
      tag: 'Environments',
      summary: 'Show when drift is checked, and what was found, newest first',
      params: refParams,
      query: z.strictObject(pageQuery),
      status: 200,
      response: driftAnswerSchema,
      handle: ({ caller, params, query }) => operations.getDrift({ actor: caller, ref: params.ref, ...query }),
    }),
    route({
      method: 'put',
      path: '/environments/:ref/drift',
      tag: 'Environments',
      summary: 'Check for drift at fixed times',
      params: refParams,
      body: environmentDriftSchema,
      status: 200,
      response: driftAnswerSchema,
      handle: ({ caller, params, body }) => operations.setDrift({ actor: caller, ref: params.ref, drift: body }),
    }),
    route({
      method: 'delete',
      path: '/environments/:ref/drift',
      tag: 'Environments',
      summary: 'Stop checking for drift',
      params: refParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.setDrift({ actor: caller, ref: params.ref, drift: null });
        return null;
      },
    }),
  ];
}
