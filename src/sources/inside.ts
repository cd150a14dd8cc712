import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { open, readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative, sep } from 'node:path';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import { sizeText } from './limits.ts';
import { errorCode, isInside } from './tree.ts';

/** Kept beside a checkout: what its files do not tell. */
export const checkoutNoteSchema = z.object({
  /** Paths of git submodules, whose content is not fetched. */
  submodules: z.array(z.string()),
});

export function notePath(root: string): string {
  return `${root}.json`;
}

async function submoduleOf(root: string, path: string): Promise<string | null> {
  try {
    const note = checkoutNoteSchema.parse(JSON.parse(await readFile(notePath(root), 'utf8')));
    return note.submodules.find((name) => path === name || path.startsWith(`${name}/`)) ?? null;
  } catch {
    // no note, or none of ours: it only serves a message
    return null;
  }
}

function refuse(path: string, why: string): never {
  throw new WindlassError('invalidInput', `path ${JSON.stringify(path.slice(0, 300))} ${why}`, {
    hint: 'Give a path relative to the root of the source, without "..".',
    class: 'definition',
  });
}

async function locate(root: string, path: string, what: 'directory' | 'file'): Promise<string> {
  if (path.includes('\0')) refuse(path, 'has a NUL character');
  if (isAbsolute(path)) refuse(path, 'is absolute, but must be relative to the source');
  const clean = normalize(path);
  if (clean === '..' || clean.startsWith(`..${sep}`)) refuse(path, 'leads out of the source');
  const realRoot = await realpath(root);
  let real: string;
  try {
    real = await realpath(join(realRoot, clean));
  } catch (thrown) {
    if (errorCode(thrown) === 'ELOOP') refuse(path, 'is a loop of links');
    if (errorCode(thrown) !== 'ENOENT' && errorCode(thrown) !== 'ENOTDIR') throw thrown;
    const submodule = await submoduleOf(root, clean);
    throw new WindlassError('notFound', `there is no ${what} ${JSON.stringify(path)} in the source`, {
      hint: submodule
        ? `${submodule} is a git submodule; Windlass does not fetch submodules. Use its repository as the source.`
        : 'Check the path and the revision of the source.',
      class: 'definition',
    });
  }
  if (!isInside(realRoot, real)) refuse(path, 'is a link that leads out of the source');
  return real;
}

/**
 * The real, absolute directory `path` inside a checkout. Refuses absolute paths, `..`, links that lead out,
 * and what is missing or no directory.
 */
export async function resolvePath(root: string, path: string): Promise<string> {
  const real = await locate(root, path, 'directory');
  if ((await stat(real)).isDirectory()) return real;
  throw new WindlassError('invalidInput', `${JSON.stringify(path)} is a file in the source, not a directory`, {
    hint: 'Let `path` name the directory that holds the stack.',
    class: 'definition',
  });
}

/** A text file inside a checkout. Refuses what `resolvePath` refuses, files over `maxBytes`, and what is not UTF-8. */
export async function readTextFile(root: string, path: string, maxBytes: number): Promise<string> {
  const real = await locate(root, path, 'file');
  const name = relative(await realpath(root), real) || '.';
  // without O_NONBLOCK a named pipe would hang here for ever
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size, ...info } = await file.stat().then((s) => ({ size: s.size, isFile: s.isFile() }));
    if (!info.isFile) {
      throw new WindlassError('invalidInput', `${JSON.stringify(path)} in the source is not a regular file`, {
        class: 'definition',
      });
    }
    const tooLarge = (): never => {
      throw new WindlassError('tooLarge', `${name} is larger than ${sizeText(maxBytes)}`, {
        hint: 'Make the file smaller; it should hold definitions only.',
        class: 'definition',
      });
    };
    if (size > maxBytes) tooLarge();
    const body = Buffer.alloc(maxBytes + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(body, length, body.length - length);
      length += bytesRead;
      if (length > maxBytes) tooLarge();
      if (bytesRead === 0) break;
    }
    const text = body.subarray(0, length);
    if (!isUtf8(text)) {
      throw new WindlassError('invalidInput', `${name} is not UTF-8 text`, {
        hint: 'Save the file as UTF-8.',
        class: 'definition',
      });
    }
    return text.toString('utf8').replace(/^\ufeff/, '');
  } finally {
    await file.close();
  }
}
