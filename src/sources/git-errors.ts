import { WindlassError } from '../model/index.ts';
import type { ErrorClass } from '../model/index.ts';
import { shown } from './git-address.ts';

interface Cause {
  readonly pattern: RegExp;
  readonly why: string;
  readonly hint: string;
  readonly class: ErrorClass;
}

const causes: readonly Cause[] = [
  {
    pattern: /could not resolve host|name or service not known|temporary failure in name resolution/i,
    why: 'its host name is not known',
    hint: 'Check the spelling of the host, and that this machine can resolve it.',
    class: 'provider',
  },
  {
    pattern:
      /connection refused|failed to connect|couldn't connect|connection timed out|network is unreachable|no route to host|connection reset/i,
    why: 'its host does not answer',
    hint: 'Check the address and port, and that this machine may reach it (proxy, firewall, VPN).',
    class: 'provider',
  },
  {
    pattern: /certificate|ssl|tls/i,
    why: 'the secure connection could not be made',
    hint: 'Check the certificate of the host; SSL_CERT_FILE names additional authorities.',
    class: 'provider',
  },
  {
    pattern:
      /authentication failed|could not read username|could not read password|permission denied|invalid credentials|returned error: 40[13]|terminal prompts disabled/i,
    why: 'it refused the login',
    hint: 'Let `credentials` of the source name a sensitive variable with a token or key that may read this repository.',
    class: 'credentials',
  },
  {
    pattern: /host key verification failed|remote host identification has changed/i,
    why: 'the host shows another key than before',
    hint: 'If the change is genuine, remove the host from known_hosts in the cache directory of the sources.',
    class: 'credentials',
  },
  {
    pattern: /dubious ownership/i,
    why: 'its files belong to another user',
    hint: 'Let the repository belong to the user that runs Windlass.',
    class: 'definition',
  },
  {
    pattern: /not found|does not appear to be a git repository|does not exist|no such file|returned error: 404/i,
    why: 'there is no repository at that address',
    hint: 'Check the address; some hosts say the same when the login may not see the repository.',
    class: 'definition',
  },
];

/** Tells from what git wrote why a repository could not be read. */
export function unreachable(repository: string, stderr: string): WindlassError {
  const cause = causes.find((candidate) => candidate.pattern.test(stderr));
  const lines = stderr.split('\n').filter((line) => /^(fatal|error|remote|ssh|warning: redirect)/i.test(line.trim()));
  const detail = (lines.length > 0 ? lines : stderr.trim().split('\n').slice(-2)).map((line) => line.trim()).join('; ');
  const why = cause ? `${cause.why} (${detail.slice(0, 400)})` : detail.slice(0, 600) || 'git gave no reason';
  return new WindlassError('sourceUnavailable', `git repository ${shown(repository)} cannot be read: ${why}`, {
    hint: cause?.hint ?? 'Check the address and the credentials of the source.',
    class: cause?.class ?? 'provider',
  });
}
