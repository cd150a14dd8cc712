import { createWriteStream, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { loadConfig } from '../../config.ts';
import type { Config } from '../../config.ts';
import type { Invocation, Registry } from '../cli.ts';
import { usageError } from '../exit.ts';
import { ownVersion } from '../package-root.ts';
import { createMeter } from '../text/meter.ts';
import { formatBytes } from '../text/format.ts';
import { canAsk, createSecretReader, printDone } from './shared.ts';

const passphraseName = 'WINDLASS_BACKUP_PASSPHRASE';
const shared = { data: z.string().optional(), passphraseFile: z.string().optional() };
const sharedFlags = [
  { flags: '--data <directory>', description: 'data directory of the embedded server' },
  {
    flags: '--passphrase-file <file>',
    description: `file with the passphrase; else ${passphraseName}, or it is asked for`,
  },
];
type Call = Pick<Invocation<{ data?: string | undefined; passphraseFile?: string | undefined }>, 'io' | 'options'>;

/** Never from the arguments, which every user of the machine can read. */
async function readPassphrase({ io, options }: Call, twice: boolean): Promise<string> {
  const { passphraseFile } = options;
  if (passphraseFile !== undefined) return readFileSync(passphraseFile, 'utf8').replace(/\r?\n$/, '');
  const [passphrase = ''] = await createSecretReader(io)([passphraseName]);
  if (twice && !io.env[passphraseName] && canAsk(io)) {
    const [again] = await createSecretReader({ ...io, env: {} })(['again']);
    if (again !== passphrase) throw usageError('the two are not the same');
  }
  if (passphrase === '') throw usageError('there is no passphrase', `set ${passphraseName}, or --passphrase-file FILE`);
  return passphrase;
}

const configOf = ({ io, options }: Call): Config =>
  loadConfig(io.env, { mode: 'embedded', dataDirectory: options.data });

export function addBackup({ add }: Registry): void {
  add({
    usage: 'backup <file>',
    summary: 'Write everything into one file: records, states, plans, logs and keys',
    description:
      'Of one moment, also while the server runs and runs are in progress. The encryption keys in it are guarded by a passphrase; the secrets are encrypted with them. Without a running server the database of the data directory, or of WINDLASS_DATABASE_URL, is read.',
    examples: [
      ['windlass backup windlass.backup', 'asks for a passphrase'],
      ['windlass backup /backups/$(date +%F).backup --passphrase-file /etc/windlass.pass', 'for cron'],
    ],
    flags: sharedFlags,
    options: z.object(shared),
    async run(call) {
      const file = resolve(call.io.cwd, call.argument(0));
      if (existsSync(file)) throw usageError(`${file} is there already`, 'name a new file');
      const passphrase = await readPassphrase(call, true);
      const meter = createMeter(call.io, call.printer);
      try {
        const session =
          call.options.data === undefined
            ? await call.connectIfRunning()
            : await call.connectLocal(configOf(call).dataDirectory);
        let bytes: number;
        if (session) {
          meter.show('the server writes the backup', 0, 0);
          // It is long: sent once, without a deadline.
          const options = { timeoutMs: Infinity, tries: 1 };
          const response = await session.client.installation.backup.response({ body: { passphrase } }, options);
          bytes = await download(response, file);
        } else {
          const { backupHere } = await import('../../moving.ts');
          const onProgress = (done: number, total: number): void => meter.show('writing', done, total);
          ({ bytes } = await backupHere(configOf(call), { file, passphrase, version: ownVersion(), onProgress }));
        }
        meter.close();
        printDone(call, `Wrote ${file} (${formatBytes(bytes)}).`, { file, bytes });
      } finally {
        meter.close();
      }
    },
  });
  add({
    usage: 'restore <file>',
    summary: 'Put a backup in the place of an empty installation',
    description:
      'Into the data directory of the embedded server, or into the PostgreSQL of WINDLASS_DATABASE_URL, while no server runs. Make sure that the server the backup is from does not run any more: both would deploy and destroy the same things. Runs that were open are ended; times to live that are over by then are put off by --grace hours.',
    examples: [
      ['windlass restore windlass.backup', 'asks for the passphrase'],
      ['windlass restore windlass.backup --force', 'keeps what is there aside'],
      [
        'windlass restore windlass.backup --key-file /etc/windlass.key',
        'writes the encryption keys for `server` and `worker`',
      ],
    ],
    flags: [
      ...sharedFlags,
      { flags: '--force', description: 'keep what is there aside, instead of refusing' },
      { flags: '--grace <hours>', description: 'nothing is destroyed for its time to live before (default 24)' },
      { flags: '--key-file <file>', description: 'write the encryption keys of the backup into this new file' },
    ],
    options: z.object({
      ...shared,
      force: z.boolean().default(false),
      grace: z.coerce.number('expected hours').min(0).max(8760).default(24),
      keyFile: z.string().optional(),
    }),
    async run(call) {
      const file = resolve(call.io.cwd, call.argument(0));
      const { force, grace: graceHours, keyFile } = call.options;
      const passphrase = await readPassphrase(call, false);
      const meter = createMeter(call.io, call.printer);
      try {
        meter.show('checking the backup', 0, 0);
        const { restoreHere } = await import('../../moving.ts');
        const onProgress = (done: number): void => meter.show(`restoring: ${done} records`, 0, 0);
        const restored = await restoreHere(configOf(call), {
          file,
          passphrase,
          force,
          graceHours,
          keyFile,
          onProgress,
        });
        meter.close();
        printDone(call, `Restored ${file}, made at ${restored.createdAt}.`, restored);
        if (call.printer.format !== 'table') return;
        for (const line of [
          restored.keptIn === null ? null : `What was there is kept in ${restored.keptIn}.`,
          restored.keyFile === null ? null : `The encryption keys are in ${restored.keyFile}.`,
          'Start it: windlass up. Schedules and times to live run again; a key for it: that of the old server, or windlass up --new-administrator-key.',
          'What was deployed after the backup is not in it: look with `windlass drift check ENVIRONMENT` before you deploy.',
        ])
          if (line !== null) call.printer.remark(line);
      } finally {
        meter.close();
      }
    },
  });
}

async function download(response: Response, file: string): Promise<number> {
  const draft = `${file}.unfinished`;
  let bytes = 0;
  try {
    if (!response.body) throw usageError('the server answered without a backup');
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        bytes += chunk.byteLength;
        yield chunk;
      }
    };
    await pipeline(Readable.from(counted()), createWriteStream(draft, { mode: 0o600 }));
    renameSync(draft, file);
    return bytes;
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
