import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, readdirSync } from 'node:fs';

/** A process that cannot be confused with a later one of the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the system tells it; compared, never read. */
  readonly started: string;
}

/** Where process numbers mean something: one boot of one machine, one process namespace. */
export interface ProcessHome {
  readonly boot: string;
  readonly namespace: string;
}

const onLinux = process.platform === 'linux';

function readOr(fallback: string, read: () => string): string {
  try {
    return read().trim();
  } catch {
    return fallback;
  }
}

let home: ProcessHome | undefined;

/** The boot and namespace of this process. Without /proc the boot is told by the kernel's boot time. */
export function processHome(): ProcessHome {
  home ??= onLinux
    ? {
        boot: readOr('unknown', () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
        namespace: readOr('unknown', () => readlinkSync('/proc/self/ns/pid')),
      }
    : {
        boot: readOr('unknown', () => execFileSync('sysctl', ['-n', 'kern.boottime'], { encoding: 'utf8' })),
        namespace: 'host',
      };
  return home;
}

/** Reads a line of /proc/<pid>/stat. The name in it may hold blanks and brackets, so it is cut off at its last bracket. */
export function parseStat(line: string): (ProcessIdentity & { readonly state: string }) | null {
  const end = line.lastIndexOf(')');
  const pid = Number.parseInt(line, 10);
  const fields = line
    .slice(end + 1)
    .trim()
    .split(/\s+/);
  const state = fields[0];
  const started = fields[19];
  if (end < 0 || !Number.isInteger(pid) || state === undefined || started === undefined) return null;
  return { pid, started, state };
}

/** Reads what the wrapper wrote down about a process: a line of /proc/<pid>/stat, or of `ps -o pid=,lstart=`. */
export function parseIdentity(text: string): ProcessIdentity | null {
  if (!text.endsWith('\n')) return null;
  if (text.includes(')')) {
    const stat = parseStat(text);
    return stat && { pid: stat.pid, started: stat.started };
  }
  const match = /^\s*(\d+)\s+(\S.*?)\s*$/.exec(text);
  return match?.[1] && match[2] ? { pid: Number(match[1]), started: match[2] } : null;
}

/** When the process with this number was started; null when there is none. One that was not yet collected counts as none. */
export function startOf(pid: number): string | null {
  if (onLinux) {
    const stat = parseStat(readOr('', () => readFileSync(`/proc/${pid}/stat`, 'utf8')));
    return stat === null || stat.state === 'Z' || stat.state === 'X' ? null : stat.started;
  }
  const line = readOr('', () => execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }));
  const [state = 'Z', ...started] = line.split(/\s+/);
  return state === '' || state.startsWith('Z') ? null : started.join(' ');
}

/** Whether exactly this process still runs. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return startOf(pid) === started.split(/\s+/).join(' ');
}

/** Whether any process has this text among its arguments: a proof for processes that have not yet written themselves down. */
export function anyProcessNames(argument: string): boolean {
  if (!onLinux) {
    const list = readOr('', () => execFileSync('ps', ['-axo', 'args='], { encoding: 'utf8', maxBuffer: 64 << 20 }));
    return list.includes(argument);
  }
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const line = readOr('', () => readFileSync(`/proc/${entry}/cmdline`, 'utf8'));
    if (line.split('\0').includes(argument)) return true;
  }
  return false;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  const text = onLinux
    ? readOr('', () => readFileSync('/proc/self/stat', 'utf8'))
    : readOr('', () => execFileSync('ps', ['-o', 'pid=,lstart=', '-p', String(process.pid)], { encoding: 'utf8' }));
  return parseIdentity(`${text}\n`) ?? { pid: process.pid, started: 'unknown' };
}
