import { z } from 'zod';
import { pageOf } from '../../model/index.ts';
import { route } from '../route.ts';
import type { Route } from '../route.ts';
import { shortListQuery, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

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

export function encryptionRoutes({ operations }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/encryption/keys',
      tag: 'Access',
      summary: 'List the encryption keys that the database knows, never the keys themselves',
      query: shortListQuery,
      status: 200,
      response: pageOf(encryptionKeySchema),
      handle: async ({ caller, query }) => {
        const keys = await operations.listEncryptionKeys({ actor: caller });
        const items = keys.map(({ id, status, origin, createdAt, retiredAt }) => ({
          id,
          status,
          origin,
          createdAt: createdAt.toISOString(),
          retiredAt: retiredAt?.toISOString() ?? null,
        }));
        return slice(items, query);
      },
    }),
    route({
      method: 'post',
      path: '/encryption/rotation',
      tag: 'Access',
      summary: 'Go one step further to a new encryption key',
      description:
        'Makes the new key the one that seals, then seals what is stored anew. Call it again with `cursor` until `state` is `done`. Stopped anywhere, it is begun again without a cursor.',
      body: z.strictObject({ cursor: z.string().max(400).nullable().default(null) }),
      status: 200,
      response: rotationSchema,
      handle: async ({ caller, body }) => {
        const step = await operations.rotateEncryption({ actor: caller, cursor: body.cursor });
        return { ...step, waitingFor: [...step.waitingFor], retired: [...step.retired] };
      },
    }),
  ];
}
