import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readlink, realpath, stat, statfs, symlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { messageOf, WindlassError } from '../model/index.ts';
import { isToolCache } from '../tools/catalogue.ts';
import type { SourceLimits } from './limits.ts';
import { errorCode, escapes, isInside, linkTarget, tooManyBytes, tooManyFiles } from './tree.ts';

/** Not part of a source: what tools and editors put there themselves. */
const isIgnored = (name: string): boolean => name === '.git' || name === 'node_modules' || isToolCache(name);

/** File systems whose files are views of the kernel: reading one may fail, hang, or never end. By their magic numbers. */
const kernelFileSystems: ReadonlyMap<number, string> = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x1cd1, 'devpts'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x64626720, 'debugfs'],
  [0x74726163, 'tracefs'],
  [0x73636673, 'securityfs'],
  [0x62656570, 'configfs'],
]);

export async function openLocal(directory: string): Promise<string> {
  const bad = (why: string): WindlassError =>
    new WindlassError('sourceUnavailable', `local directory ${directory} ${why}`, {
      hint: 'Give an absolute directory that exists on every machine that runs a worker.',
      class: 'definition',
    });
  if (!isAbsolute(directory) || directory.includes('\0')) throw bad('is not an absolute path');
  try {
    const real = await realpath(resolve(directory));
    if (!(await stat(real)).isDirectory()) throw bad('is not a directory');
    const kernel = kernelFileSystems.get((await statfs(real)).type);
    if (kernel !== undefined)
      throw bad(`is no place for code: it lies in ${kernel}, which shows the kernel's own data`);
    return real;
  } catch (thrown) {
    if (thrown instanceof WindlassError) throw thrown;
    throw bad(
      errorCode(thrown) === 'ENOENT' ? 'does not exist' : `cannot be read (${errorCode(thrown) ?? messageOf(thrown)})`,
    );
  }
}

interface Walk {
  readonly root: string;
  readonly limits: SourceLimits;
  readonly signal: AbortSignal | undefined;
  /** What is Windlass's own may lie inside the directory, and is no source of anybody. */
  readonly skip: readonly string[];
  /** Where a copy is made; null only looks. */
  readonly copyTo: string | null;
}

async function openFile(path: string): Promise<FileHandle | null> {
  try {
    // neither follow a link that took the file's place, nor wait for a writer on a pipe
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    // removed, or replaced by a link or socket, since the directory was read
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errorCode(thrown) ?? '')) return null;
    throw new WindlassError('sourceUnavailable', `${path} cannot be read (${errorCode(thrown) ?? messageOf(thrown)})`, {
      hint: 'Let the user that runs Windlass read every file of the source.',
      class: 'definition',
    });
  }
}

/**
 * Hash of the names, executable bits, contents and links below a directory; with `copyTo` of exactly what was copied.
 * Sockets, pipes and devices are left out.
 */
export async function hashDirectory(walk: Walk): Promise<string> {
  const { root, limits } = walk;
  const what = `local directory ${root}`;
  const total = createHash('sha256');
  let files = 0;
  let bytes = 0;

  const record = (kind: 'd' | 'f' | 'x' | 'l', path: string, digest = ''): void => {
    // lengths first, so that no two trees read the same
    total.update(`${kind} ${Buffer.byteLength(path)} ${path} ${Buffer.byteLength(digest)} ${digest}\n`);
  };
  const readInto = async (file: FileHandle, hash: Hash, target: FileHandle | null): Promise<void> => {
    const buffer = Buffer.allocUnsafe(256 * 1024);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return;
      bytes += bytesRead;
      if (bytes > limits.maxBytes) throw tooManyBytes(what, limits);
      const part = buffer.subarray(0, bytesRead);
      hash.update(part);
      if (target) await target.writeFile(part);
    }
  };
  const visitFile = async (path: string, name: string): Promise<void> => {
    const file = await openFile(path);
    if (!file) return;
    try {
      const info = await file.stat();
      if (!info.isFile()) return;
      const executable = (info.mode & 0o111) !== 0;
      const target =
        walk.copyTo === null ? null : await open(join(walk.copyTo, name), 'wx', executable ? 0o755 : 0o644);
      const hash = createHash('sha256');
      try {
        await readInto(file, hash, target);
      } finally {
        await target?.close();
      }
      record(executable ? 'x' : 'f', name, hash.digest('hex'));
    } finally {
      await file.close();
    }
  };
  const visitLink = async (path: string, name: string): Promise<void> => {
    const target = await linkTarget(root, path);
    if (!target) throw escapes(what, name, await readlink(path));
    // an absolute link would lead from the copy back into the directory
    const text = isAbsolute(target.text) ? relative(dirname(path), target.real) || '.' : target.text;
    if (walk.copyTo !== null) await symlink(text, join(walk.copyTo, name));
    record('l', name, text);
  };
  const visit = async (directory: string): Promise<void> => {
    walk.signal?.throwIfAborted();
    const entries = await readdir(directory, { withFileTypes: true }).catch((thrown: unknown) => {
      throw new WindlassError(
        'sourceUnavailable',
        `${directory} cannot be read (${errorCode(thrown) ?? messageOf(thrown)})`,
        {
          hint: 'Let the user that runs Windlass read every directory of the source.',
          class: 'definition',
        },
      );
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (isIgnored(entry.name) || walk.skip.includes(path)) continue;
      if (++files > limits.maxFiles) throw tooManyFiles(what, limits);
      const name = relative(root, path);
      if (entry.isDirectory()) {
        record('d', name);
        if (walk.copyTo !== null) await mkdir(join(walk.copyTo, name));
        await visit(path);
      } else if (entry.isSymbolicLink()) await visitLink(path, name);
      else if (entry.isFile()) await visitFile(path, name);
    }
  };
  if (walk.skip.some((own) => isInside(own, root))) {
    throw new WindlassError('invalidInput', `${what} lies in a directory of Windlass's own`, { class: 'definition' });
  }
  await visit(root);
  return total.digest('hex').slice(0, 24);
}
