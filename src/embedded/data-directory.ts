import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, WindlassError } from '../model/index.ts';

const leastFreeBytes = 200e6;
const forOthers = 0o077;

/**
 * Makes the data directory, or sees that it can be used: this user may write there, nobody else may read it, and there is
 * space. What others could read until now is closed to them, which `onEvent` is told. Throws one error that says what to do.
 */
export async function prepareDataDirectory(
  directory: string,
  onEvent: (message: string) => void = () => undefined,
): Promise<void> {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!lstatOf(directory).isDirectory()) throw new Error('it is not a directory');
    tryToWrite(directory);
    closeToOthers(directory, onEvent);
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize >= leastFreeBytes) return;
    throw new WindlassError(
      'unavailable',
      `the disk of ${directory} is almost full (${Math.round((bavail * bsize) / 1e6)} MB free)`,
      {
        hint: 'free at least 200 MB, or set WINDLASS_DATA to a directory on another disk',
      },
    );
  } catch (error) {
    if (error instanceof WindlassError) throw error;
    throw new WindlassError('unavailable', `cannot use the data directory ${directory}: ${messageOf(error)}`, {
      hint: 'make it a directory that belongs to this user and that it may write to, or set WINDLASS_DATA to another one',
      cause: error,
    });
  }
}

/** A link to a directory is one, too. */
function lstatOf(path: string) {
  const found = lstatSync(path);
  return found.isSymbolicLink() ? lstatSync(`${path}/.`) : found;
}

function tryToWrite(directory: string): void {
  const probe = join(directory, `.write-${process.pid}`);
  writeFileSync(probe, '', { mode: 0o600 });
  rmSync(probe);
}

/** The directory and its own files; it guards what lies deeper. */
function closeToOthers(directory: string, onEvent: (message: string) => void): void {
  const mode = lstatOf(directory).mode & 0o777;
  if ((mode & forOthers) !== 0) chmodSync(directory, 0o700);
  else return;
  const files: string[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (!entry.isFile() || (lstatSync(path).mode & forOthers) === 0) continue;
    chmodSync(path, 0o600);
    files.push(entry.name);
  }
  const read = files.length === 0 ? '' : `, and they could read ${files.join(', ')}`;
  const rotate = files.includes('encryption.key') ? '; change the key: windlass key rotate-encryption' : '';
  onEvent(
    `the data directory ${directory} was open to other users (mode ${mode.toString(8)})${read}; it is closed to them now${rotate}`,
  );
}
