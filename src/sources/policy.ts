import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { WindlassError } from '../model/index.ts';
import { shown } from './git-address.ts';
import type { GitAddress } from './git-address.ts';
import { isInside, realpathLenient } from './tree.ts';

/** Which sources may be read, by the operator's word. */
export interface SourcePolicy {
  /** Directories in which local sources may lie; null for anywhere. */
  readonly localDirectories: readonly string[] | null;
  /** Git may be asked for addresses of this machine and its link. */
  readonly localGit: boolean;
  /** Windlass's own files and directories, which hold keys: no part of any source. */
  readonly own: readonly string[];
}

/** One person's machine, where everything is that person's. */
export const everySource: SourcePolicy = { localDirectories: null, localGit: true, own: [] };

function refuseOwn(directory: string): never {
  throw new WindlassError('invalidInput', `local directory ${directory} is Windlass's own and no source`, {
    hint: 'Name the directory of your code.',
    class: 'definition',
  });
}

/** Throws when a local directory, by its real path, lies in none of the allowed ones. */
export async function refuseDirectory(policy: SourcePolicy, directory: string): Promise<void> {
  const real = await realpathLenient(directory);
  for (const own of policy.own) if (isInside(await realpathLenient(own), real)) refuseOwn(directory);
  if (policy.localDirectories === null) return;
  for (const allowed of policy.localDirectories) if (isInside(await realpathLenient(allowed), real)) return;
  throw new WindlassError('invalidInput', `local directory ${directory} may not be a source of this server`, {
    hint:
      policy.localDirectories.length === 0
        ? 'Use a git repository; an operator can allow directories of the workers with WINDLASS_LOCAL_SOURCES.'
        : `Use a git repository, or a directory in ${policy.localDirectories.join(' or ')}.`,
    class: 'definition',
  });
}

/** This machine, and what only its own link reaches, such as the metadata of a cloud. */
const ownAddresses = new BlockList();
ownAddresses.addSubnet('0.0.0.0', 8, 'ipv4');
ownAddresses.addSubnet('127.0.0.0', 8, 'ipv4');
ownAddresses.addSubnet('169.254.0.0', 16, 'ipv4');
ownAddresses.addAddress('::', 'ipv6');
ownAddresses.addAddress('::1', 'ipv6');
ownAddresses.addSubnet('fe80::', 10, 'ipv6');

/** Whether an address is of this machine or its link; one of IPv4 may be written as one of IPv6. */
export function isOwnAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '');
  return ownAddresses.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

function refuseAddress(repository: string, what: string): never {
  throw new WindlassError('invalidInput', `git repository ${shown(repository)} ${what}, which is not allowed here`, {
    hint: 'Use a repository of a git host; an operator can allow this one with WINDLASS_ALLOW_LOCAL_GIT=true.',
    class: 'definition',
  });
}

const hostOf = ({ url }: GitAddress): string => {
  if (!url.includes('://')) return /^(?:[^@]*@)?([^:]+):/.exec(url)?.[1] ?? '';
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
};

const proxyVariables = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTPS_PROXY', 'ALL_PROXY'];

/**
 * Throws when a git address leads to this machine or its link. Answers the settings under which git asks the very addresses
 * that were looked at: a name may mean others a moment later, and a redirect may lead anywhere.
 */
export async function refuseLocalGit(
  policy: SourcePolicy,
  address: GitAddress,
): Promise<readonly (readonly [string, string])[]> {
  if (policy.localGit) return [];
  if (address.transport === 'file') refuseAddress(address.url, 'lies on this machine');
  const host = hostOf(address);
  // A proxy looks the name up itself, and guards what it reaches; names may mean nothing here.
  const proxied = address.transport === 'http' && proxyVariables.some((name) => (process.env[name] ?? '') !== '');
  const redirects = [['http.followRedirects', 'false']] as const;
  const found = isIP(host) !== 0 || !proxied ? await addressesOf(host) : [];
  if (found.some(isOwnAddress)) refuseAddress(address.url, 'is an address of this machine or its network link');
  if (address.origin === null || isIP(host) !== 0 || found.length === 0) return redirects;
  const { port, protocol } = new URL(address.origin);
  const pinned = `${host}:${port || (protocol === 'https:' ? '443' : '80')}:${found.join(',')}`;
  return [...redirects, ['http.curloptResolve', pinned]];
}

/** None when the name means nothing here, which git says better. */
async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
