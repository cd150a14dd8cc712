import { chmod, mkdir, mkdtemp, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join, normalize, resolve } from 'node:path';
import { withLock } from '../host/index.ts';
import { assertNever, untilAborted, WindlassError } from '../model/index.ts';
import type { GitSource, LocalSource, Source } from '../model/index.ts';
import { asSourceError } from './failures.ts';
import { isCommit, parseAddress, shown } from './git-address.ts';
import { writeCommit } from './git-checkout.ts';
import type { GitCredentials } from './git-credentials.ts';
import { cacheOf, hashText, homeOf, repositoryKey } from './git-repository.ts';
import type { GitContext, RemoteRequest } from './git-repository.ts';
import { resolveRevision } from './git-resolve.ts';
import { notePath, readTextFile, resolvePath } from './inside.ts';
import { defaultLimits } from './limits.ts';
import type { SourceLimits } from './limits.ts';
import { hashDirectory, openLocal } from './local-directory.ts';
import { everySource, refuseDirectory, refuseLocalGit } from './policy.ts';
import type { SourcePolicy } from './policy.ts';
import { pruneCheckouts } from './prune.ts';
import type { PruneOptions, PruneReport } from './prune.ts';
import { realpathLenient, removeTree, sealTree } from './tree.ts';

export interface SourcesOptions {
  /** Absolute directory that Windlass owns; shared safely between processes of one machine. */
  readonly cacheDirectory: string;
  readonly gitPath?: string;
  /** Every source when absent. */
  readonly policy?: SourcePolicy | undefined;
  readonly limits?: Partial<SourceLimits>;
}

export interface ResolveOptions {
  /** Branch, tag or commit instead of the source's own; the default branch when neither says. */
  readonly revision?: string | null | undefined;
  readonly credentials?: GitCredentials | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CheckoutOptions {
  readonly credentials?: GitCredentials | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Fetch and write only this directory of a git repository; paths still start at the root. */
  readonly sparsePath?: string | undefined;
}

export interface Sources {
  /** Throws when the source could never be read: before it is recorded, and without reading it. */
  check(source: Source): Promise<void>;
  /** Pins a source: a commit hash, or `local:<hash>` of a directory as it is now (and is kept). */
  resolve(source: Source, options?: ResolveOptions): Promise<{ readonly commit: string }>;
  /**
   * The read-only directory of a pinned source, made once per machine. Submodules and large files (LFS) are not
   * followed. Throws `sourceUnavailable` when it has to be fetched and cannot be.
   */
  checkout(source: Source, commit: string, options?: CheckoutOptions): Promise<string>;
  /** The directory of a pinned source if this machine has it already; null instead of making it. */
  find(source: Source, commit: string, options?: Pick<CheckoutOptions, 'credentials'>): Promise<string | null>;
  resolvePath(root: string, path: string): Promise<string>;
  readTextFile(root: string, path: string, maxBytes: number): Promise<string>;
  /** Removes what was not used lately and can be made again. */
  prune(options: PruneOptions): Promise<PruneReport>;
}

/** How long what is made by a stopped call may take to be cleared away, before nobody waits for it any more. */
const clearUpMs = 5000;

const localPattern = /^local:([0-9a-f]{24})$/;

/** Git repositories and local directories as pinned, read-only directories below `cacheDirectory`. */
export function createSources(options: SourcesOptions): Sources {
  const context: GitContext = {
    gitPath: options.gitPath ?? 'git',
    policy: options.policy ?? everySource,
    cacheDirectory: resolve(options.cacheDirectory),
    limits: { ...defaultLimits, ...options.limits },
  };
  const { cacheDirectory, limits, policy } = context;
  const inCache = (...parts: readonly string[]): string => join(cacheDirectory, ...parts);
  const pending = new Map<string, Promise<string>>();
  let ready: Promise<void> | undefined;

  async function prepare(): Promise<void> {
    await mkdir(cacheDirectory, { recursive: true, mode: 0o700 });
    for (const name of ['checkouts', 'repositories', 'locks', 'tmp']) await mkdir(inCache(name), { recursive: true });
    await mkdir(homeOf(context), { recursive: true });
  }
  const prepared = (): Promise<void> =>
    (ready ??= prepare().catch((thrown: unknown) => {
      ready = undefined;
      throw thrown;
    }));

  /** Answers a finished checkout and notes its use, which keeps `prune` away. */
  async function existing(path: string): Promise<string | null> {
    try {
      const now = new Date();
      await utimes(notePath(path), now, now);
      return (await stat(path)).isDirectory() ? path : null;
    } catch {
      return null;
    }
  }

  async function inTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await mkdtemp(inCache('tmp', 'make-'));
    try {
      return await work(directory);
    } finally {
      await removeTree(directory);
    }
  }

