import { chmod, mkdir, readFile, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { WindlassError, messageOf } from '../model/index.ts';
import { megabytes, sha256Of } from './download.ts';
import { isExecutable } from './programs.ts';

/** One program in one version, made in one way. */
export interface CachedProgram {
  /** Directory of the tool, such as `opentofu`. */
  readonly tool: string;
  /** Version and what else decides the content, such as `1.9.1-wheel-3cca23d0`. */
  readonly key: string;
  /** Path of the program inside. */
  readonly program: string;
}

const stampSchema = z.object({ size: z.number(), mtimeMs: z.number(), sha256: z.string() });

const directoryOf = (root: string, entry: CachedProgram): string => join(root, 'tools', entry.tool, entry.key);
const stampOf = (directory: string): string => join(directory, '.windlass-stamp.json');
const partialPrefix = '.partial-';

export const lockOf = (root: string, tool: string): string => join(root, 'tools', `${tool}.lock`);

/** Path of a program in the cache; null when it is not there, or not whole. */
export async function findCached(root: string, entry: CachedProgram): Promise<string | null> {
  const directory = directoryOf(root, entry);
  const program = join(directory, entry.program);
  try {
    const stamp = stampSchema.parse(JSON.parse(await readFile(stampOf(directory), 'utf8')));
    const found = await stat(program);
    if (found.size !== stamp.size || !isExecutable(program)) return null;
    // Hashing takes a tenth of a second, so it is done only when something has touched the file.
    if (found.mtimeMs === stamp.mtimeMs || (await sha256Of(program)) === stamp.sha256) return program;
    return null;
  } catch {
    return null;
  }
}

export interface Placement extends CachedProgram {
  /** Room on the disk that making it takes at its peak. */
  readonly needsBytes: number;
  /** Puts the program into this empty directory. */
  readonly make: (directory: string) => Promise<void>;
}

/**
 * Makes a program and puts it into the cache, whole or not at all. Call it under the tool's lock: what an interrupted
 * call has left behind is swept away first.
 */
export async function placeInCache(root: string, placement: Placement): Promise<string> {
  const directory = directoryOf(root, placement);
  const parent = dirname(directory);
  try {
    await mkdir(parent, { recursive: true });
    for (const name of await readdir(parent)) {
      if (name.startsWith(partialPrefix)) await removeTree(join(parent, name));
    }
    await requireSpace(parent, placement.needsBytes);
    const partial = join(parent, `${partialPrefix}${process.pid}`);
    await mkdir(partial);
    try {
      await placement.make(partial);
      const program = join(partial, placement.program);
      await chmod(program, 0o755);
      const { size, mtimeMs } = await stat(program);
      await writeFile(stampOf(partial), JSON.stringify({ size, mtimeMs, sha256: await sha256Of(program) }), {
        flush: true,
      });
      await removeTree(directory);
      await rename(partial, directory);
    } finally {
      await removeTree(partial);
    }
    return join(directory, placement.program);
  } catch (error) {
    throw explainDisk(error, parent);
  }
}

/** Go's module cache is read-only, directories too; nothing under the cache may resist being removed. */
async function removeTree(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 2 });
}

/** Throws when the disk cannot take this many bytes more. */
export async function requireSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free < bytes)
    throw diskFull(directory, `${megabytes(free)} MB are free and about ${megabytes(bytes)} MB are needed`);
}

function diskFull(directory: string, detail: string): WindlassError {
  return new WindlassError('unavailable', `the disk of ${directory} is full: ${detail}`, {
    hint: 'free some space, or set WINDLASS_CACHE to a directory on another disk',
  });
}

/** Says "disk full" and "may not write" as what they are, whoever noticed them. */
function explainDisk(error: unknown, directory: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  const text = messageOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left on device|disk quota exceeded/i.test(text)) {
    return isDiskFull(error) ? error : diskFull(directory, 'writing failed');
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new WindlassError('unavailable', `may not write to ${directory}: ${text}`, {
      hint: 'make it writable for this user, or set WINDLASS_CACHE to another directory',
      cause: error,
    });
  }
  return error;
}

/** No other way of getting the tool would help against this one. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof WindlassError && error.message.startsWith('the disk of ');
}
