import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { identifySelf, livenessOf, processIdentitySchema } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** The owner shows life this often; it matters only to those who cannot see its process. */
const beatMs = 5_000;
const silentForMs = 60_000;

const contentSchema = processIdentitySchema.extend({ token: z.string() });
type Content = z.infer<typeof contentSchema>;

/** A lock that this process holds. It ends with the process, whatever way it ends. */
export interface HeldLock {
  release(): void;
}

export type LockAttempt =
  { readonly held: true; readonly lock: HeldLock } | { readonly held: false; readonly owner: ProcessIdentity | null };

/** Takes the lock when nobody who may still be alive has it. */
export function tryLock(file: string): LockAttempt {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const content: Content = { ...identifySelf(), token: randomBytes(8).toString('hex') };
  const draft = `${file}.${content.token}`;
  writeFileSync(draft, JSON.stringify(content), { mode: 0o600, flag: 'wx' });
  try {
    for (let tries = 0; tries < 3; tries++) {
      // A link appears with its content or not at all, so nobody ever reads half a lock.
      if (linkWhenFree(draft, file)) return { held: true, lock: hold(file, content) };
      const other = read(file);
      if (!removeAbandoned(file, other)) return { held: false, owner: other?.content ?? null };
    }
    return { held: false, owner: read(file)?.content ?? null };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Waits for the lock, runs `work` under it, and frees it. `onWait` is called once a second with the owner. */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  onWait: (owner: ProcessIdentity | null) => void = () => undefined,
): Promise<T> {
  for (let waits = 0; ; waits++) {
    const attempt = tryLock(file);
    if (attempt.held) {
      try {
        return await work();
      } finally {
        attempt.lock.release();
      }
    }
    if (waits % 4 === 0) onWait(attempt.owner);
    await delay(250);
  }
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

interface Found {
  readonly text: string;
  /** null when the file is not one of ours. */
  readonly content: Content | null;
  readonly touchedMs: number;
}

function read(file: string): Found | null {
  try {
    const text = readFileSync(file, 'utf8');
    const touchedMs = statSync(file).mtimeMs;
    return { text, content: contentSchema.nullable().catch(null).parse(parseJson(text)), touchedMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function abandoned(found: Found): boolean {
  const liveness = found.content ? livenessOf(found.content) : 'unknown';
  if (liveness === 'unknown') return Date.now() - found.touchedMs > silentForMs;
  return liveness === 'dead';
}

/** True when the lock is gone and it is worth trying again. */
function removeAbandoned(file: string, found: Found | null): boolean {
  if (!found) return true;
  if (!abandoned(found)) return false;
  const aside = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    renameSync(file, aside);
  } catch {
    return true; // Somebody else was faster.
  }
  // Between reading and renaming a living process may have taken it: then it gets its lock back.
  const moved = read(aside);
  if (moved && moved.text !== found.text) linkWhenFree(aside, file);
  rmSync(aside, { force: true });
  return true;
}

function hold(file: string, content: Content): HeldLock {
  const text = JSON.stringify(content);
  const beat = setInterval(() => {
    try {
      const now = new Date();
      utimesSync(file, now, now);
    } catch {
      // The directory may be gone; the holder finds that out by itself.
    }
  }, beatMs);
  beat.unref();
  const release = (): void => {
    clearInterval(beat);
    process.off('exit', release);
    if (read(file)?.text === text) rmSync(file, { force: true });
  };
  process.on('exit', release);
  return { release };
}
