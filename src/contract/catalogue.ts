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
} from '../model/index.ts';
import { pageQuery, projectQuery, refParams, shortListQuery } from './parameters.ts';
import { route } from './route.ts';

const projectPatchSchema = z
  .strictObject({ name: z.string().trim().min(1).max(200).optional(), settings: organizationSettingsSchema.optional() })
  .meta({ id: 'ProjectPatch' });

export const organizations = {
  list: route('GET /organizations', {
    tag: 'Projects',
    permission: 'view',
    summary: 'List organizations',
    query: shortListQuery,
    response: pageOf(organizationSchema),
  }),
  update: route('PATCH /organizations/:ref', {
    tag: 'Projects',
    permission: 'organization.manage',
    summary: 'Change the settings of an organization',
    params: refParams,
    body: z.strictObject({ settings: organizationSettingsSchema }),
    response: organizationSchema,
  }),
};

export const projects = {
  list: route('GET /projects', {
    tag: 'Projects',
    permission: 'view',
    summary: 'List projects',
    query: z.strictObject(pageQuery),
    response: pageOf(projectSchema),
  }),
  create: route('POST /projects', {
    tag: 'Projects',
    permission: 'organization.manage',
    summary: 'Create a project',
    body: projectInputSchema,
    status: 201,
    response: projectSchema,
  }),
  get: route('GET /projects/:ref', {
    tag: 'Projects',
    permission: 'view',
    summary: 'Show a project',
    params: refParams,
    response: projectSchema,
  }),
  update: route('PATCH /projects/:ref', {
    tag: 'Projects',
    permission: 'project.manage',
    summary: 'Rename a project, or replace its settings',
    params: refParams,
    body: projectPatchSchema,
    response: projectSchema,
  }),
  delete: route('DELETE /projects/:ref', {
    tag: 'Projects',
    permission: 'organization.manage',
    summary: 'Delete an empty project',
    params: refParams,
  }),
};

export const templates = {
  list: route('GET /templates', {
    tag: 'Templates',
    permission: 'view',
    summary: 'List templates',
    query: z.strictObject({
      ...pageQuery,
      ...projectQuery,
      name: z.string().max(200).optional().describe('Part of the name'),
      type: templateTypeSchema.optional(),
    }),
    response: pageOf(templateSchema),
  }),
  create: route('POST /templates', {
    tag: 'Templates',
    permission: 'project.manage',
    summary: 'Create a template',
    query: z.strictObject(projectQuery),
    body: templateInputSchema,
    status: 201,
    response: templateSchema,
  }),
  get: route('GET /templates/:ref', {
    tag: 'Templates',
    permission: 'view',
    summary: 'Show a template',
    params: refParams,
    query: z.strictObject(projectQuery),
    response: templateSchema,
  }),
  replace: route('PUT /templates/:ref', {
    tag: 'Templates',
    permission: 'project.manage',
    summary: 'Replace a template',
    description: 'Runs that have begun keep what they were resolved with.',
    params: refParams,
    body: templateInputSchema,
    response: templateSchema,
  }),
  delete: route('DELETE /templates/:ref', {
    tag: 'Templates',
    permission: 'project.manage',
    summary: 'Delete a template that nothing uses',
    params: refParams,
  }),
};
