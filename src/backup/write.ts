import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Gzip } from 'node:zlib';
import { messageOf, WindlassError } from '../model/index.ts';
import { inSnapshot, listMigrations, readRecords } from '../store/index.ts';
import type { CopyProgress, Database } from '../store/index.ts';
import { formatVersion, magic, wrapKeys } from './header.ts';
import type { BackupHeader } from './header.ts';

export interface BackupOptions {
  readonly db: Database;
  /** Of everything that is stored. */
  readonly keys: readonly Uint8Array[];
  readonly passphrase: string;
  readonly version: string;
  readonly file: string;
  readonly onProgress?: CopyProgress | undefined;
}

const shortestPassphrase = 12;

/** Throws `invalidInput` for a passphrase that would soon be guessed. */
export function checkPassphrase(passphrase: string): void {
  if (passphrase.length >= shortestPassphrase) return;
  throw new WindlassError(
    'invalidInput',
    `the passphrase is too short: it has to have ${shortestPassphrase} characters`,
    {
      hint: 'it guards the encryption keys in the backup; make one with: openssl rand -base64 24',
    },
  );
}

/**
 * Writes a backup: records, states, plans, logs and keys, as they are at one moment, while the server goes on. The file
 * gets its name when it is whole. Answers its size.
 */
export async function writeBackup(options: BackupOptions): Promise<{ bytes: number; createdAt: string }> {
  const { db, file, passphrase } = options;
  checkPassphrase(passphrase);
  const draft = `${file}.unfinished`;
  const createdAt = new Date().toISOString();
  try {
    const bytes = await inSnapshot(db.sql, async (tx) => {
      const header: BackupHeader = {
        format: formatVersion,
        windlass: options.version,
        createdAt,
        migrations: await listMigrations(tx),
        keys: wrapKeys(options.keys, passphrase),
      };
      return writeFile(draft, header, readRecords(tx, options.onProgress));
    });
    await rename(draft, file);
    return { bytes, createdAt };
  } catch (error) {
    await rm(draft, { force: true });
    if (error instanceof WindlassError) throw error;
    throw new WindlassError('unavailable', `the backup could not be written to ${file}: ${messageOf(error)}`, {
      hint: 'check the space and the permissions there',
      cause: error,
    });
  }
}

async function writeFile(path: string, header: BackupHeader, lines: AsyncIterable<string>): Promise<number> {
  const out = createWriteStream(path, { flags: 'w', mode: 0o600 });
  const hash = createHash('sha256');
  let bytes = 0;
  const write = async (chunk: Uint8Array | string): Promise<void> => {
    hash.update(chunk);
    bytes += Buffer.byteLength(chunk);
    if (!out.write(chunk)) await once(out, 'drain');
  };
  try {
    await write(`${magic}${JSON.stringify(header)}\n`);
    const gzip = createGzip({ level: 5 });
    const compressed = compose(Readable.from(withLineEnds(lines)), gzip);
    for await (const chunk of compressed) await write(chunk as Buffer);
    const trailer = `\nsha256 ${hash.digest('hex')}\n`;
    out.write(trailer);
    await ended(out);
    return bytes + trailer.length;
  } finally {
    out.destroy();
  }
}

/** A failure of the source ends what is read, too. */
function compose(source: Readable, gzip: Gzip): Gzip {
  pipeline(source, gzip, (error) => {
    if (error) gzip.destroy(error);
  });
  return gzip;
}

function ended(out: WriteStream): Promise<void> {
  return new Promise((resolve, reject) => {
    out.once('error', reject);
    out.end(() => resolve());
  });
}

async function* withLineEnds(lines: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let waiting: string[] = [];
  let length = 0;
  for await (const line of lines) {
    waiting.push(line, '\n');
    length += line.length;
    if (length < 65_536) continue;
    yield Buffer.from(waiting.join(''));
    waiting = [];
    length = 0;
  }
  yield Buffer.from(waiting.join(''));
}
