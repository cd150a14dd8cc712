import { z } from 'zod';
import { apiKeySchema, auditEntrySchema, pageOf } from '../model/index.ts';
import { pageQuery, projectQuery, refParams, shortListQuery, since } from './parameters.ts';
import { route } from './route.ts';

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

const encryptionKeySchema = z
  .object({
    id: z.string().describe('Names the key without telling it; every stored secret says it'),
    status: z.enum(['current', 'previous', 'retired']),
    origin: z.string().describe('Where it came from when it was first used'),
    createdAt: z.iso.datetime(),
    retiredAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'EncryptionKey' });

const rotationSchema = z
  .object({
    state: z.enum(['waiting', 'sealing', 'done']),
    keyId: z.string().describe('The key that seals'),
    cursor: z.string().nullable().describe('For the next step'),
    looked: z.number().int(),
    total: z.number().int(),
    sealed: z.number().int().describe('Values sealed anew by this step'),
    waitingFor: z.array(z.string()).describe('Processes that do not hold the new key yet'),
    retired: z.array(z.string()).describe('Keys that nothing needs any more'),
  })
  .meta({ id: 'EncryptionRotation' });

export const keys = {
  current: route('GET /me', {
    tag: 'Access',
    permission: null,
    summary: 'Show whose key this is, and what it may do',
    response: meSchema,
  }),
  list: route('GET /keys', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'List keys, without the keys themselves',
    query: shortListQuery,
    response: pageOf(apiKeySchema),
  }),
  create: route('POST /keys', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'Create a key; it is told once',
    body: keyInputSchema,
    status: 201,
    response: newKeySchema,
  }),
  revoke: route('DELETE /keys/:ref', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'Revoke a key at once, by its id or name',
    params: refParams,
  }),
};

export const audit = {
  list: route('GET /audit', {
    tag: 'Access',
    permission: 'view',
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
    response: pageOf(auditEntrySchema),
  }),
};

export const encryption = {
  listKeys: route('GET /encryption/keys', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'List the encryption keys that the database knows, never the keys themselves',
    query: shortListQuery,
    response: pageOf(encryptionKeySchema),
  }),
  rotate: route('POST /encryption/rotation', {
    tag: 'Access',
    permission: '*',
    summary: 'Go one step further to a new encryption key',
    description:
      'Makes the new key the one that seals, then seals what is stored anew. Call it again with `cursor` until `state` is `done`. Stopped anywhere, it is begun again without a cursor.',
    body: z.strictObject({ cursor: z.string().max(400).nullable().default(null) }),
    response: rotationSchema,
  }),
};
