import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../host/index.ts';
import { notePath } from './inside.ts';
import { errorCode, removeTree, treeBytes } from './tree.ts';

export interface PruneOptions {
  /** Only what nobody asked for during so long, in milliseconds. */
  readonly unusedForMs: number;
}

export interface PruneReport {
  readonly removed: number;
  readonly freedBytes: number;
}

/** What a process that died left half made is younger than this while somebody still makes it. */
const leftoverAfterMs = 3_600_000;
/** Key of the repository, commit, and the key of a directory when only that was checked out. */
const gitCheckout = /^([0-9a-f]+)-[0-9a-f]{40,64}(-[0-9a-f]+)?$/;

async function modified(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return null;
    throw thrown;
  }
}

async function removeLeftovers(tmp: string): Promise<void> {
  for (const name of await readdir(tmp)) {
    const path = join(tmp, name);
    const at = await modified(path);
    if (at !== null && at < Date.now() - leftoverAfterMs) await removeTree(path);
  }
}

/**
 * Takes a checkout out of its place unless it was used since `before`; answers where it lies then. Whoever uses one
 * touches its note first, and whoever makes one holds the lock: with the note taken away, nobody finds half a checkout.
 */
async function takeAway(path: string, tmp: string, before: number): Promise<string | null> {
  const aside = join(tmp, `gone-${randomBytes(6).toString('hex')}`);
  const note = notePath(aside);
  const noted = await rename(notePath(path), note).then(
    () => true,
    (thrown: unknown) => {
      if (errorCode(thrown) !== 'ENOENT') throw thrown;
      return false;
    },
  );
  if (noted && ((await modified(note)) ?? 0) >= before) {
    await rename(note, notePath(path));
    return null;
  }
  try {
    // A read-only directory cannot be moved.
    await chmod(path, 0o755);
    await rename(path, aside);
  } catch (thrown) {
    // Somebody else was faster.
    if (errorCode(thrown) === 'ENOENT') return null;
    throw thrown;
  } finally {
    await rm(note, { force: true });
  }
  return aside;
}

/**
 * Removes checkouts of git commits that were not used lately; they are made again when they are needed. The
 * repositories they come from stay, and so do copies of local directories, which may be the only ones there are.
 */
export async function pruneCheckouts(cacheDirectory: string, { unusedForMs }: PruneOptions): Promise<PruneReport> {
  const tmp = join(cacheDirectory, 'tmp');
  await mkdir(tmp, { recursive: true });
  await removeLeftovers(tmp);
  const before = Date.now() - unusedForMs;
  let removed = 0;
  let freedBytes = 0;
  for (const entry of await readdir(join(cacheDirectory, 'checkouts'), { withFileTypes: true })) {
    const [, repository, part] = (entry.isDirectory() && gitCheckout.exec(entry.name)) || [];
    if (repository === undefined) continue;
    const path = join(cacheDirectory, 'checkouts', entry.name);
    if (((await modified(notePath(path))) ?? 0) >= before) continue;
    const lock = join(cacheDirectory, 'locks', `${repository}${part === undefined ? '' : '.partial'}.git.lock`);
    const gone = await withLock(lock, async () => takeAway(path, tmp, before));
    if (gone === null) continue;
    freedBytes += await treeBytes(gone);
    await removeTree(gone);
    removed++;
  }
  return { removed, freedBytes };
}
