import { readFileSync, readlinkSync } from 'node:fs';
import { parseStat } from '../host/index.ts';

/** A process namespace of a tool alone, by its first process as this process sees it. */
export interface ProcessNamespace {
  readonly first: number;
  readonly inode: number;
}

function readOr<T>(fallback: T, read: () => T): T {
  try {
    return read();
  } catch {
    return fallback;
  }
}

/** Whether the namespace lives. It ends with its first process, whose number another process may have got since. */
export function isAlive({ first, inode }: ProcessNamespace): boolean {
  const stat = readOr(null, () => parseStat(readFileSync(`/proc/${first}/stat`, 'utf8')));
  if (stat === null || stat.state === 'Z' || stat.state === 'X') return false;
  return readOr('', () => readlinkSync(`/proc/${first}/ns/pid`)) === `pid:[${inode}]`;
}

/** The tool: the second process of its namespace. Null when it is not started yet, or over. */
export function toolIn({ first }: ProcessNamespace): number | null {
  const children = readOr('', () => readFileSync(`/proc/${first}/task/${first}/children`, 'utf8'));
  const found = children.split(' ').find((pid) => {
    const status = pid === '' ? '' : readOr('', () => readFileSync(`/proc/${pid}/status`, 'utf8'));
    return /^NSpid:.*\s2$/m.test(status);
  });
  return found === undefined ? null : Number(found);
}
