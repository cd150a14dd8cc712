import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Removes what the tools of a call have printed, unmasked, into the work directory. Only once the call's ending is
 * recorded: until then a later call may have to read it.
 */
export async function removeToolOutput(workDirectory: string): Promise<void> {
  const names = await readdir(workDirectory).catch(() => []);
  for (const name of names) {
    if (name.startsWith('run-')) await rm(join(workDirectory, name), { recursive: true, force: true });
  }
}
