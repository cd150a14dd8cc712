import { WindlassError } from '../model/index.ts';
import type { ErrorClass } from '../model/index.ts';
import { shown } from './git-address.ts';

interface Cause {
  readonly pattern: RegExp;
  /** In words. `host` is where the repository is, with its port when it has one. */
  readonly why: (host: string) => string;
  readonly hint: string;
  readonly class: ErrorClass;
}

const causes: readonly Cause[] = [
  {
    pattern: /was killed from outside/i,
    why: () => 'git was killed from outside',
    hint: 'Nothing was changed, so ask for the same again. The system kills programs when memory runs out.',
    class: 'provider',
  },
  {
    pattern: /could not resolve host|name or service not known|temporary failure in name resolution/i,
    why: (host) => `the host name ${host} is not known`,
    hint: 'Check the spelling of the host, and that this machine can resolve it.',
    class: 'provider',
  },
  {
    pattern: /connection timed out|operation timed out|timeout/i,
    why: (host) => `${host} did not answer in time`,
    hint: 'Check the address and port, and that this machine may reach it (proxy, firewall, VPN).',
    class: 'provider',
  },
  {
    pattern: /network is unreachable|no route to host/i,
    why: (host) => `there is no way to ${host} from this machine`,
    hint: 'Check the network of this machine, and that it may reach the host (proxy, firewall, VPN).',
    class: 'provider',
  },
  {
    pattern: /connection refused|failed to connect|couldn't connect|could not connect|connection reset|empty reply/i,
    why: (host) => `${host} does not answer`,
    hint: 'Check the address and port, and that this machine may reach it (proxy, firewall, VPN).',
    class: 'provider',
  },
  {
    pattern: /certificate|ssl|tls/i,
    why: (host) => `the secure connection to ${host} could not be made`,
    hint: 'Check the certificate of the host; SSL_CERT_FILE names additional authorities.',
    class: 'provider',
  },
  {
    pattern:
      /authentication failed|could not read username|could not read password|permission denied|invalid credentials|returned error: 40[13]|terminal prompts disabled/i,
    why: (host) => `${host} refused the login`,
    hint: 'Let `credentials` of the source name a sensitive variable with a token or key that may read this repository.',
    class: 'credentials',
  },
  {
    pattern: /host key verification failed|remote host identification has changed/i,
    why: (host) => `${host} shows another key than before`,
    hint: 'If the change is genuine, remove the host from known_hosts in the cache directory of the sources.',
    class: 'credentials',
  },
  {
    pattern: /dubious ownership/i,
    why: () => 'its files belong to another user',
    hint: 'Let the repository belong to the user that runs Windlass.',
    class: 'definition',
  },
  {
    pattern: /not found|does not appear to be a git repository|does not exist|no such file|returned error: 404/i,
    why: () => 'there is no repository at that address',
    hint: 'Check the address; some hosts say the same when the login may not see the repository.',
    class: 'definition',
  },
];

/** The host of an address, with its port; `the host` of one that has none, such as a path. */
function hostOf(repository: string): string {
  const plain = shown(repository);
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)/i.exec(plain)?.[1];
  return url ?? /^(?:[^@/:]+@)?([^/:]+):/.exec(plain)?.[1] ?? 'the host';
}

/** Tells from what git wrote why a repository could not be read: in words when the cause is known, else in git's own. */
export function unreachable(repository: string, stderr: string): WindlassError {
  const cause = causes.find((candidate) => candidate.pattern.test(stderr));
  const lines = stderr.split('\n').map((line) => line.trim());
  const said = lines.filter((line) => /^(fatal|error|remote|ssh|warning: redirect)/i.test(line));
  const raw = (said.length > 0 ? said : lines.filter(Boolean).slice(-2)).join('; ');
  // What the host itself says is for people; what git and its libraries say of the connection is not.
  const fromHost = lines.flatMap((line) => /^remote: *(.+)$/i.exec(line)?.[1] ?? []).join('; ');
  const why = cause
    ? `${cause.why(hostOf(repository))}${fromHost === '' ? '' : `: "${fromHost.slice(0, 400)}"`}`
    : raw.slice(0, 600) || 'git gave no reason';
  return new WindlassError('sourceUnavailable', `git repository ${shown(repository)} cannot be read: ${why}`, {
    hint: cause?.hint ?? 'Check the address and the credentials of the source.',
    class: cause?.class ?? 'provider',
    cause: raw === '' ? undefined : new Error(raw.slice(0, 2000)),
  });
}
