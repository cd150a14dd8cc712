import { z } from 'zod';
import {
  organizationSchema,
  organizationSettingsSchema,
  pageOf,
  projectInputSchema,
  projectSchema,
  templateInputSchema,
  templateSchema,
  templateTypeSchema,
} from '../../model/index.ts';
import { route } from '../route.ts';
import type { Route } from '../route.ts';
import { pageQuery, projectQuery, refParams, shortListQuery, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const projectPatchSchema = z
  .strictObject({ name: z.string().trim().min(1).max(200).optional(), settings: organizationSettingsSchema.optional() })
  .meta({ id: 'ProjectPatch' });

export function catalogueRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/organizations',
      tag: 'Projects',
      summary: 'List organizations',
      query: shortListQuery,
      status: 200,
      response: pageOf(organizationSchema),
      handle: async ({ caller, query }) => slice((await operations.listOrganizations({ actor: caller })).items, query),
    }),
    route({
      method: 'patch',
      path: '/organizations/:ref',
      tag: 'Projects',
      summary: 'Change the settings of an organization',
      params: refParams,
      body: z.strictObject({ settings: organizationSettingsSchema }),
      status: 200,
      response: organizationSchema,
      handle: ({ caller, params, body }) =>
        operations.updateOrganization({ actor: caller, ref: params.ref, settings: body.settings }),
    }),
    route({
      method: 'get',
      path: '/projects',
      tag: 'Projects',
      summary: 'List projects',
      query: z.strictObject(pageQuery),
      status: 200,
      response: pageOf(projectSchema),
      handle: ({ caller, query }) => operations.listProjects({ actor: caller, ...query }),
    }),
    route({
      method: 'post',
      path: '/projects',
      tag: 'Projects',
      summary: 'Create a project',
      body: projectInputSchema,
      status: 201,
      response: projectSchema,
      handle: ({ caller, body }) => operations.createProject({ actor: caller, input: body }),
    }),
    route({
      method: 'get',
      path: '/projects/:ref',
      tag: 'Projects',
      summary: 'Show a project',
      params: refParams,
      status: 200,
      response: projectSchema,
      handle: ({ caller, params }) => operations.getProject({ actor: caller, ref: params.ref }),
    }),
    route({
      method: 'patch',
      path: '/projects/:ref',
      tag: 'Projects',
      summary: 'Rename a project, or replace its settings',
      params: refParams,
      body: projectPatchSchema,
      status: 200,
      response: projectSchema,
      handle: ({ caller, params, body }) => operations.updateProject({ actor: caller, ref: params.ref, ...body }),
    }),
    route({
      method: 'delete',
      path: '/projects/:ref',
      tag: 'Projects',
      summary: 'Delete an empty project',
      params: refParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.deleteProject({ actor: caller, ref: params.ref });
        return null;
      },
    }),
    route({
      method: 'get',
      path: '/templates',
      tag: 'Templates',
      summary: 'List templates',
      query: z.strictObject({
        ...pageQuery,
        ...projectQuery,
        name: z.string().max(200).optional().describe('Part of the name'),
        type: templateTypeSchema.optional(),
      }),
      status: 200,
      response: pageOf(templateSchema),
      handle: ({ caller, query }) => operations.listTemplates({ actor: caller, ...query }),
    }),
    route({
      method: 'post',
      path: '/templates',
      tag: 'Templates',
      summary: 'Create a template',
      query: z.strictObject(projectQuery),
      body: templateInputSchema,
      status: 201,
      response: templateSchema,
      handle: ({ caller, query, body }) =>
        operations.createTemplate({ actor: caller, project: query.project, input: body }),
    }),
    route({
      method: 'get',
      path: '/templates/:ref',
      tag: 'Templates',
      summary: 'Show a template',
      params: refParams,
      query: z.strictObject(projectQuery),
      status: 200,
      response: templateSchema,
      handle: ({ caller, params, query }) =>
        operations.getTemplate({ actor: caller, ref: params.ref, project: query.project }),
    }),
    route({
      method: 'put',
      path: '/templates/:ref',
      tag: 'Templates',
      summary: 'Replace a template',
      description: 'Runs that have begun keep what they were resolved with.',
      params: refParams,
      body: templateInputSchema,
      status: 200,
      response: templateSchema,
      handle: ({ caller, params, body }) => operations.replaceTemplate({ actor: caller, ref: params.ref, input: body }),
    }),
    route({
      method: 'delete',
      path: '/templates/:ref',
      tag: 'Templates',
      summary: 'Delete a template that nothing uses',
      params: refParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.deleteTemplate({ actor: caller, ref: params.ref });
        return null;
      },
    }),
  ];
}
