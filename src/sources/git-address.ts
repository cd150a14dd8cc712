import { isAbsolute } from 'node:path';
import { WindlassError } from '../model/index.ts';

/** A clone address that was checked: nothing else reaches git's command line. */
export interface GitAddress {
  readonly transport: 'http' | 'ssh' | 'file';
  /** As git takes it; never holds a password. */
  readonly url: string;
  /** `https://host:port`, for which alone a token may be sent; null unless http. */
  readonly origin: string | null;
}

const hint = 'Use an https:// or ssh:// address, user@host:path, or an absolute path.';

function refuse(repository: string, why: string, how = hint): never {
  throw new WindlassError('invalidInput', `git repository ${JSON.stringify(shown(repository))} ${why}`, {
    hint: how,
    class: 'definition',
  });
}

/** The address without user name and password, for messages. */
export function shown(repository: string): string {
  return repository.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1').slice(0, 500);
}

/** Refuses what git would take as an option, as a program to run, or as a place for a password. */
export function parseAddress(repository: string): GitAddress {
  if (repository === '' || /[\u0000-\u0020\u007f]/.test(repository))
    refuse(repository, 'has white space or control characters');
  if (repository.startsWith('-')) refuse(repository, 'begins with "-"');
  if (isAbsolute(repository)) return { transport: 'file', url: repository, origin: null };
  if (/^[a-z][a-z0-9+.-]*::/i.test(repository)) refuse(repository, 'uses a remote helper, which can run programs');

  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repository)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    const scp = /^(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!\/\/)([^-].*)$/.exec(repository);
    if (!scp) refuse(repository, 'is not an address that Windlass can clone');
    return { transport: 'ssh', url: repository, origin: null };
  }
  let url: URL;
  try {
    url = new URL(repository);
  } catch {
    return refuse(repository, 'is not a valid address');
  }
  if (url.hostname.startsWith('-')) refuse(repository, 'has a host name that begins with "-"');
  switch (scheme) {
    case 'http':
    case 'https':
      if (url.username !== '' || url.password !== '') {
        refuse(
          repository,
          'has a user name or password in it',
          'Take it out of the address and name a sensitive variable in `credentials`.',
        );
      }
      return { transport: 'http', url: repository, origin: url.origin };
    case 'ssh':
      if (url.password !== '')
        refuse(repository, 'has a password in it', 'ssh takes a private key: name it in `credentials`.');
      if (url.username.startsWith('-')) refuse(repository, 'has a user name that begins with "-"');
      return { transport: 'ssh', url: repository, origin: null };
    default:
      return refuse(repository, `uses ${scheme}://, which is not allowed`);
  }
}

/** Git's own rules for names, so that a revision is never taken for an option or a pattern. */
export function checkRevision(revision: string): void {
  const bad =
    revision === '' ||
    revision.startsWith('-') ||
    revision.startsWith('/') ||
    revision.endsWith('/') ||
    revision.endsWith('.') ||
    /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\//.test(revision);
  if (!bad) return;
  throw new WindlassError('invalidInput', `${JSON.stringify(revision)} is not the name of a branch, tag or commit`, {
    hint: 'Give a branch, a tag, a full reference such as refs/heads/main, or a commit hash.',
    class: 'definition',
  });
}

const commitPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export function isCommit(text: string): boolean {
  return commitPattern.test(text);
}
