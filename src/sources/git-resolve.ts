import { WindlassError } from '../model/index.ts';
import { checkRevision, isCommit, shown } from './git-address.ts';
import { unreachable } from './git-errors.ts';
import { fetchCommit, findCommits, gitRemote, homeOf } from './git-repository.ts';
import type { RemoteRequest } from './git-repository.ts';
import { nearNames } from './near-names.ts';

interface Ref {
  readonly name: string;
  readonly commit: string;
}

/** Names and the commits they lead to; an annotated tag counts as the commit it is for. */
async function listRefs(request: RemoteRequest, args: readonly string[]): Promise<Ref[]> {
  const { limits } = request.context;
  const answer = await gitRemote(request, {
    cwd: homeOf(request.context),
    args: ['ls-remote', '--quiet', ...args],
    timeoutMs: limits.listTimeoutMs,
  });
  if (answer.code !== 0) throw unreachable(request.address.url, answer.stderr);
  const refs = new Map<string, string>();
  for (const line of answer.stdout.split('\n')) {
    const match = /^([0-9a-f]{40}|[0-9a-f]{64})\t(\S+)$/.exec(line);
    const [, commit, name] = match ?? [];
    if (commit === undefined || name === undefined) continue;
    if (name.endsWith('^{}')) refs.set(name.slice(0, -3), commit);
    else if (!refs.has(name)) refs.set(name, commit);
  }
  return [...refs].map(([name, commit]) => ({ name, commit }));
}

async function missing(request: RemoteRequest, revision: string): Promise<WindlassError> {
  const refs = await listRefs(request, ['--heads', '--tags', '--', request.address.url]);
  const names = refs.map(({ name }) => name.replace(/^refs\/(heads|tags)\//, ''));
  const near = nearNames([...new Set(names)], revision);
  return new WindlassError(
    'notFound',
    `git repository ${shown(request.address.url)} has no branch, tag or commit ${JSON.stringify(revision)}`,
    {
      hint:
        near.length > 0
          ? `There are, among others: ${near.join(', ')}.`
          : 'The repository has no branches or tags yet: push one.',
      class: 'definition',
    },
  );
}

function ambiguous(request: RemoteRequest, revision: string, candidates: readonly string[]): WindlassError {
  return new WindlassError(
    'ambiguous',
    `${JSON.stringify(revision)} means several things in git repository ${shown(request.address.url)}: ${candidates.slice(0, 10).join(', ')}`,
    { hint: 'Give the full name, such as refs/heads/main, or the whole commit hash.', class: 'definition' },
  );
}

/** The lock of the cache must be taken inside `locked`, since only hashes need it. */
export async function resolveRevision(
  request: RemoteRequest,
  revision: string | null,
  locked: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<string> {
  const { url } = request.address;
  if (revision === null || revision === 'HEAD') {
    const head = (await listRefs(request, ['--', url, 'HEAD'])).find(({ name }) => name === 'HEAD');
    if (head) return head.commit;
    throw new WindlassError(
      'notFound',
      `git repository ${shown(url)} has no default branch: it is empty, or its HEAD leads nowhere`,
      {
        hint: 'Push a commit, or name a branch in `revision`.',
        class: 'definition',
      },
    );
  }
  checkRevision(revision);
  if (isCommit(revision)) {
    await locked(() => fetchCommit(request, revision));
    return revision;
  }
  const wanted = revision.startsWith('refs/') ? [revision] : [`refs/heads/${revision}`, `refs/tags/${revision}`];
  const patterns = wanted.flatMap((name) => [name, `${name}^{}`]);
  const found = (await listRefs(request, ['--', url, ...patterns])).filter(({ name }) => wanted.includes(name));
  const commits = new Set(found.map(({ commit }) => commit));
  if (commits.size > 1) {
    throw ambiguous(
      request,
      revision,
      found.map(({ name, commit }) => `${name} (${commit.slice(0, 10)})`),
    );
  }
  const [only] = found;
  if (only) return only.commit;
  if (/^[0-9a-f]{7,63}$/.test(revision)) {
    const [first, ...others] = await locked(() => findCommits(request, revision));
    if (first !== undefined && others.length > 0) throw ambiguous(request, revision, [first, ...others]);
    if (first !== undefined) return first;
  }
  throw await missing(request, revision);
}
