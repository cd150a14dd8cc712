import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { writeBackup } from '../../backup/index.ts';
import { route, streamRoute } from '../route.ts';
import type { Route } from '../route.ts';
import { reasonBody } from './shared.ts';
import type { RouteDeps } from './shared.ts';

const installationSchema = z
  .object({
    hold: z.object({ since: z.string(), by: z.string(), reason: z.string() }).nullable(),
    openRuns: z
      .array(
        z.object({
          deploymentId: z.string(),
          environment: z.string(),
          number: z.number().int(),
          type: z.string(),
          status: z.string(),
        }),
      )
      .describe('Runs that are not over, without those that are held back'),
  })
  .meta({ id: 'Installation' });

export function installationRoutes({ operations, db, version, encryptionKeys, backupDirectory }: RouteDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/installation',
      tag: 'Tools',
      summary: 'Show which runs are open, and whether new ones are held back',
      status: 200,
      response: installationSchema,
      handle: async ({ caller }) => {
        const { hold, openRuns } = await operations.getInstallation({ actor: caller });
        return { hold, openRuns: [...openRuns] };
      },
    }),
    route({
      method: 'put',
      path: '/installation/hold',
      tag: 'Tools',
      summary: 'Hold new runs back: they are recorded and wait',
      body: reasonBody,
      status: 200,
      response: installationSchema,
      handle: async ({ caller, body }) => {
        const { hold, openRuns } = await operations.holdRuns({ actor: caller, reason: body.reason });
        return { hold, openRuns: [...openRuns] };
      },
    }),
    route({
      method: 'delete',
      path: '/installation/hold',
      tag: 'Tools',
      summary: 'Let held runs begin',
      status: 204,
      response: z.null(),
      handle: async ({ caller }) => {
        await operations.releaseRuns({ actor: caller });
        return null;
      },
    }),
    streamRoute({
      method: 'post',
      path: '/backup',
      tag: 'Tools',
      summary: 'Take a backup: records, states, plans, logs, and the encryption keys under a passphrase',
      description: 'Of one moment, while runs go on. The answer is the file.',
      body: z.strictObject({ passphrase: z.string().min(1).max(1000) }),
      media: { 'application/octet-stream': z.string() },
      stream: async ({ caller, body, response }) => {
        operations.authorizeBackup({ actor: caller });
        // Into a file first: a slow client must not hold the transaction, and with it an embedded database, open.
        const directory = await mkdtemp(join(backupDirectory, 'backup-'));
        try {
          const file = join(directory, 'backup');
          await writeBackup({ db, keys: encryptionKeys(), passphrase: body.passphrase, version, file });
          response.status(200).set({
            'Content-Type': 'application/octet-stream',
            'Content-Length': String((await stat(file)).size),
          });
          await pipeline(createReadStream(file), response);
        } finally {
          await rm(directory, { recursive: true, force: true });
        }
      },
    }),
  ];
}
