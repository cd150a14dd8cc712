import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a lock's file says, and when its holder last showed life. */
export interface LockText {
  readonly text: string;
  readonly touchedMs: number;
}

export type Taken = { readonly taken: true } | { readonly taken: false; readonly other: LockText | null };

/**
 * Makes a file that only one can make, with its whole text or not at all, so that nobody ever reads half a lock. A file
 * that `abandoned` says is nobody's any more is taken away first.
 */
export function takeLockFile(file: string, text: string, abandoned: (other: LockText) => boolean): Taken {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(8).toString('hex')}`;
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
  try {
    for (let tries = 0; tries < 20; tries++) {
      if (linkWhenFree(draft, file)) return { taken: true };
      const other = readLockFile(file);
      if (other === null) continue;
      if (!abandoned(other)) return { taken: false, other };
      removeAbandoned(file, other);
    }
    return { taken: false, other: readLockFile(file) };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes the file if it is still one's own. */
export function releaseLockFile(file: string, text: string): void {
  if (readLockFile(file)?.text === text) rmSync(file, { force: true });
}

function linkWhenFree(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readLockFile(file: string): LockText | null {
  try {
    return { text: readFileSync(file, 'utf8'), touchedMs: statSync(file).mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Of several that find the same lock abandoned one may drop it. */
function removeAbandoned(file: string, found: LockText): void {
  const aside = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    renameSync(file, aside);
  } catch {
    return; // Somebody else was faster.
  }
  // Between reading and renaming a living process may have taken it: then it gets its lock back.
  const moved = readLockFile(aside);
  if (moved && moved.text !== found.text) linkWhenFree(aside, file);
  rmSync(aside, { force: true });
}
