import { z } from 'zod';
import {
  createdVariableSchema,
  pageOf,
  variableInputSchema,
  variableKindSchema,
  variableScopeSchema,
  variableSchema,
  variableTypeSchema,
  variableValueSchema,
} from '../../model/index.ts';
import { route } from '../route.ts';
import type { Route } from '../route.ts';
import { idParams, pageQuery, reference } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const placeQuery = {
  scope: variableScopeSchema,
  scopeId: reference.optional().describe('Name or id; the default project or the only organization when absent'),
  alias: z.string().min(1).max(200).optional().describe('Only for the node with this alias'),
};

const patchSchema = z
  .strictObject({
    name: z.string().optional().describe('Cannot change'),
    kind: variableKindSchema.optional().describe('Cannot change'),
    alias: z.string().max(200).nullable().optional().describe('Cannot change'),
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

export function variableRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/variables',
      tag: 'Variables',
      summary: 'List the variables stored in one place; sensitive ones without their values',
      query: z.strictObject({ ...pageQuery, ...placeQuery, name: z.string().max(200).optional() }),
      status: 200,
      response: pageOf(variableSchema),
      handle: ({ caller, query }) => operations.listVariables({ actor: caller, ...query }),
    }),
    route({
      method: 'post',
      path: '/variables',
      tag: 'Variables',
      summary: 'Create a variable',
      query: z.strictObject(placeQuery),
      body: variableInputSchema,
      status: 201,
      response: createdVariableSchema,
      handle: ({ caller, query, body }) => {
        const { alias, ...place } = query;
        return operations.createVariable({
          actor: caller,
          ...place,
          input: { ...body, ...(alias === undefined ? {} : { alias }) },
        });
      },
    }),
    route({
      method: 'patch',
      path: '/variables/:id',
      tag: 'Variables',
      summary: 'Change a variable; what is left out stays',
      params: idParams,
      body: patchSchema,
      status: 200,
      response: variableSchema,
      handle: ({ caller, params, body }) => operations.updateVariable({ actor: caller, id: params.id, patch: body }),
    }),
    route({
      method: 'delete',
      path: '/variables/:id',
      tag: 'Variables',
      summary: 'Delete a variable',
      params: idParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.deleteVariable({ actor: caller, id: params.id });
        return null;
      },
    }),
  ];
}
