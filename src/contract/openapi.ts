import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { problemDetailsSchema } from '../model/index.ts';
import { apiBase, idempotencyHeader, idempotencyKeySchema } from './constants.ts';
import { routesOf, statusOf, tags } from './route.ts';
import type { RouteContract, RouteTable } from './route.ts';

const problem = { 'application/problem+json': { schema: problemDetailsSchema } };

const failures: Readonly<Record<string, string>> = {
  '400': 'The request is not valid; `problems` lists every field',
  '401': 'No key, or one that is not valid',
  '403': 'The key may not do this',
  '404': 'No such thing',
  '409': 'Not possible now, or an ambiguous name',
  '422': 'A definition is not valid, or the idempotency key was used for something else',
  '423': 'The environment is locked',
  '503': 'The database or Temporal is away; try again after `Retry-After` seconds',
};

function responsesOf(route: RouteContract): ZodOpenApiResponsesObject {
  const media = route.media ?? (route.response ? { 'application/json': route.response } : null);
  const answer = {
    description: route.summary,
    ...(media
      ? { content: Object.fromEntries(Object.entries(media).map(([type, schema]) => [type, { schema }])) }
      : {}),
  };
  const responses: ZodOpenApiResponsesObject = { [String(statusOf(route)) as '200']: answer };
  const mutates = route.method !== 'get';
  for (const [status, description] of Object.entries(failures)) {
    if (!mutates && ['422', '423'].includes(status)) continue;
    responses[status as '400'] = { description, content: problem };
  }
  return responses;
}

function operationOf(route: RouteContract): ZodOpenApiOperationObject {
  const parameters: NonNullable<ZodOpenApiOperationObject['requestParams']> = {};
  if (route.params) parameters.path = route.params;
  if (route.query) parameters.query = route.query;
  if (route.method !== 'get') {
    parameters.header = z.object({ [idempotencyHeader]: idempotencyKeySchema.optional() });
  }
  return {
    operationId: operationId(route),
    summary: route.summary,
    ...(route.description ? { description: route.description } : {}),
    tags: [route.tag],
    requestParams: parameters,
    ...(route.body ? { requestBody: { required: true, content: { 'application/json': { schema: route.body } } } } : {}),
    responses: responsesOf(route),
  };
}

/** `GET /environments/:ref/graph` is `getEnvironmentsByRefGraph`. */
function operationId(route: Pick<RouteContract, 'method' | 'path'>): string {
  const words = route.path
    .split('/')
    .filter(Boolean)
    .map((part) => (part.startsWith(':') ? `by-${part.slice(1)}` : part))
    .join('-')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  return route.method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

/** `/environments/:ref` in OpenAPI's notation. */
function openApiPath(path: string): string {
  return apiBase + path.replace(/:(\w+)/g, '{$1}');
}

/** The OpenAPI 3.1 document of a route table. */
export async function describeApi(table: RouteTable, version: string): Promise<object> {
  // Clients have the contract too, and need no document.
  const { createDocument } = await import('zod-openapi');
  const paths: ZodOpenApiPathsObject = {};
  for (const { route } of routesOf(table)) {
    const path = openApiPath(route.path);
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Windlass',
      version,
      description: [
        'Deploys whole environments as durable runs.',
        '',
        'Send a key as `Authorization: Bearer wlk_…`. A thing is named by its id, a unique beginning of its id, or its',
        'name; a sub-environment by `environment/alias`, the slash written as `%2F`. Failures are',
        '`application/problem+json`. Each call that changes something takes an `Idempotency-Key`: the same key gives the',
        'same answer, marked `Idempotency-Replayed: true`.',
      ].join('\n'),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: tags.map((name) => ({ name })),
    security: [{ key: [] }],
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key of Windlass: `wlk_…`' } },
    },
    paths,
  });
}
