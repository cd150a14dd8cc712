import { randomBytes } from 'node:crypto';
import { utimesSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { releaseLockFile, takeLockFile } from './lock-file.ts';
import type { LockText } from './lock-file.ts';
import { identifySelf, livenessOf, placedProcessSchema } from './placed-process.ts';
import type { PlacedProcess } from './placed-process.ts';

/** The owner shows life this often; it matters only to those who cannot see its process. */
const beatMs = 5_000;
const silentForMs = 60_000;

const contentSchema = placedProcessSchema.extend({ token: z.string() });
type Content = z.infer<typeof contentSchema>;

/** A lock that this process holds. It ends with the process, whatever way it ends. */
export interface HeldLock {
  release(): void;
}

export type LockAttempt =
  { readonly held: true; readonly lock: HeldLock } | { readonly held: false; readonly owner: PlacedProcess | null };

/** Takes the lock when nobody who may still be alive has it. */
export function tryLock(file: string): LockAttempt {
  const content: Content = { ...identifySelf(), token: randomBytes(8).toString('hex') };
  const text = JSON.stringify(content);
  const attempt = takeLockFile(file, text, abandoned);
  if (attempt.taken) return { held: true, lock: hold(file, text) };
  return { held: false, owner: attempt.other === null ? null : ownerOf(attempt.other) };
}

export interface LockWait {
  /** Called once a second with the owner. */
  readonly onWait?: ((owner: PlacedProcess | null) => void) | undefined;
  /** Gives the wait up. */
  readonly signal?: AbortSignal | undefined;
}

const lookEveryMs = 50;

/** Waits for the lock, runs `work` under it, and frees it. */
export async function withLock<T>(file: string, work: () => Promise<T>, wait: LockWait = {}): Promise<T> {
  for (let waits = 0; ; waits++) {
    wait.signal?.throwIfAborted();
    const attempt = tryLock(file);
    if (attempt.held) {
      try {
        return await work();
      } finally {
        attempt.lock.release();
      }
    }
    if ((waits * lookEveryMs) % 1000 === 0) wait.onWait?.(attempt.owner);
    await delay(lookEveryMs, undefined, { signal: wait.signal });
  }
}

/** null when the file is not one of ours. */
function ownerOf({ text }: LockText): Content | null {
  try {
    return contentSchema.nullable().catch(null).parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function abandoned(found: LockText): boolean {
  const owner = ownerOf(found);
  const liveness = owner === null ? 'unknown' : livenessOf(owner);
  if (liveness === 'unknown') return Date.now() - found.touchedMs > silentForMs;
  return liveness === 'dead';
}

function hold(file: string, text: string): HeldLock {
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
    releaseLockFile(file, text);
  };
  process.on('exit', release);
  return { release };
}
