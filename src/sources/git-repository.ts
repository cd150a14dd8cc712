import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import { shown } from './git-address.ts';
import type { GitAddress } from './git-address.ts';
import { credentialFingerprint, withLogin } from './git-credentials.ts';
import type { GitCredentials } from './git-credentials.ts';
import { unreachable } from './git-errors.ts';
import { runGit } from './git-process.ts';
import type { GitAnswer, GitCall } from './git-process.ts';
import { sizeText } from './limits.ts';
import { refuseLocalGit } from './policy.ts';
import type { SourcePolicy } from './policy.ts';
import type { SourceLimits } from './limits.ts';
import { removeTree, treeBytes } from './tree.ts';

/** What every call of git needs to know. */
export interface GitContext {
  readonly gitPath: string;
  readonly cacheDirectory: string;
  readonly policy: SourcePolicy;
  readonly limits: SourceLimits;
}

export interface RemoteRequest {
  readonly context: GitContext;
  readonly address: GitAddress;
  readonly credentials: GitCredentials | undefined;
  readonly signal: AbortSignal | undefined;
  /** Keeps what was fetched without file contents apart from what is whole. */
  readonly partial: boolean;
}

/** Every fetch leaves a pack; past this many a fresh cache is cheaper than reading them all. */
const maxPacks = 200;

export function hashText(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 24);
}

export function repositoryKey(request: Pick<RemoteRequest, 'address' | 'credentials'>): string {
  return hashText(request.address.url, credentialFingerprint(request.credentials));
}

export function cacheOf(request: RemoteRequest): string {
  const name = `${repositoryKey(request)}${request.partial ? '.partial' : ''}.git`;
  return join(request.context.cacheDirectory, 'repositories', name);
}

export function homeOf(context: GitContext): string {
  return join(context.cacheDirectory, 'home');
}

type LocalCall = Pick<GitCall, 'args' | 'env' | 'onOutput' | 'signal' | 'timeoutMs'>;

/** git on the cache alone: no transport is allowed. */
export async function gitLocal(context: GitContext, cwd: string, call: LocalCall): Promise<GitAnswer> {
  return runGit({ ...call, gitPath: context.gitPath, home: homeOf(context), cwd });
}

type RemoteCall = Pick<GitCall, 'args' | 'env' | 'timeoutMs' | 'watch'> & { readonly cwd: string };

/** git with the transport and login of a repository. */
export async function gitRemote(request: RemoteRequest, call: RemoteCall): Promise<GitAnswer> {
  const { context, address, credentials, signal } = request;
  const config = await refuseLocalGit(context.policy, address);
  return withLogin({ address, credentials, directory: context.cacheDirectory }, (login) =>
    runGit({
      ...call,
      gitPath: context.gitPath,
      home: homeOf(context),
      login: { ...login, config: [...login.config, ...config] },
      transport: address.transport,
      signal,
    }),
  );
}

async function packCount(repository: string): Promise<number> {
  const names = await readdir(join(repository, 'objects', 'pack')).catch(() => []);
  return names.filter((name) => name.endsWith('.pack')).length;
}

/** Makes the bare cache of a repository, or takes the one that is there. Call with its lock held. */
async function openCache(request: RemoteRequest): Promise<string> {
  const { context, address } = request;
  const repository = cacheOf(request);
  if ((await packCount(repository)) > maxPacks) await removeTree(repository);
  const complete = await stat(join(repository, 'windlass-complete')).catch(() => null);
  if (complete) {
    const now = new Date();
    await utimes(repository, now, now);
    return repository;
  }
  await removeTree(repository);
  await mkdir(repository, { recursive: true, mode: 0o700 });
  const run = async (args: readonly string[]): Promise<void> => {
    const answer = await gitLocal(context, repository, { args, timeoutMs: 30_000, signal: request.signal });
    if (answer.code !== 0)
      throw new WindlassError('internal', `the cache of ${shown(address.url)} cannot be made: ${answer.stderr}`);
  };
  await run(['init', '--quiet', '--bare', '--template=', '.']);
  await run(['config', 'remote.origin.url', address.url]);
  if (request.partial) {
    await run(['config', 'remote.origin.promisor', 'true']);
    await run(['config', 'remote.origin.partialclonefilter', 'blob:none']);
    await run(['config', 'core.repositoryformatversion', '1']);
    await run(['config', 'extensions.partialclone', 'origin']);
  }
  await mkdir(join(repository, 'windlass-complete'));
  return repository;
}

