import { chmod, lstat, opendir, readlink, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { WindlassError } from '../model/index.ts';
import { sizeText } from './limits.ts';
import type { SourceLimits } from './limits.ts';

/** The code of a system error, such as `ENOENT`. Not by instanceof: such errors may come from another realm. */
export function errorCode(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null;
  return typeof thrown.code === 'string' ? thrown.code : null;
}

/** Both must be real paths. */
export function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** The real path of something that need not exist: the part that exists is resolved by the system. */
export async function realpathLenient(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (thrown) {
    if (errorCode(thrown) !== 'ENOENT' || dirname(path) === path) throw thrown;
    return join(await realpathLenient(dirname(path)), basename(path));
  }
}

/** Where a link leads, or null when that is outside the root or nowhere at all (a loop). */
export async function linkTarget(root: string, link: string): Promise<{ text: string; real: string } | null> {
  const text = await readlink(link);
  // not path.resolve: `a/..` is not `.` when `a` is a link itself
  const full = text.startsWith('/') ? text : `${dirname(link)}/${text}`;
  try {
    const real = await realpathLenient(full);
    return isInside(root, real) ? { text, real } : null;
  } catch (thrown) {
    if (['ELOOP', 'ENOTDIR', 'ENAMETOOLONG'].includes(errorCode(thrown) ?? '')) return null;
    throw thrown;
  }
}

export function escapes(what: string, link: string, text: string): WindlassError {
  return new WindlassError('invalidDefinition', `${what}: the link ${link} leads outside (to ${text.slice(0, 200)})`, {
    hint: 'Let links stay inside the source, or replace the link by what it points to.',
    class: 'definition',
  });
}

export function tooManyFiles(what: string, limits: SourceLimits): WindlassError {
  return new WindlassError('tooLarge', `${what} has more than ${limits.maxFiles} files`, {
    hint: 'Point the source at a smaller directory, or keep generated files out of it.',
    class: 'definition',
  });
}

export function tooManyBytes(what: string, limits: SourceLimits): WindlassError {
  return new WindlassError('tooLarge', `${what} is larger than ${sizeText(limits.maxBytes)}`, {
    hint: 'Point the source at a smaller directory, or keep large files out of it.',
    class: 'definition',
  });
}

/**
 * Proves that a new checkout holds no link that leads out and is not too large, and makes it read-only; all but the root,
 * since a read-only directory cannot be moved to another one.
 */
export async function sealTree(root: string, what: string, limits: SourceLimits): Promise<void> {
  const real = await realpath(root);
  let files = 0;
  let bytes = 0;
  const visit = async (directory: string): Promise<void> => {
    for await (const entry of await opendir(directory)) {
      if (++files > limits.maxFiles) throw tooManyFiles(what, limits);
      const path = join(directory, entry.name);
      if (entry.isDirectory()) await visit(path);
      else if (entry.isSymbolicLink()) {
        if (!(await linkTarget(real, path))) throw escapes(what, relative(real, path), await readlink(path));
      } else if (entry.isFile()) {
        const { size, mode } = await lstat(path);
        bytes += size;
        if (bytes > limits.maxBytes) throw tooManyBytes(what, limits);
        await chmod(path, mode & 0o111 ? 0o555 : 0o444);
      } else await rm(path);
    }
    if (directory !== real) await chmod(directory, 0o555);
  };
  await visit(real);
}

/** Removes a tree that may be read-only. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (thrown) {
    if (errorCode(thrown) !== 'EACCES' && errorCode(thrown) !== 'EPERM') throw thrown;
    await unseal(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function unseal(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for await (const entry of await opendir(directory))
    if (entry.isDirectory()) await unseal(join(directory, entry.name));
}

/** Bytes below a directory. Files that vanish meanwhile count nothing. */
export async function treeBytes(directory: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const entry of await opendir(directory)) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) bytes += await treeBytes(path);
      else bytes += (await lstat(path).catch(() => null))?.size ?? 0;
    }
  } catch (thrown) {
    if (errorCode(thrown) !== 'ENOENT') throw thrown;
  }
  return bytes;
}
