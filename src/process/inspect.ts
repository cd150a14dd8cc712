import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyProcessNames, isRunning, processHome } from '../host/index.ts';
import { isAlive } from './namespace.ts';
import { readExitCode, readIdentity, readNamespace, readRecord } from './run-directory.ts';

/** What became of a tool that was started in a run directory. */
export type Inspection =
  /** Nothing was ever started here. */
  | { readonly kind: 'none' }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  | { readonly kind: 'exited'; readonly code: number }
  /** It is proven over and nobody wrote down how: killed, or the machine went down. */
  | { readonly kind: 'vanished' }
  /** It was started where this process cannot look: another machine or process namespace. */
  | { readonly kind: 'elsewhere'; readonly host: string };

export function processesRun(directory: string): boolean {
  const wrapper = readIdentity(directory, 'wrapper');
  const tool = readIdentity(directory, 'tool');
  if ((wrapper !== null && isRunning(wrapper)) || (tool !== null && isRunning(tool))) return true;
  const namespace = readNamespace(directory);
  return namespace !== null && isAlive(namespace);
}

/**
 * Finds out what became of a tool.
 * @param id When given, a run of another name counts as none.
 */
export async function inspect(directory: string, id?: string): Promise<Inspection> {
  const record = readRecord(directory);
  // The record is complete before anything is spawned, so without one nothing was.
  if (record === null || (id !== undefined && record.id !== id)) return { kind: 'none' };
  const exited = (): Inspection | null => {
    const code = readExitCode(directory);
    return code === null ? null : { kind: 'exited', code };
  };
  const early = exited();
  if (early) return early;
  const here = processHome();
  if (record.boot !== here.boot || record.namespace !== here.namespace) {
    // A new boot ended every process of the one before; any other difference proves nothing.
    const rebooted = record.host === hostname() && record.boot !== here.boot;
    return rebooted ? { kind: 'vanished' } : { kind: 'elsewhere', host: record.host };
  }
  for (let look = 0; ; look++) {
    if (processesRun(directory) || anyProcessNames(record.token)) {
      return { kind: 'running', startedAtMs: record.startedAtMs };
    }
    // It may have written its end between the two looks, or be between fork and its first line.
    const late = exited();
    if (late) return late;
    if (look === 1) return { kind: 'vanished' };
    await sleep(100);
  }
}

/** Whether there is anything to inspect. */
export function hasRun(directory: string): boolean {
  return existsSync(directory);
}
