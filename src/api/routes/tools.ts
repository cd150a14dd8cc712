import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeBackup } from '../../backup/index.ts';
import type { HandlersOf } from '../route.ts';
import type { RouteDeps } from './shared.ts';

export function toolsHandlers({ operations, version, temporalUrl }: RouteDeps): HandlersOf<'tools'> {
  return {
    validate: async ({ caller, body }) => {
      const { problems, graph } = await operations.validate({ actor: caller, ...body });
      return { problems: problems.map((problem) => ({ ...problem })), graph };
    },
    version: () => ({ version, node: process.versions.node, temporalUiUrl: temporalUrl }),
  };
}

export function installationHandlers({
  operations,
  db,
  version,
  encryptionKeys,
  backupDirectory,
}: RouteDeps): HandlersOf<'installation'> {
  return {
    get: async ({ caller }) => {
      const { hold, openRuns } = await operations.getInstallation({ actor: caller });
      return { hold, openRuns: [...openRuns] };
    },
    hold: async ({ caller, body }) => {
      const { hold, openRuns } = await operations.holdRuns({ actor: caller, reason: body.reason });
      return { hold, openRuns: [...openRuns] };
    },
    release: async ({ caller }) => {
      await operations.releaseRuns({ actor: caller });
    },
    backup: async ({ caller, body, response }) => {
      await operations.authorizeBackup({ actor: caller });
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
  };
}
