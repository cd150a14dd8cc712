import { z } from 'zod';
import { apiKeySchema, auditEntrySchema, pageOf } from '../../model/index.ts';
import { Reply, route } from '../route.ts';
import type { Route } from '../route.ts';
import { pageQuery, projectQuery, refParams, shortListQuery, since, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const keyInputSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    permissions: z
      .array(z.string().min(1).max(200))
      .min(1)
      .max(100)
      .default(['view'])
      .describe('`*`, or permissions such as `execute`, each also for one project, by its name or id: `execute@shop`'),
    expiresAt: z.iso.datetime({ offset: true }).optional().describe('Never when absent'),
  })
  .meta({ id: 'ApiKeyInput' });

const newKeySchema = apiKeySchema
  .extend({ token: z.string().nullable().describe('The key itself, told once; null when the call is repeated') })
  .meta({ id: 'NewApiKey' });

const meSchema = z
  .object({ id: z.string(), kind: z.string(), name: z.string(), permissions: z.array(z.string()) })
  .meta({ id: 'Me' });

export function accessRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/me',
      tag: 'Access',
      summary: 'Show whose key this is, and what it may do',
      status: 200,
      response: meSchema,
      handle: ({ caller }) => ({
        id: caller.id,
        kind: caller.kind,
        name: caller.name,
        permissions: [...caller.permissions],
      }),
    }),
    route({
      method: 'get',
      path: '/keys',
      tag: 'Access',
      summary: 'List keys, without the keys themselves',
      query: shortListQuery,
      status: 200,
      response: pageOf(apiKeySchema),
      handle: async ({ caller, query }) => {
        const { items } = await operations.listKeys({ actor: caller });
        return slice(
          items.map((key) => ({ ...key, permissions: [...key.permissions] })),
          query,
        );
      },
    }),
    route({
      method: 'post',
      path: '/keys',
      tag: 'Access',
      summary: 'Create a key; it is told once',
      body: keyInputSchema,
      status: 201,
      response: newKeySchema,
      // What is kept for repeats of the call must not hold the token.
      stored: (body) => ({ ...body, token: null }),
      handle: async ({ caller, body }) => {
        const { key, token } = await operations.createKey({ actor: caller, input: body });
        return new Reply(
          { ...key, permissions: [...key.permissions], token },
          { headers: { 'Cache-Control': 'no-store' } },
        );
      },
    }),
    route({
      method: 'delete',
      path: '/keys/:ref',
      tag: 'Access',
      summary: 'Revoke a key at once, by its id or name',
      params: refParams,
      status: 204,
      response: z.null(),
      handle: async ({ caller, params }) => {
        await operations.revokeKey({ actor: caller, ref: params.ref });
        return null;
      },
    }),
    route({
      method: 'get',
      path: '/audit',
      tag: 'Access',
      summary: 'List who changed what, newest first',
      query: z.strictObject({
        ...pageQuery,
        ...projectQuery,
        target: z.string().max(400).optional().describe('Name, id or type of what was changed: `shop`, `shop/eks`'),
        actor: z.string().max(200).optional().describe('Name or id of who did it'),
        action: z.string().max(200).optional().describe('Such as `environment.lock`, or `environment` for all of them'),
        since,
        until: since,
      }),
      status: 200,
      response: pageOf(auditEntrySchema),
      handle: ({ caller, query }) => {
        const { actor: by, ...rest } = query;
        return operations.listAudit({ actor: caller, by, ...rest });
      },
    }),
  ];
}
