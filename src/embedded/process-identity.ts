import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';

/** Names one process for good: a number alone is given to another process sooner or later. */
export const processIdentitySchema = z.object({
  pid: z.number().int().positive(),
  /** When it was started, in the unit of the system; only good for comparing. */
  startTime: z.string(),
  /** Machine, boot and container in which the number means this process. */
  where: z.string(),
});
export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

/** `unknown`: it runs, or ran, where it cannot be seen from here. */
export type Liveness = 'alive' | 'dead' | 'unknown';

function readOr(read: () => string, otherwise: string): string {
  try {
    return read().trim();
  } catch {
    return otherwise;
  }
}

let cachedWhere: string | undefined;

/** Two processes with the same answer see the same process numbers. */
function whereAmI(): string {
  cachedWhere ??= [
    hostname(),
    readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'), 'boot'),
    readOr(() => readlinkSync('/proc/self/ns/pid'), 'pid'),
  ].join('/');
  return cachedWhere;
}

/** Empty when there is no such process; a zombie counts as none. */
function startTimeOf(pid: number): string {
  if (process.platform === 'linux') {
    const stat = readOr(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), '');
    // The command name in brackets may itself hold spaces and brackets, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  }
  return readOr(() => execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }), '');
}

/** null when there is no such process. */
export function identify(pid: number): ProcessIdentity | null {
  const startTime = startTimeOf(pid);
  return startTime ? { pid, startTime, where: whereAmI() } : null;
}

let cachedSelf: ProcessIdentity | undefined;

export function identifySelf(): ProcessIdentity {
  cachedSelf ??= { pid: process.pid, startTime: startTimeOf(process.pid), where: whereAmI() };
  return cachedSelf;
}

export function sameProcess(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.pid === b.pid && a.startTime === b.startTime && a.where === b.where;
}

export function livenessOf(identity: ProcessIdentity): Liveness {
  if (identity.where !== whereAmI()) {
    // After a reboot of this very machine nothing of before is alive; another host or container cannot be judged.
    const [host, boot, space] = identity.where.split('/');
    const [ownHost, ownBoot, ownSpace] = whereAmI().split('/');
    return host === ownHost && space === ownSpace && boot !== ownBoot ? 'dead' : 'unknown';
  }
  return startTimeOf(identity.pid) === identity.startTime ? 'alive' : 'dead';
}
