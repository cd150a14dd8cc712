import { createServer } from 'node:http';
import { cleanUp, close, commit, failure, fresh, git, gitSource, listen, makeRepository, setup } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

describe('resolving a git revision', () => {
  test('the default branch, a branch, tags and hashes all lead to their commit', async () => {
    const repository = makeRepository({ 'a.txt': '1' });
    const first = git(repository, 'rev-parse', 'HEAD');
    git(repository, 'tag', 'light');
    git(repository, 'tag', '-a', 'annotated', '-m', 'release');
    const second = commit(repository, { 'a.txt': '2' });
    git(repository, 'branch', 'feature/x', first);
    const { sources } = setup();
    const resolve = async (revision?: string | null) =>
      (await sources.resolve(gitSource(repository), { revision })).commit;
    expect(await resolve()).toBe(second);
    expect(await resolve('main')).toBe(second);
    expect(await resolve('feature/x')).toBe(first);
    expect(await resolve('light')).toBe(first);
    expect(await resolve('annotated')).toBe(first);
    expect(await resolve('refs/tags/annotated')).toBe(first);
    expect(await resolve(first)).toBe(first);
    expect(await resolve(first.slice(0, 9))).toBe(first);
    expect((await sources.resolve(gitSource(repository, 'light'))).commit).toBe(first);
  });

  test('a missing revision names the nearest ones', async () => {
    const repository = makeRepository({ a: '' });
    git(repository, 'branch', 'release-1');
    const { sources } = setup();
    const error = await failure(sources.resolve(gitSource(repository), { revision: 'relaese-1' }));
    expect(error.code).toBe('notFound');
    expect(error.message).toContain('"relaese-1"');
    expect(error.hint).toContain('release-1');
  });

  test('a commit that does not exist is refused', async () => {
    const repository = makeRepository({ a: '' });
    const { sources } = setup();
    const error = await failure(sources.resolve(gitSource(repository), { revision: '1'.repeat(40) }));
    expect(error.code).toBe('notFound');
    expect(error.message).toContain('1'.repeat(40));
  });

  test('a name that is a branch and another tag is ambiguous', async () => {
    const repository = makeRepository({ a: '1' });
    git(repository, 'tag', 'same');
    commit(repository, { a: '2' });
    git(repository, 'branch', 'same');
    const { sources } = setup();
    const error = await failure(sources.resolve(gitSource(repository), { revision: 'same' }));
    expect(error.code).toBe('ambiguous');
    expect(error.message).toContain('refs/heads/same');
    expect(error.message).toContain('refs/tags/same');
  });

  test('an empty repository has no default branch', async () => {
    const repository = fresh('repository');
    git(repository, 'init', '--quiet');
    const { sources } = setup();
    expect((await failure(sources.resolve(gitSource(repository)))).message).toContain('no default branch');
  });

  test.each(['--upload-pack=touch /tmp/x', '-x', 'a..b', 'main^', 'a b', 'x:y', '*', 'a@{1}', ''])(
    'revision %j is refused',
    async (revision) => {
      const { sources } = setup();
      expect((await failure(sources.resolve(gitSource(makeRepository({ a: '' })), { revision }))).code).toBe(
        'invalidInput',
      );
    },
  );

  test.each([
    ['--upload-pack=/bin/true', 'begins with "-"'],
    ['ext::sh -c true', 'white space'],
    ['ext::sh', 'remote helper'],
    ['file:///etc', 'file://'],
    ['git://127.0.0.1/x', 'git://'],
    ['relative/path', 'not an address'],
    ['https://user:hunter2@127.0.0.1/x', 'user name or password'],
    ['ssh://-oProxyCommand=true/x', 'host name that begins with "-"'],
    ['-oProxyCommand=x@host:path', 'begins with "-"'],
  ])('repository %j is refused', async (repository, reason) => {
    const { sources } = setup();
    const error = await failure(sources.resolve(gitSource(repository)));
    expect(error.code).toBe('invalidInput');
    expect(error.message).toContain(reason);
    expect(error.message).not.toContain('hunter2');
    expect(error.hint).toBeTruthy();
  });

  test('a host that does not answer is named with what to check', async () => {
    const { sources } = setup();
    const server = createServer();
    const port = await listen(server);
    await close(server);
    const error = await failure(sources.resolve(gitSource(`http://127.0.0.1:${port}/team/stacks.git`)));
    expect(error.code).toBe('sourceUnavailable');
    expect(error.message).toContain(`127.0.0.1:${port}/team/stacks.git`);
    expect(error.message).toContain('does not answer');
    expect(error.hint).toContain('address and port');
  });

  test('a path without a repository says so', async () => {
    const { sources } = setup();
    const error = await failure(sources.resolve(gitSource(fresh('nothing'))));
    expect(error.code).toBe('sourceUnavailable');
    expect(error.message).toContain('there is no repository');
  });

  test('git that is not there is reported as a missing tool', async () => {
    const { sources } = setup({ gitPath: '/nonexistent/git' });
    expect((await failure(sources.resolve(gitSource(makeRepository({ a: '' }))))).code).toBe('toolMissing');
  });
});
