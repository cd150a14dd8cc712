import { join } from 'node:path';
import { z } from 'zod';
import { processHome, releaseLockFile, startOf, takeLockFile } from '../host/index.ts';
import { WindlassError } from '../model/index.ts';

const lockSchema = z.object({
  pid: z.number().int(),
  /** Start of the process and boot of the machine, so that another process with the same id is not taken for it. */
  started: z.string().nullable(),
  boot: z.string().nullable(),
});
type Lock = z.infer<typeof lockSchema>;

function isAlive({ pid, started, boot }: Lock): boolean {
  if (boot !== null && boot !== processHome().boot) return false;
  const now = startOf(pid);
  return now !== null && (started === null || started === now);
}

/** null when the file says nothing that can be read: then nobody has it. */
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
  const path = join(directory, 'database.lock');
  const own: Lock = { pid: process.pid, started: startOf(process.pid), boot: processHome().boot };
  const text = JSON.stringify(own);
  const attempt = takeLockFile(path, text, (other) => {
    const lock = parseLock(other.text);
    return lock === null || !isAlive(lock);
  });
  if (attempt.taken) return () => releaseLockFile(path, text);
  const holder = attempt.other === null ? null : parseLock(attempt.other.text);
  if (holder === null)
    throw new WindlassError('conflict', `the lock ${path} is fought over by other processes`, { hint: 'try again' });
  throw new WindlassError('conflict', `the database in ${directory} is in use by process ${holder.pid}`, {
    hint: `stop the other Windlass (process ${holder.pid}), or give this one a data directory of its own`,
  });
}
