import { z } from 'zod';
import { environmentSchema, pageOf, stateVersionSchema } from '../model/index.ts';
import { optionalReasonBody, pageQuery, reasonBody, reference, refParams } from './parameters.ts';
import { route } from './route.ts';

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

export const state = {
  get: route('GET /environments/:ref/state', {
    tag: 'State',
    permission: 'view',
    summary: 'Show the newest version of the state, and who holds its lock',
    params: refParams,
    response: summarySchema,
  }),
  versions: route('GET /environments/:ref/state/versions', {
    tag: 'State',
    permission: 'view',
    summary: 'List the versions of the state, newest first',
    params: refParams,
    query: z.strictObject(pageQuery),
    response: pageOf(stateVersionSchema),
  }),
  download: route('GET /environments/:ref/state/versions/:id/download', {
    tag: 'State',
    permission: 'execute',
    summary: 'Download a version of the state; it holds secrets',
    params: versionParams,
    media: { 'application/json': z.json() },
  }),
  diff: route('GET /environments/:ref/state/diff', {
    tag: 'State',
    permission: 'view',
    summary: 'Compare two versions of the state',
    params: refParams,
    query: z.strictObject({ from: versionId, to: versionId }),
    response: diffSchema,
  }),
  restore: route('POST /environments/:ref/state/versions/:id/restore', {
    tag: 'State',
    permission: 'execute',
    summary: 'Make an earlier version the newest',
    params: versionParams,
    body: optionalReasonBody,
    response: stateVersionSchema,
  }),
  unlock: route('POST /environments/:ref/state/unlock', {
    tag: 'State',
    permission: 'execute',
    summary: 'Free the lock of the state by hand, and bar its holder from writing',
    params: refParams,
    body: reasonBody,
    response: z.object({ lock: lockSchema.nullable().describe('The lock that was freed') }),
  }),
  verify: route('POST /environments/:ref/state/verify', {
    tag: 'State',
    permission: 'execute',
    summary: 'Say that a state which could not be verified is right',
    params: refParams,
    body: reasonBody,
    response: environmentSchema,
  }),
};
