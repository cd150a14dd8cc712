import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, resolve, sep } from 'node:path';

/** Programs and libraries. On most systems some of them are links into /usr. */
const systemDirectories = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/opt', '/nix', '/gnu'];

/** What programs read of /etc to resolve names, to trust certificates, and to find libraries. No keys, no settings of services. */
export const systemFiles = [
  ...[
    'hosts',
    'resolv.conf',
    'nsswitch.conf',
    'host.conf',
    'gai.conf',
    'hostname',
    'services',
    'protocols',
    'networks',
  ],
  ...['passwd', 'group', 'localtime', 'timezone', 'os-release', 'machine-id'],
  ...['ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'alternatives', 'terminfo', 'mime.types', 'profile', 'bash.bashrc'],
  ...['ssl/certs', 'ssl/cert.pem', 'ssl/openssl.cnf', 'ca-certificates', 'ca-certificates.conf', 'crypto-policies'],
  ...['pki/tls/certs', 'pki/tls/cert.pem', 'pki/ca-trust', 'gitconfig', 'java-17-openjdk', 'java-21-openjdk'],
].map((name) => `/etc/${name}`);

/** Parts of /proc through which the machine can be changed. A process of the user 0 may write to them without any capability. */
export const kernelControls = ['sys', 'sysrq-trigger', 'irq', 'bus', 'fs', 'acpi', 'scsi'].map(
  (name) => `/proc/${name}`,
);

/** Whether a path is this directory or lies in it. */
export function liesIn(path: string, directory: string): boolean {
  const root = directory.endsWith(sep) ? directory : `${directory}${sep}`;
  return path === directory || path.startsWith(root);
}

export interface SystemDirectory {
  readonly path: string;
  /** It is a link to this. */
  readonly target: string | null;
}

/** The system's directories on this machine. */
export function findSystemDirectories(): SystemDirectory[] {
  return systemDirectories.flatMap((path): SystemDirectory[] => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return [{ path, target: found.isSymbolicLink() ? readlinkSync(path) : null }];
  });
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** The real path; where nothing is, the path itself. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/**
 * Directories of programs on PATH outside the system's own. None in which something hidden lies, since a whole home
 * directory may be on PATH.
 */
export function programDirectories(path: string, hidden: readonly string[]): string[] {
  const system = findSystemDirectories().map((directory) => directory.path);
  const all = path.split(delimiter).filter((directory) => isAbsolute(directory) && isDirectory(directory));
  return [...new Set(all)].filter(
    (directory) =>
      !system.some((root) => liesIn(directory, root)) && !hidden.some((one) => liesIn(one, realPath(directory))),
  );
}
