import { hostname } from 'node:os';
import { z } from 'zod';
import { processHome, startOf } from './processes.ts';

/** Names one process for good, also for other machines: a number alone is given to another process sooner or later. */
export const placedProcessSchema = z.object({
  pid: z.number().int().positive(),
  /** When it was started, in the unit of the system; only good for comparing. */
  startTime: z.string(),
  /** Machine, boot and container in which the number means this process. */
  where: z.string(),
});
export type PlacedProcess = z.infer<typeof placedProcessSchema>;

/** `unknown`: it runs, or ran, where it cannot be seen from here. */
export type Liveness = 'alive' | 'dead' | 'unknown';

/** Two processes with the same answer see the same process numbers. */
function processLocation(): string {
  const { boot, namespace } = processHome();
  return [hostname(), boot, namespace].join('/');
}

/** null when there is no such process. */
export function identify(pid: number): PlacedProcess | null {
  const startTime = startOf(pid);
  return startTime === null ? null : { pid, startTime, where: processLocation() };
}

let cachedSelf: PlacedProcess | undefined;

export function identifySelf(): PlacedProcess {
  cachedSelf ??= { pid: process.pid, startTime: startOf(process.pid) ?? '', where: processLocation() };
  return cachedSelf;
}

export function livenessOf(identity: PlacedProcess): Liveness {
  if (identity.where !== processLocation()) {
    // After a reboot of this very machine nothing of before is alive; another host or container cannot be judged.
    const [host, boot, space] = identity.where.split('/');
    const [ownHost, ownBoot, ownSpace] = processLocation().split('/');
    return host === ownHost && space === ownSpace && boot !== ownBoot ? 'dead' : 'unknown';
  }
  return startOf(identity.pid) === identity.startTime ? 'alive' : 'dead';
}
