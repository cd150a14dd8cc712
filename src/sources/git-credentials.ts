import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import type { GitAddress } from './git-address.ts';

/** Already decrypted; lives in memory, in the environment of git, and (a key) in a file of its owner. */
export type GitCredentials =
  | { readonly kind: 'token'; readonly username?: string | undefined; readonly token: string }
  | { readonly kind: 'sshKey'; readonly privateKey: string };

/** What one git process gets in order to log in. */
export interface GitLogin {
  readonly env: Readonly<Record<string, string>>;
  readonly config: readonly (readonly [key: string, value: string])[];
  /** Texts that must not appear in a message. */
  readonly secrets: readonly string[];
}

/** Any name does for the hosts that only look at the token. */
const defaultUsername = 'x-access-token';

/** git calls it as `get`, `store` or `erase`; printf is built into the shell, so the token is in nobody's arguments. */
const helper =
  '!f() { test "$1" = get || return 0; printf "username=%s\\npassword=%s\\n" "$WINDLASS_GIT_USERNAME" "$WINDLASS_GIT_TOKEN"; }; f';

/**
 * Checkouts made with one credential are not handed to those who have another or none.
 * Not reversible for tokens, which are long and random.
 */
export function credentialFingerprint(credentials: GitCredentials | undefined): string {
  if (!credentials) return 'public';
  const secret =
    credentials.kind === 'token' ? `${credentials.username ?? ''}\0${credentials.token}` : credentials.privateKey;
  return createHash('sha256').update(`windlass source\0${credentials.kind}\0${secret}`).digest('hex').slice(0, 24);
}

function sshCommand(parts: { readonly knownHosts: string; readonly keyFile: string | null }): string {
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=accept-new',
    `UserKnownHostsFile=${parts.knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'IdentitiesOnly=yes',
    // the worker's own identity is not the template author's to use
    'IdentityAgent=none',
    `IdentityFile=${parts.keyFile ?? '/dev/null'}`,
    'ConnectTimeout=15',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
    'ForwardAgent=no',
    'PermitLocalCommand=no',
  ];
  return `ssh -F /dev/null ${options.map((option) => `-o ${quote(option)}`).join(' ')}`;
}

interface LoginRequest {
  readonly address: GitAddress;
  readonly credentials: GitCredentials | undefined;
  /** Private to Windlass; holds known hosts and, while git runs, a key. */
  readonly directory: string;
}

/** Gives `use` what git needs to log in, and removes it afterwards. */
export async function withLogin<T>(request: LoginRequest, use: (login: GitLogin) => Promise<T>): Promise<T> {
  const { address, credentials } = request;
  if (address.transport === 'ssh') return withKey(request, use);
  if (!credentials || address.transport === 'file') return use({ env: {}, config: [], secrets: [] });
  if (credentials.kind !== 'token' || address.origin === null) {
    throw new WindlassError(
      'invalidInput',
      `${address.url} is reached over http, which takes a token and not an ssh key`,
      {
        hint: 'Let `credentials` name a variable that holds a token, or use the ssh address of the repository.',
        class: 'credentials',
      },
    );
  }
  const { token, username = defaultUsername } = credentials;
  if (token === '' || /[\u0000\r\n]/.test(token + username)) {
    throw new WindlassError('invalidInput', `the token for ${address.url} is empty or has line breaks in it`, {
      hint: 'Store the bare token, without a trailing line break.',
      class: 'credentials',
    });
  }
  return use({
    env: { WINDLASS_GIT_USERNAME: username, WINDLASS_GIT_TOKEN: token },
    // bound to the origin: a redirect to another host gets nothing
    config: [[`credential.${address.origin}.helper`, helper]],
    secrets: [token, encodeURIComponent(token), Buffer.from(`${username}:${token}`).toString('base64')],
  });
}

async function withKey<T>(request: LoginRequest, use: (login: GitLogin) => Promise<T>): Promise<T> {
  const { address, credentials, directory } = request;
  if (credentials?.kind === 'token') {
    throw new WindlassError(
      'invalidInput',
      `${address.url} is reached over ssh, which takes a private key and not a token`,
      {
        hint: 'Let `credentials` name a variable that holds a private key, or use the https address of the repository.',
        class: 'credentials',
      },
    );
  }
  const ssh = join(directory, 'ssh');
  await mkdir(ssh, { recursive: true, mode: 0o700 });
  const knownHosts = join(ssh, 'known_hosts');
  if (!credentials)
    return use({ env: { GIT_SSH_COMMAND: sshCommand({ knownHosts, keyFile: null }) }, config: [], secrets: [] });
  const private_ = await mkdtemp(join(ssh, 'key-'));
  try {
    const keyFile = join(private_, 'key');
    // ssh refuses keys that do not end with a line break
    await writeFile(keyFile, `${credentials.privateKey.replaceAll('\r\n', '\n').trimEnd()}\n`, { mode: 0o600 });
    await chmod(keyFile, 0o600);
    const body = credentials.privateKey.split('\n').filter((line) => line.length > 20 && !line.startsWith('-----'));
    return await use({ env: { GIT_SSH_COMMAND: sshCommand({ knownHosts, keyFile }) }, config: [], secrets: body });
  } finally {
    await rm(private_, { recursive: true, force: true });
  }
}
