import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { Dirent } from 'node:fs';
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

/** Hashes a directory and, where one is wanted, makes a copy of exactly what was hashed. */
class DirectoryHasher {
  private readonly walk: Walk;
  private readonly what: string;
  private readonly total = createHash('sha256');
  private files = 0;
  private bytes = 0;

  constructor(walk: Walk) {
    this.walk = walk;
    this.what = `local directory ${walk.root}`;
  }

  async hash(): Promise<string> {
    const { root, skip } = this.walk;
    if (skip.some((own) => isInside(own, root))) {
      throw new WindlassError('invalidInput', `${this.what} lies in a directory of Windlass's own`, {
        class: 'definition',
      });
    }
    await this.visit(root);
    return this.total.digest('hex').slice(0, 24);
  }

  private async visit(directory: string): Promise<void> {
    const { root, limits, skip, copyTo, signal } = this.walk;
    signal?.throwIfAborted();
    const entries = await readEntries(directory);
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (isIgnored(entry.name) || skip.includes(path)) continue;
      if (++this.files > limits.maxFiles) throw tooManyFiles(this.what, limits);
      const name = relative(root, path);
      if (entry.isDirectory()) {
        this.record('d', name);
        if (copyTo !== null) await mkdir(join(copyTo, name));
        await this.visit(path);
      } else if (entry.isSymbolicLink()) await this.visitLink(path, name);
      else if (entry.isFile()) await this.visitFile(path, name);
    }
  }

  private async visitFile(path: string, name: string): Promise<void> {
    const { copyTo } = this.walk;
    const file = await openFile(path);
    if (!file) return;
    try {
      const info = await file.stat();
      if (!info.isFile()) return;
      const executable = (info.mode & 0o111) !== 0;
      const target = copyTo === null ? null : await open(join(copyTo, name), 'wx', executable ? 0o755 : 0o644);
      const hash = createHash('sha256');
      try {
        await this.read(file, hash, target);
      } finally {
        await target?.close();
      }
      this.record(executable ? 'x' : 'f', name, hash.digest('hex'));
    } finally {
      await file.close();
    }
  }

  private async read(file: FileHandle, hash: Hash, target: FileHandle | null): Promise<void> {
    const { limits } = this.walk;
    const buffer = Buffer.allocUnsafe(256 * 1024);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return;
      this.bytes += bytesRead;
      if (this.bytes > limits.maxBytes) throw tooManyBytes(this.what, limits);
      const part = buffer.subarray(0, bytesRead);
      hash.update(part);
      if (target) await target.writeFile(part);
    }
  }

  private async visitLink(path: string, name: string): Promise<void> {
    const { root, copyTo } = this.walk;
    const target = await linkTarget(root, path);
    if (!target) throw escapes(this.what, name, await readlink(path));
    // an absolute link would lead from the copy back into the directory
    const text = isAbsolute(target.text) ? relative(dirname(path), target.real) || '.' : target.text;
    if (copyTo !== null) await symlink(text, join(copyTo, name));
    this.record('l', name, text);
  }

  private record(kind: 'd' | 'f' | 'x' | 'l', path: string, digest = ''): void {
    // lengths first, so that no two trees read the same
    this.total.update(`${kind} ${Buffer.byteLength(path)} ${path} ${Buffer.byteLength(digest)} ${digest}\n`);
  }
}

async function readEntries(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (thrown) {
    throw new WindlassError(
      'sourceUnavailable',
      `${directory} cannot be read (${errorCode(thrown) ?? messageOf(thrown)})`,
      {
        hint: 'Let the user that runs Windlass read every directory of the source.',
        class: 'definition',
      },
    );
  }
}

/**
 * Hash of the names, executable bits, contents and links below a directory; with `copyTo` of exactly what was copied.
 * Sockets, pipes and devices are left out.
 */
export function hashDirectory(walk: Walk): Promise<string> {
  return new DirectoryHasher(walk).hash();
}
