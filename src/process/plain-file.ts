import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Reads a file from a directory that a stack could write to. A link there may lead to what the worker may read and the
 * stack may not, and a pipe would hold the worker up, so both count as no file. Null when there is none.
 */
export function readPlainFile(path: string): Buffer | null {
  return readFile(path, constants.O_NOFOLLOW);
}

/** The same, but follows links: for what is only looked at, and told nobody. */
export function readLinkedFile(path: string): Buffer | null {
  return readFile(path, 0);
}

function readFile(path: string, flags: number): Buffer | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
  } catch {
    return null;
  }
  try {
    return fstatSync(file).isFile() ? readFileSync(file) : null;
  } finally {
    closeSync(file);
  }
}

/**
 * Makes the directories on the way from a root, which is one, to a place in it. Anything else that lies in their way, such
 * as a link that leads out, is removed.
 */
export async function ensureDirectories(root: string, parts: readonly string[]): Promise<void> {
  let at = root;
  for (const part of parts) {
    at = join(at, part);
    const found = lstatSync(at, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) continue;
    if (found !== undefined) rmSync(at, { force: true });
    await mkdir(at);
  }
}