async function fetchRefs(request: RemoteRequest, repository: string, args: readonly string[]): Promise<GitAnswer> {
  const { limits } = request.context;
  const tooLarge = async (): Promise<void> => {
    if ((await treeBytes(join(repository, 'objects'))) <= limits.maxRepositoryBytes) return;
    throw new WindlassError(
      'tooLarge',
      `git repository ${shown(request.address.url)} is larger than ${sizeText(limits.maxRepositoryBytes)}`,
      { hint: 'Keep large files out of the repository that holds the stacks.', class: 'definition' },
    );
  };
  try {
    const answer = await gitRemote(request, {
      cwd: repository,
      args: [
        'fetch',
        '--quiet',
        '--no-tags',
        '--no-write-fetch-head',
        '--no-auto-maintenance',
        '--no-recurse-submodules',
        ...(request.partial ? ['--filter=blob:none'] : []),
        ...args,
      ],
      timeoutMs: limits.fetchTimeoutMs,
      watch: tooLarge,
    });
    await tooLarge();
    return answer;
  } catch (thrown) {
    // a stopped fetch may leave locks and half a pack
    await rm(join(repository, 'windlass-complete'), { recursive: true, force: true });
    throw thrown;
  }
}

async function has(request: RemoteRequest, repository: string, commit: string): Promise<boolean> {
  const answer = await gitLocal(request.context, repository, {
    args: ['cat-file', '-e', `${commit}^{commit}`],
    timeoutMs: 30_000,
    signal: request.signal,
  });
  return answer.code === 0;
}

/** Servers from before protocol 2 hand out what a name points to and nothing else. */
const notByHash = /not our ref|unadvertised object|does not allow request/i;

/** Brings one commit into the cache and answers its directory. Call with the cache's lock held. */
export async function fetchCommit(request: RemoteRequest, commit: string): Promise<string> {
  const repository = await openCache(request);
  if (await has(request, repository, commit)) return repository;
  const one = await fetchRefs(request, repository, ['--depth=1', '--', 'origin', `+${commit}:refs/windlass/${commit}`]);
  if (one.code !== 0) {
    if (!notByHash.test(one.stderr)) throw unreachable(request.address.url, one.stderr);
    await fetchAll(request, repository);
  }
  if (await has(request, repository, commit)) return repository;
  throw new WindlassError('notFound', `git repository ${shown(request.address.url)} has no commit ${commit}`, {
    hint: 'Push the commit, or check the hash; a rewritten branch may have lost it.',
    class: 'definition',
  });
}

async function fetchAll(request: RemoteRequest, repository: string): Promise<void> {
  const all = await fetchRefs(request, repository, [
    '--',
    'origin',
    '+refs/heads/*:refs/windlass/heads/*',
    '+refs/tags/*:refs/windlass/tags/*',
  ]);
  if (all.code !== 0) throw unreachable(request.address.url, all.stderr);
}

/** Commits that begin with an abbreviated hash, after fetching all that names reach. Call with the cache's lock held. */
export async function findCommits(request: RemoteRequest, prefix: string): Promise<string[]> {
  const repository = await openCache(request);
  await fetchAll(request, repository);
  const answer = await gitLocal(request.context, repository, {
    args: ['rev-parse', `--disambiguate=${prefix}`],
    timeoutMs: 60_000,
    signal: request.signal,
  });
  const objects = answer.stdout
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, 50);
  const commits: string[] = [];
  for (const object of objects) if (await has(request, repository, object)) commits.push(object);
  return commits;
}
