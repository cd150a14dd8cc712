import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withFileLock } from './file-lock.ts';
import { notePath } from './inside.ts';
import { errorCode, removeTree, treeBytes } from './tree.ts';

export interface PruneOptions {
  /** Oldest use first, until the cache is no larger than this. */
  readonly maxBytes?: number | undefined;
  /** Everything that was not used for so long. */
  readonly maxAgeMs?: number | undefined;
  /** Checkouts in use: links of work directories lead into them. */
  readonly keep?: readonly string[] | undefined;
  /** Nothing younger is touched, since its user may only be about to say so. One hour when absent. */
  readonly graceMs?: number | undefined;
}

export interface PruneReport {
  readonly removed: number;
  readonly freedBytes: number;
  readonly keptBytes: number;
}

interface Item {
  readonly path: string;
  readonly kind: 'checkout' | 'repository';
  readonly usedAtMs: number;
}

async function modified(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return null;
    throw thrown;
  }
}

async function listItems(cacheDirectory: string): Promise<Item[]> {
  const items: Item[] = [];
  const checkouts = join(cacheDirectory, 'checkouts');
  for (const entry of await readdir(checkouts, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(checkouts, entry.name);
    items.push({ path, kind: 'checkout', usedAtMs: (await modified(notePath(path))) ?? 0 });
  }
  const repositories = join(cacheDirectory, 'repositories');
  for (const name of await readdir(repositories)) {
    const path = join(repositories, name);
    items.push({ path, kind: 'repository', usedAtMs: (await modified(path)) ?? 0 });
  }
  return items.sort((a, b) => a.usedAtMs - b.usedAtMs);
}

/** What a process that died left half made. */
async function removeLeftovers(cacheDirectory: string, olderThanMs: number): Promise<void> {
  const tmp = join(cacheDirectory, 'tmp');
  for (const name of await readdir(tmp)) {
    const path = join(tmp, name);
    const at = await modified(path);
    if (at !== null && at < Date.now() - Math.max(olderThanMs, 3_600_000)) await removeTree(path);
  }
}

async function remove(cacheDirectory: string, item: Item): Promise<void> {
  const aside = join(cacheDirectory, 'tmp', `gone-${randomBytes(6).toString('hex')}`);
  // renamed first: a reader sees all of it or nothing
  const take = async (): Promise<void> => {
    if (item.kind === 'checkout') await rm(notePath(item.path), { force: true });
    // a read-only directory cannot be moved
    await chmod(item.path, 0o755);
    await rename(item.path, aside);
  };
  if (item.kind === 'repository') {
    const name = item.path.split('/').at(-1) ?? 'cache';
    await withFileLock(join(cacheDirectory, 'locks', `${name}.lock`), undefined, take);
  } else await take();
  await removeTree(aside);
}

export async function pruneCache(cacheDirectory: string, options: PruneOptions): Promise<PruneReport> {
  await mkdir(join(cacheDirectory, 'tmp'), { recursive: true });
  const graceMs = options.graceMs ?? 3_600_000;
  await removeLeftovers(cacheDirectory, graceMs);
  const keep = new Set(options.keep ?? []);
  const now = Date.now();
  const items = await Promise.all(
    (await listItems(cacheDirectory)).map(async (item) => ({ ...item, bytes: await treeBytes(item.path) })),
  );
  let total = items.reduce((sum, item) => sum + item.bytes, 0);
  let removed = 0;
  let freedBytes = 0;
  for (const item of items) {
    const idleMs = now - item.usedAtMs;
    if (keep.has(item.path) || idleMs < graceMs) continue;
    const tooOld = options.maxAgeMs !== undefined && idleMs > options.maxAgeMs;
    const tooMuch = options.maxBytes !== undefined && total > options.maxBytes;
    if (!tooOld && !tooMuch) continue;
    // used since it was listed
    const usedAt = await modified(item.kind === 'checkout' ? notePath(item.path) : item.path);
    if (usedAt !== null && usedAt > item.usedAtMs) continue;
    await remove(cacheDirectory, item);
    total -= item.bytes;
    freedBytes += item.bytes;
    removed++;
  }
  return { removed, freedBytes, keptBytes: total };
}
