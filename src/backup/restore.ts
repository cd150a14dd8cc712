import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { messageOf, WindlassError } from '../model/index.ts';
import { checksumOf, ensureDefaults, migrate, migrations, writeRecords } from '../store/index.ts';
import type { CopyProgress, Database, Migration } from '../store/index.ts';
import { recordArrival } from './arrival.ts';
import { formatVersion, headerSchema, magic, trailerBytes, unwrapKeys } from './header.ts';
import type { BackupHeader } from './header.ts';

const longestHeader = 1_000_000;

/** A backup whose checksum fits and that this Windlass can read. */
export interface CheckedBackup {
  readonly file: string;
  readonly createdAt: string;
  /** Version of the Windlass that wrote it. */
  readonly windlass: string;
  readonly bytes: number;
  /** The encryption keys in it. */
  readonly keys: readonly Uint8Array[];
  readonly migrations: readonly Migration[];
  /** Where the records begin. */
  readonly start: number;
}

const notWhole = (file: string, why: string): WindlassError =>
  new WindlassError('invalidInput', `${file} is damaged: ${why}`, { hint: 'nothing was changed; use another backup' });

/** Checks a backup from its first byte to its last, and opens its keys. Throws `invalidInput` with what is wrong. */
export async function readBackup(file: string, passphrase: string): Promise<CheckedBackup> {
  const { header, start, bytes } = await readHeader(file);
  await checkSum(file, bytes);
  const known = migrationsOf(header);
  const keys = unwrapKeys(header.keys, passphrase);
  return { file, createdAt: header.createdAt, windlass: header.windlass, bytes, keys, migrations: known, start };
}

async function readHeader(file: string): Promise<{ header: BackupHeader; start: number; bytes: number }> {
  let text: Buffer;
  let bytes: number;
  try {
    bytes = (await stat(file)).size;
    const handle = await open(file, 'r');
    try {
      text = Buffer.alloc(Math.min(longestHeader, bytes));
      await handle.read(text, 0, text.length, 0);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new WindlassError('invalidInput', `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
  if (!text.subarray(0, magic.length).equals(Buffer.from(magic)))
    throw new WindlassError('invalidInput', `${file} is not a backup of Windlass`, {
      hint: 'make one with: windlass backup FILE',
    });
  const end = text.indexOf(10);
  let header: unknown;
  try {
    header = JSON.parse(text.subarray(magic.length, end < 0 ? undefined : end).toString());
  } catch {
    throw notWhole(file, 'its first line cannot be read');
  }
  const format = (header as { format?: unknown }).format;
  if (typeof format === 'number' && format > formatVersion)
    throw new WindlassError('conflict', `${file} was made by a newer Windlass (format ${format})`, {
      hint: 'restore it with that version or a later one',
    });
  const parsed = headerSchema.safeParse(header);
  if (!parsed.success) throw notWhole(file, 'its first line is not as it should be');
  return { header: parsed.data, start: end + 1, bytes };
}

async function checkSum(file: string, bytes: number): Promise<void> {
  const body = bytes - trailerBytes;
  if (body < magic.length) throw notWhole(file, 'it ends too early');
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { end: body - 1, highWaterMark: 1 << 20 }))
    hash.update(chunk as Buffer);
  let trailer = '';
  for await (const chunk of createReadStream(file, { start: body })) trailer += (chunk as Buffer).toString('latin1');
  if (!/^\nsha256 [0-9a-f]{64}\n$/.test(trailer)) throw notWhole(file, 'its end is missing');
  if (trailer.slice(8, 72) !== hash.digest('hex')) throw notWhole(file, 'its checksum does not fit its content');
}

/** The migrations that the records in it have been through, which have to be known here. */
function migrationsOf(header: BackupHeader): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  const foreign = header.migrations.filter(({ name, checksum }) => {
    const migration = known.get(name);
    return migration === undefined || checksumOf(migration) !== checksum;
  });
  if (foreign.length > 0)
    throw new WindlassError(
      'conflict',
      `the backup was made by a newer or other Windlass (${header.windlass}): this one does not know ${foreign.map(({ name }) => name).join(', ')}`,
      { hint: 'restore it with that version or a later one' },
    );
  const wanted = new Set(header.migrations.map(({ name }) => name));
  return migrations.filter(({ name }) => wanted.has(name));
}

/** Puts the records of a backup into an empty database, all or nothing, and brings its tables up to date. */
export async function restoreRecords(
  db: Database,
  backup: CheckedBackup,
  { graceHours, onProgress }: { readonly graceHours: number; readonly onProgress?: CopyProgress | undefined },
): Promise<void> {
  await migrate(db.sql, backup.migrations);
  await db.transaction(async (tx) => {
    await writeRecords(tx, linesOf(backup), onProgress);
    await recordArrival(tx, { how: 'restore', asOf: backup.createdAt, graceHours });
  });
  await migrate(db.sql);
  await ensureDefaults(db.sql);
}

async function* linesOf({ file, start, bytes }: CheckedBackup): AsyncGenerator<string> {
  const source = createReadStream(file, { start, end: bytes - trailerBytes - 1, highWaterMark: 1 << 18 });
  const records = createGunzip();
  pipeline(source, records, (error) => {
    if (error) records.destroy(error);
  });
  let parts: Buffer[] = [];
  for await (const chunk of records as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, end)]).toString('utf8');
      parts = [];
      from = end + 1;
    }
    if (from < chunk.length) parts.push(Buffer.from(chunk.subarray(from)));
  }
}