  /** Puts a finished tree in its place; the loser of a race throws its own away. */
  async function publish(tree: string, path: string, submodules: readonly string[]): Promise<string> {
    await writeFile(notePath(path), JSON.stringify({ submodules }));
    try {
      await rename(tree, path);
      await chmod(path, 0o555);
    } catch (thrown) {
      if (!(await existing(path))) throw thrown;
    }
    return path;
  }

  function remote(source: GitSource, given: CheckoutOptions, partial: boolean): RemoteRequest {
    const address = parseAddress(source.repository);
    return { context, address, credentials: given.credentials, signal: given.signal, partial };
  }

  async function resolveLocal(source: LocalSource, signal: AbortSignal | undefined): Promise<string> {
    await refuseDirectory(policy, source.directory);
    const root = await openLocal(source.directory);
    const own = [cacheDirectory, ...policy.own];
    const walk = { root, limits, signal, skip: await Promise.all(own.map(realpathLenient)) };
    const hash = await hashDirectory({ ...walk, copyTo: null });
    if (await existing(inCache('checkouts', `local-${hash}`))) return `local:${hash}`;
    return inTemporary(async (directory) => {
      const tree = join(directory, 'tree');
      await mkdir(tree);
      // the directory may have changed since: what counts is what was copied
      const copied = await hashDirectory({ ...walk, copyTo: tree });
      await sealTree(tree, `local directory ${root}`, limits);
      await publish(tree, inCache('checkouts', `local-${copied}`), []);
      return `local:${copied}`;
    });
  }

  async function checkoutLocal(source: LocalSource, commit: string, signal: AbortSignal | undefined): Promise<string> {
    const hash = localPattern.exec(commit)?.[1];
    if (hash === undefined) throw badCommit(commit);
    const path = inCache('checkouts', `local-${hash}`);
    return shared(path, signal, async () => {
      const found = await existing(path);
      if (found) return found;
      // another machine, or pruned since: the directory itself may still be the same
      const now = await resolveLocal(source, signal);
      if (now === commit) return path;
      throw new WindlassError(
        'sourceUnavailable',
        `local directory ${source.directory} has changed since ${commit} was taken`,
        {
          hint: 'Start a new deployment. With workers on several machines, use a git source or a shared directory.',
          class: 'definition',
        },
      );
    });
  }

  async function checkoutGit(source: GitSource, commit: string, given: CheckoutOptions): Promise<string> {
    if (!isCommit(commit)) throw badCommit(commit);
    const sparsePath = given.sparsePath === undefined ? null : checkSparsePath(given.sparsePath);
    const request = remote(source, given, sparsePath !== null);
    const suffix = sparsePath === null ? '' : `-${hashText(sparsePath)}`;
    const path = inCache('checkouts', `${repositoryKey(request)}-${commit}${suffix}`);
    return shared(path, given.signal, async () => {
      const found = await existing(path);
      if (found) return found;
      return locked(request, async () => {
        const made = await existing(path);
        if (made) return made;
        return inTemporary(async (directory) => {
          const tree = join(directory, 'tree');
          await mkdir(tree);
          const submodules = await writeCommit(request, { commit, tree, index: join(directory, 'index'), sparsePath });
          await sealTree(tree, `git repository ${request.address.url}`, limits);
          return publish(tree, path, submodules);
        });
      });
    });
  }

