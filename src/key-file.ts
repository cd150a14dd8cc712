import { randomBytes } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { resolve } from 'node:path';
import { decodeKeys, keyExpectation } from './config.ts';
import type { Config } from './config.ts';
import { WindlassError, messageOf } from './model/index.ts';

/** The keys of a process, and where they came from, for messages. */
export interface OpenedKeys {
  /** Newest first; each has 32 bytes. */
  readonly keys: readonly Uint8Array[];
  readonly origin: string;
}

/**
 * The keys under which secrets are stored. The embedded server makes the file on first use, readable by its owner
 * alone. Throws when the file is missing or damaged, and when it is gone while data that needs it is still there.
 */
export function openEncryptionKeys(config: Config): OpenedKeys {
  const source = config.encryptionKey;
  if (source.kind === 'value') return { keys: source.keys, origin: 'WINDLASS_ENCRYPTION_KEY' };
  const origin = source.path;
  const known = readKeyFile(source.path);
  if (known) {
    if (source.create) refuseReadableByOthers(source.path);
    return { keys: known, origin };
  }
  const hint = `restore ${source.path} from a backup, or set WINDLASS_ENCRYPTION_KEY`;
  if (!source.create) throw new WindlassError('invalidInput', `there is no encryption key at ${source.path}`, { hint });
  if (config.database.kind === 'pglite' && hasFiles(config.database.directory)) {
    throw new WindlassError(
      'invalidInput',
      `the encryption key ${source.path} is gone, and the secrets in ${config.database.directory} cannot be read without it`,
      { hint: `${hint}; to start from nothing, move ${config.dataDirectory} away` },
    );
  }
  createKeyFile(source.path);
  const created = readKeyFile(source.path);
  if (created) return { keys: created, origin };
  throw new WindlassError('internal', `the encryption key ${source.path} vanished right after it was made`, { hint });
}

/**
 * Makes a new key and writes it first into the key file, before those that are there; answers it. Null when the keys are
 * not ours to write: they come from the environment, or from a file that somebody else provides.
 */
export function addEncryptionKey(config: Config): Uint8Array | null {
  const source = config.encryptionKey;
  if (source.kind === 'value' || !source.create) return null;
  const before = readFileSync(source.path, 'utf8');
  const key = randomBytes(32);
  const draft = `${source.path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${key.toString('base64')}\n${before}`, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(draft, source.path);
  return key;
}

/** null when there is no such file. */
function readKeyFile(file: string): Uint8Array[] | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new WindlassError('invalidInput', `cannot read the encryption key ${file}: ${messageOf(error)}`, {
      hint: 'make it readable for the user that runs Windlass',
      cause: error,
    });
  }
  const keys = decodeKeys(text);
  if (!keys) {
    throw new WindlassError('invalidInput', `${file} does not hold an encryption key: ${keyExpectation}`, {
      hint: `restore ${file} from a backup; a new key cannot read what the old one encrypted`,
    });
  }
  return keys;
}

/** Only for our own file: orchestrators mount secrets with modes of their own. */
function refuseReadableByOthers(file: string): void {
  if ((statSync(file).mode & 0o077) === 0) return;
  throw new WindlassError('invalidInput', `the encryption key ${file} can be read by other users`, {
    hint: `chmod 600 ${file}`,
  });
}

function hasFiles(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0;
  } catch {
    return false;
  }
}

/** Two starts at once must not each make a key: the link is atomic, and the first one wins. */
function createKeyFile(file: string): void {
  mkdirSync(resolve(file, '..'), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx', flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
}
