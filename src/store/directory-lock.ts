import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';

const lockSchema = z.object({
  pid: z.number().int(),
  /** Start of the process and boot of the machine, so that another process with the same id is not taken for it. */
  started: z.string().nullable(),
  boot: z.string().nullable(),
});
type Lock = z.infer<typeof lockSchema>;

const fileName = 'database.lock';

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function startOf(pid: number): string | null {
  // The command's name may hold spaces and brackets; the start time is the 20th field after its closing bracket.
  const stat = readIfThere(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

const bootOf = (): string | null => readIfThere('/proc/sys/kernel/random/boot_id')?.trim() ?? null;

function isAlive(lock: Lock): boolean {
  const boot = bootOf();
  if (lock.boot !== null && boot !== null && lock.boot !== boot) return false;
  try {
    process.kill(lock.pid, 0);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EPERM') return false;
  }
  const started = startOf(lock.pid);
  return lock.started === null || started === null || lock.started === started;
}

function parseLock(text: string): Lock | null {
  try {
    return lockSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/**
 * Takes a database directory for this process; answers how to give it back. The lock of a process that is over is
 * taken over. Throws `conflict` that names the process which has it.
 */
export function lockDirectory(directory: string): () => void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, fileName);
  const own = JSON.stringify({ pid: process.pid, started: startOf(process.pid), boot: bootOf() } satisfies Lock);
  const fresh = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(fresh, own, { mode: 0o600 });
  try {
    for (let tries = 0; tries < 20; tries++) {
      try {
        // A link appears with its whole content, or not at all.
        linkSync(fresh, path);
        return () => {
          if (readIfThere(path) === own) rmSync(path, { force: true });
        };
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
      }
      const held = readIfThere(path);
      if (held === null) continue;
      const lock = parseLock(held);
      if (lock !== null && isAlive(lock)) {
        throw new WindlassError('conflict', `the database in ${directory} is in use by process ${lock.pid}`, {
          hint: `stop the other Windlass (process ${lock.pid}), or give this one a data directory of its own`,
        });
      }
      removeStale(path, held);
    }
  } finally {
    rmSync(fresh, { force: true });
  }
  throw new WindlassError('conflict', `the lock ${path} is fought over by other processes`, { hint: 'try again' });
}

/** Two processes may find the same stale lock: only the one that moved that very file may drop it. */
function removeStale(path: string, held: string): void {
  const moved = `${path}.stale.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, moved);
  } catch {
    return;
  }
  if (readIfThere(moved) !== held) {
    try {
      linkSync(moved, path);
    } catch {
      // Somebody else has it already.
    }
  }
  unlinkSync(moved);
}
