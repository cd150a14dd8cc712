import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { errorCode } from './tree.ts';

const beatMs = 3_000;
const staleMs = 30_000;
const pollMs = 50;

async function readOwner(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return null;
  }
}

function ownerIsGone(owner: string): boolean {
  const [host, pid] = owner.split('\n');
  if (host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (thrown) {
    return errorCode(thrown) === 'ESRCH';
  }
}

async function isStale(path: string, owner: string): Promise<boolean> {
  if (ownerIsGone(owner)) return true;
  try {
    return Date.now() - (await stat(path)).mtimeMs > staleMs;
  } catch {
    return false;
  }
}

/** Takes a dead owner's lock away; puts it back when somebody else was faster and the lock is already theirs. */
async function breakLock(path: string, owner: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
    if ((await readOwner(aside)) !== owner) await link(aside, path);
  } catch {
    // gone or taken meanwhile: the next try sees it
  } finally {
    await rm(aside, { force: true });
  }
}

/**
 * Lets one process at a time do something. It saves work and keeps git's own lock files out of each other's way;
 * results are put in place by an atomic rename, so that a lock wrongly taken from a stalled process does no harm.
 */
export async function withFileLock<T>(
  path: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const me = `${hostname()}\n${process.pid}\n${randomBytes(8).toString('hex')}`;
  for (;;) {
    signal?.throwIfAborted();
    try {
      await writeFile(path, me, { flag: 'wx', mode: 0o600 });
      break;
    } catch (thrown) {
      if (errorCode(thrown) !== 'EEXIST') throw thrown;
    }
    const owner = await readOwner(path);
    if (owner !== null && (await isStale(path, owner))) await breakLock(path, owner);
    else await wait(pollMs, undefined, { signal });
  }
  const beat = setInterval(() => {
    const now = new Date();
    void utimes(path, now, now).catch(() => undefined);
  }, beatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if ((await readOwner(path)) === me) await rm(path, { force: true });
  }
}