  function locked<T>(request: RemoteRequest, work: () => Promise<T>): Promise<T> {
    const name = cacheOf(request).split('/').at(-1) ?? 'cache';
    // Results are put in place by an atomic rename, so that a lock wrongly taken from a stalled process does no harm.
    return withLock(inCache('locks', `${name}.lock`), work, { signal: request.signal });
  }

  /** Callers of one process share one making; one who gives up does not take it from the others. */
  async function shared(path: string, signal: AbortSignal | undefined, make: () => Promise<string>): Promise<string> {
    signal?.throwIfAborted();
    const running = pending.get(path);
    if (running) {
      const settled = running.then(
        (made) => ({ made }),
        () => null,
      );
      const answer = await untilAborted(settled, signal);
      return answer === null ? shared(path, signal, make) : answer.made;
    }
    const started = make().finally(() => pending.delete(path));
    pending.set(path, started);
    return started;
  }

  async function pin(source: Source, given: ResolveOptions): Promise<string> {
    await prepared();
    switch (source.kind) {
      case 'local':
        return resolveLocal(source, given.signal);
      case 'git': {
        const request = remote(source, given, false);
        const revision = given.revision ?? source.revision ?? null;
        return resolveRevision(request, revision, (work) => locked(request, work));
      }
      default:
        return assertNever(source, 'source');
    }
  }

  async function lay(source: Source, commit: string, given: CheckoutOptions): Promise<string> {
    await prepared();
    switch (source.kind) {
      case 'local':
        return checkoutLocal(source, commit, given.signal);
      case 'git':
        return checkoutGit(source, commit, given);
      default:
        return assertNever(source, 'source');
    }
  }

  /** Whatever the system says of a source is said as its error, and a stop does not wait for a file system that hangs. */
  async function told<T>(source: Source, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await untilAborted(work(), signal, clearUpMs);
    } catch (thrown) {
      throw signal?.aborted === true ? thrown : asSourceError(nameOfSource(source), thrown);
    }
  }

  return {
    async check(source) {
      if (source.kind === 'local') return refuseDirectory(policy, source.directory);
      await refuseLocalGit(policy, parseAddress(source.repository));
    },
    resolve: (source, given = {}) => told(source, given.signal, async () => ({ commit: await pin(source, given) })),
    checkout: (source, commit, given = {}) => told(source, given.signal, () => lay(source, commit, given)),
    async find(source, commit, given = {}) {
      await prepared();
      switch (source.kind) {
        case 'local': {
          const hash = localPattern.exec(commit)?.[1];
          return hash === undefined ? null : existing(inCache('checkouts', `local-${hash}`));
        }
        case 'git':
          if (!isCommit(commit)) return null;
          return existing(inCache('checkouts', `${repositoryKey(remote(source, given, false))}-${commit}`));
        default:
          return assertNever(source, 'source');
      }
    },
    resolvePath,
    readTextFile,
    async prune(given) {
      await prepared();
      return pruneCheckouts(cacheDirectory, given);
    },
  };
}

/** A source in words, without what a log must not hold: `git repository https://…`. */
export function nameOfSource(source: Source): string {
  return source.kind === 'git' ? `git repository ${shown(source.repository)}` : `local directory ${source.directory}`;
}

function badCommit(commit: string): WindlassError {
  return new WindlassError(
    'invalidInput',
    `${JSON.stringify(commit.slice(0, 100))} is not a pinned commit of this source`,
    {
      hint: 'Resolve the source first.',
      class: 'definition',
    },
  );
}

/** Null for the whole repository. */
function checkSparsePath(path: string): string | null {
  const clean = normalize(path).replace(/\/+$/, '');
  if (clean === '.' || clean === '') return null;
  if (clean.startsWith('/') || clean === '..' || clean.startsWith('../') || /[\u0000\n]/.test(clean)) {
    throw new WindlassError('invalidInput', `path ${JSON.stringify(path.slice(0, 300))} leads out of the source`, {
      hint: 'Give a path relative to the root of the source, without "..".',
      class: 'definition',
    });
  }
  return clean;
}
