import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import { shown } from './git-address.ts';
import { unreachable } from './git-errors.ts';
import { fetchCommit, gitLocal, gitRemote } from './git-repository.ts';
import type { RemoteRequest } from './git-repository.ts';
import { tooManyBytes, tooManyFiles } from './tree.ts';

/** Looks at a tree before it is written: nested trees can stand for more files than any disk holds. */
async function inspect(
  request: RemoteRequest,
  repository: string,
  commit: string,
  sparsePath: string | null,
): Promise<string[]> {
  const { context, signal } = request;
  const { limits } = context;
  const what = `git repository ${shown(request.address.url)}`;
  const submodules: string[] = [];
  let files = 0;
  let bytes = 0;
  let rest = '';
  const answer = await gitLocal(context, repository, {
    // sizes would fetch every file of a partial cache one by one
    args: [
      'ls-tree',
      '-r',
      '-z',
      '--full-tree',
      ...(request.partial ? [] : ['-l']),
      commit,
      '--',
      ...(sparsePath ? [sparsePath] : []),
    ],
    env: { GIT_LITERAL_PATHSPECS: '1' },
    timeoutMs: limits.fetchTimeoutMs,
    signal,
    onOutput: (chunk) => {
      const lines = (rest + chunk).split('\0');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [meta = '', path = ''] = line.split('\t', 2);
        const [mode, , , size = '-'] = meta.split(/ +/);
        if (++files > limits.maxFiles) throw tooManyFiles(what, limits);
        if (size !== '-') bytes += Number(size);
        if (bytes > limits.maxBytes) throw tooManyBytes(what, limits);
        if (mode === '160000') submodules.push(path);
      }
    },
  });
  if (answer.code !== 0)
    throw new WindlassError('internal', `${what}: the tree of ${commit} cannot be read: ${answer.stderr.trim()}`);
  return submodules;
}

/**
 * Writes the files of a commit into the empty directory `tree` and answers the paths of its submodules, which are left
 * empty; large-file pointers stay pointers. With `sparsePath` only what lies there. Call with the cache's lock held.
 */
export async function writeCommit(
  request: RemoteRequest,
  options: {
    readonly commit: string;
    readonly tree: string;
    readonly index: string;
    readonly sparsePath: string | null;
  },
): Promise<string[]> {
  const { commit, tree, index, sparsePath } = options;
  const repository = await fetchCommit(request, commit);
  const submodules = await inspect(request, repository, commit, sparsePath);
  const workTree = sparsePath ? join(tree, sparsePath) : tree;
  await mkdir(workTree, { recursive: true });
  const call = {
    cwd: repository,
    args: ['read-tree', '-u', '--reset', sparsePath ? `${commit}:${sparsePath}` : commit],
    env: { GIT_DIR: repository, GIT_WORK_TREE: workTree, GIT_INDEX_FILE: index },
    timeoutMs: request.context.limits.fetchTimeoutMs,
  };
  // a partial cache fetches the contents of these files now, all at once
  const answer = request.partial
    ? await gitRemote(request, call)
    : await gitLocal(request.context, repository, { ...call, signal: request.signal });
  if (answer.code === 0) return submodules;
  if (sparsePath && /not a valid object name|not a tree object|failed to unpack tree/i.test(answer.stderr)) {
    throw new WindlassError(
      'notFound',
      `there is no directory ${JSON.stringify(sparsePath)} in ${shown(request.address.url)} at ${commit}`,
      {
        hint: 'Check the path and the revision of the source.',
        class: 'definition',
      },
    );
  }
  if (/ENOSPC|no space left/i.test(answer.stderr)) {
    throw new WindlassError('unavailable', `the disk is full: ${shown(request.address.url)} cannot be checked out`, {
      hint: 'Free space in the cache directory of the sources.',
    });
  }
  throw unreachable(request.address.url, answer.stderr);
}
