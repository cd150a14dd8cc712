import { z } from 'zod';
import {
  createdVariableSchema,
  longestAlias,
  pageOf,
  variableInputSchema,
  variableKindSchema,
  variableScopeSchema,
  variableSchema,
  variableTypeSchema,
  variableValueSchema,
} from '../model/index.ts';
import { idParams, pageQuery, reference } from './parameters.ts';
import { route } from './route.ts';

const placeQuery = {
  scope: variableScopeSchema,
  scopeId: reference.optional().describe('Name or id; the default project or the only organization when absent'),
  alias: z.string().min(1).max(longestAlias).optional().describe('Only for the node with this alias'),
};

const patchSchema = z
  .strictObject({
    name: z.string().optional().describe('Cannot change'),
    kind: variableKindSchema.optional().describe('Cannot change'),
    alias: z.string().max(longestAlias).nullable().optional().describe('Cannot change'),
    type: variableTypeSchema.optional(),
    value: variableValueSchema.optional(),
    sensitive: z.boolean().optional(),
    readOnly: z.boolean().optional(),
    required: z.boolean().optional(),
    regex: z.string().max(500).nullable().optional(),
    allowed: z.array(variableValueSchema).max(200).nullable().optional(),
    description: z.string().max(1000).nullable().optional(),
  })
  .meta({ id: 'VariablePatch' });

export const variables = {
  list: route('GET /variables', {
    tag: 'Variables',
    permission: 'view',
    summary: 'List the variables stored in one place; sensitive ones without their values',
    query: z.strictObject({ ...pageQuery, ...placeQuery, name: z.string().max(200).optional() }),
    response: pageOf(variableSchema),
  }),
  create: route('POST /variables', {
    tag: 'Variables',
    permission: ['organization.manage', 'project.manage', 'execute'],
    summary: 'Create a variable',
    query: z.strictObject(placeQuery),
    body: variableInputSchema,
    status: 201,
    response: createdVariableSchema,
  }),
  update: route('PATCH /variables/:id', {
    tag: 'Variables',
    permission: ['organization.manage', 'project.manage', 'execute'],
    summary: 'Change a variable; what is left out stays',
    params: idParams,
    body: patchSchema,
    response: variableSchema,
  }),
  delete: route('DELETE /variables/:id', {
    tag: 'Variables',
    permission: ['organization.manage', 'project.manage', 'execute'],
    summary: 'Delete a variable',
    params: idParams,
  }),
};
