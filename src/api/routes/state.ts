import { z } from 'zod';
import { environmentSchema, pageOf, stateVersionSchema } from '../../model/index.ts';
import { route, streamRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { optionalReasonBody, pageQuery, reasonBody, reference, refParams } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const lockSchema = z
  .object({
    lockId: z.string(),
    operation: z.string(),
    who: z.string(),
    deploymentId: z.string().nullable(),
    acquiredAt: z.string(),
  })
  .meta({ id: 'StateLock' });

const summarySchema = z
  .object({
    serial: z.number().int().nullable().describe('null, like lineage and versionId: locked before it was ever written'),
    lineage: z.string().nullable(),
    versionId: z.number().int().nullable(),
    lock: lockSchema.nullable(),
  })
  .nullable()
  .describe('null: there is no state, and nobody holds its lock');

const diffSchema = z
  .object({
    resources: z.array(
      z.object({
        address: z.string(),
        action: z.enum(['added', 'removed', 'changed']),
        attributes: z.array(z.string()).describe('Names of what differs; values may be secret'),
      }),
    ),
    outputs: z.object({ added: z.array(z.string()), removed: z.array(z.string()), changed: z.array(z.string()) }),
  })
  .meta({ id: 'StateDiff' });

const versionId = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER);
const versionParams = z.object({ ref: reference, id: versionId });

type Lock = Awaited<ReturnType<RouteDeps['operations']['unlockState']>>['lock'];

function showLock(lock: Lock): z.input<typeof lockSchema> | null {
  if (lock === null) return null;
  return {
    lockId: lock.lockId,
    operation: lock.info.Operation,
    who: lock.info.Who,
    deploymentId: lock.deploymentId,
    acquiredAt: lock.acquiredAt,
  };
}

export function stateRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/environments/:ref/state',
      tag: 'State',
      summary: 'Show the newest version of the state, and who holds its lock',
      params: refParams,
      status: 200,
      response: summarySchema,
      handle: async ({ caller, params }) => {
        const summary = await operations.getState({ actor: caller, ref: params.ref });
        return summary === null ? null : { ...summary, lock: showLock(summary.lock) };
      },
    }),
    route({
      method: 'get',
      path: '/environments/:ref/state/versions',
      tag: 'State',
      summary: 'List the versions of the state, newest first',
      params: refParams,
      query: z.strictObject(pageQuery),
      status: 200,
      response: pageOf(stateVersionSchema),
      handle: ({ caller, params, query }) =>
        operations.listStateVersions({
          actor: caller,
          ref: params.ref,
          limit: query.limit ?? 50,
          cursor: query.cursor,
        }),
    }),
    streamRoute({
      method: 'get',
      path: '/environments/:ref/state/versions/:id/download',
      tag: 'State',
      summary: 'Download a version of the state; it holds secrets',
      params: versionParams,
      media: { 'application/json': z.json() },
      stream: async ({ caller, params, response }) => {
        const { body, fileName } = await operations.downloadStateVersion({
          actor: caller,
          ref: params.ref,
          versionId: params.id,
        });
        response.status(200).set({
          'Content-Type': 'application/json',
          'Content-Disposition': `attachment; filename="${fileName}"`,
          'Cache-Control': 'no-store',
        });
        response.end(Buffer.from(body));
      },
    }),
    route({
      method: 'get',
      path: '/environments/:ref/state/diff',
      tag: 'State',
      summary: 'Compare two versions of the state',
      params: refParams,
      query: z.strictObject({ from: versionId, to: versionId }),
      status: 200,
      response: diffSchema,
      handle: async ({ caller, params, query }) => {
        const diff = await operations.diffStateVersions({ actor: caller, ref: params.ref, ...query });
        return {
          resources: [
            ...diff.added.map((address) => ({ address, action: 'added' as const, attributes: [] })),
            ...diff.removed.map((address) => ({ address, action: 'removed' as const, attributes: [] })),
            ...diff.changed.map(({ address, attributes }) => ({
              address,
              action: 'changed' as const,
              attributes: [...attributes],
            })),
          ],
          outputs: {
            added: [...diff.outputs.added],
            removed: [...diff.outputs.removed],
            changed: [...diff.outputs.changed],
          },
        };
      },
    }),
    route({
      method: 'post',
      path: '/environments/:ref/state/versions/:id/restore',
      tag: 'State',
      summary: 'Make an earlier version the newest',
      params: versionParams,
      body: optionalReasonBody,
      status: 200,
      response: stateVersionSchema,
      handle: ({ caller, params, body }) =>
        operations.restoreStateVersion({ actor: caller, ref: params.ref, versionId: params.id, reason: body.reason }),
    }),
    route({
      method: 'post',
      path: '/environments/:ref/state/unlock',
      tag: 'State',
      summary: 'Free the lock of the state by hand, and bar its holder from writing',
      params: refParams,
      body: reasonBody,
      status: 200,
      response: z.object({ lock: lockSchema.nullable().describe('The lock that was freed') }),
      handle: async ({ caller, params, body }) => {
        const { lock } = await operations.unlockState({ actor: caller, ref: params.ref, reason: body.reason });
        return { lock: showLock(lock) };
      },
    }),
    route({
      method: 'post',
      path: '/environments/:ref/state/verify',
      tag: 'State',
      summary: 'Say that a state which could not be verified is right',
      params: refParams,
      body: reasonBody,
      status: 200,
      response: environmentSchema,
      handle: ({ caller, params, body }) =>
        operations.verifyState({ actor: caller, ref: params.ref, reason: body.reason }),
    }),
  ];
}
