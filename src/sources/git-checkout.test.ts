import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { identifySelf } from '../host/index.ts';
import { cleanUp, commit, failure, fresh, git, gitPath, gitSource, makeRepository, scratch, setup } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

describe('checking out a commit', () => {
  test('gives exactly the files of that commit, read-only, without a .git', async () => {
    const repository = makeRepository({ 'a.txt': 'one', 'deep/er/b.sh': '#!/bin/sh\n' });
    chmodSync(join(repository, 'deep/er/b.sh'), 0o755);
    const first = commit(repository, {});
    commit(repository, { 'a.txt': 'two' });
    const { sources } = setup();
    const root = await sources.checkout(gitSource(repository), first);
    expect(readdirSync(root).sort()).toEqual(['a.txt', 'deep']);
    expect(readFileSync(join(root, 'a.txt'), 'utf8')).toBe('one');
    expect(statSync(join(root, 'a.txt')).mode & 0o777).toBe(0o444);
    expect(statSync(join(root, 'deep/er/b.sh')).mode & 0o777).toBe(0o555);
    expect(statSync(root).mode & 0o777).toBe(0o555);
  });

  test('is made once for concurrent callers, and again from the cache when the repository is gone', async () => {
    const repository = makeRepository({ 'a.txt': 'one' });
    const head = git(repository, 'rev-parse', 'HEAD');
    const { sources, cacheDirectory } = setup();
    const roots = await Promise.all(Array.from({ length: 10 }, () => sources.checkout(gitSource(repository), head)));
    expect(new Set(roots).size).toBe(1);
    const [root = ''] = roots;
    const made = statSync(root).ino;
    rmSync(repository, { recursive: true });
    expect(await sources.checkout(gitSource(repository), head)).toBe(root);
    expect(statSync(root).ino).toBe(made);
    expect(readdirSync(join(cacheDirectory, 'tmp'))).toEqual([]);
    expect(readdirSync(join(cacheDirectory, 'locks'))).toEqual([]);
  });

  test('two processes at the same time share one result', async () => {
    const repository = makeRepository(
      Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`f/${i}.txt`, 'x'.repeat(i)])),
    );
    const head = git(repository, 'rev-parse', 'HEAD');
    const cacheDirectory = fresh('cache');
    const script = join(fresh('script'), 'run.cjs');
    writeFileSync(script, childScript);
    const register = join(__dirname, '../../scripts/register-typescript.cjs');
    const run = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [
          '-r',
          register,
          script,
          join(__dirname, 'index.ts'),
          cacheDirectory,
          repository,
          head,
          gitPath,
        ]);
        let out = '';
        let err = '';
        child.stdout.on('data', (chunk) => (out += String(chunk)));
        child.stderr.on('data', (chunk) => (err += String(chunk)));
        child.on('close', (code) => (code === 0 ? resolve(out.trim()) : reject(new Error(err))));
      });
    const [a, b] = await Promise.all([run(), run()]);
    expect(a).toBe(b);
    expect(readdirSync(join(a, 'f'))).toHaveLength(200);
    expect(readdirSync(join(cacheDirectory, 'checkouts')).filter((name) => !name.endsWith('.json'))).toHaveLength(1);
    expect(readdirSync(join(cacheDirectory, 'tmp'))).toEqual([]);
  }, 60_000);

  test('a lock left by a dead process does not hold anybody up', async () => {
    const repository = makeRepository({ a: '1' });
    const head = git(repository, 'rev-parse', 'HEAD');
    const { sources, cacheDirectory } = setup();
    await sources.resolve(gitSource(repository), { revision: head });
    const cache = readdirSync(join(cacheDirectory, 'repositories'))[0] ?? '';
    const pid = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
    const dead = JSON.stringify({ ...identifySelf(), pid, token: '1' });
    writeFileSync(join(cacheDirectory, 'locks', `${cache}.lock`), dead);
    expect(existsSync(await sources.checkout(gitSource(repository), head))).toBe(true);
  });

  test('only the asked directory is fetched and written when it is sparse', async () => {
    const repository = makeRepository({
      'stacks/db/main.tf': 'db',
      'stacks/vpc/main.tf': 'vpc',
      'big.bin': 'x'.repeat(50_000),
      '-odd/a': '1',
    });
    git(repository, 'config', 'uploadpack.allowFilter', 'true');
    const head = git(repository, 'rev-parse', 'HEAD');
    const { sources, cacheDirectory } = setup();
    const root = await sources.checkout(gitSource(repository), head, { sparsePath: 'stacks/db' });
    expect(readdirSync(root)).toEqual(['stacks']);
    expect(readdirSync(join(root, 'stacks'))).toEqual(['db']);
    expect(readFileSync(join(root, 'stacks/db/main.tf'), 'utf8')).toBe('db');
    const cache = join(cacheDirectory, 'repositories', readdirSync(join(cacheDirectory, 'repositories'))[0] ?? '');
    const held = git(cache, 'rev-list', '--objects', '--all', '--missing=print');
    expect(held).toContain(`?${git(repository, 'rev-parse', 'HEAD:big.bin')}`);
    expect(
      readdirSync(join(await sources.checkout(gitSource(repository), head, { sparsePath: '-odd' }), '-odd')),
    ).toEqual(['a']);
    const missing = await failure(sources.checkout(gitSource(repository), head, { sparsePath: 'stacks/nope' }));
    expect(missing.code).toBe('notFound');
    expect((await failure(sources.checkout(gitSource(repository), head, { sparsePath: '../x' }))).code).toBe(
      'invalidInput',
    );
  });

  test.each([
    ['absolute', '/etc/passwd'],
    ['climbing', '../../../etc/passwd'],
    ['through another link', 'here/../../x'],
    ['a loop', 'link'],
  ])('a link that leads outside is refused: %s', async (_, target) => {
    const repository = makeRepository({ a: '1' });
    symlinkSync('.', join(repository, 'here'));
    symlinkSync(target, join(repository, 'link'));
    const head = commit(repository, {});
    const { sources, cacheDirectory } = setup();
    const error = await failure(sources.checkout(gitSource(repository), head));
    expect(error.code).toBe('invalidDefinition');
    expect(error.message).toContain('the link link leads outside');
    expect(readdirSync(join(cacheDirectory, 'checkouts'))).toEqual([]);
  });

  test('links that stay inside are kept', async () => {
    const repository = makeRepository({ 'dir/a': '1' });
    symlinkSync('dir/a', join(repository, 'link'));
    symlinkSync('../gone', join(repository, 'dir/dangling'));
    const head = commit(repository, {});
    const { sources } = setup();
    const root = await sources.checkout(gitSource(repository), head);
    expect(readFileSync(join(root, 'link'), 'utf8')).toBe('1');
  });

  test('too many files and too many bytes are refused before they are written', async () => {
    const repository = makeRepository({ a: 'x'.repeat(2_000), b: '', c: '' });
    const head = git(repository, 'rev-parse', 'HEAD');
    const many = await failure(setup({ limits: { maxFiles: 2 } }).sources.checkout(gitSource(repository), head));
    expect(many.code).toBe('tooLarge');
    expect(many.message).toContain('more than 2 files');
    const large = await failure(setup({ limits: { maxBytes: 1_000 } }).sources.checkout(gitSource(repository), head));
    expect(large.message).toContain('larger than 1000 bytes');
    const repositoryLimit = await failure(
      setup({ limits: { maxRepositoryBytes: 100 } }).sources.checkout(gitSource(repository), head),
    );
    expect(repositoryLimit.code).toBe('tooLarge');
  });

  test('a tree that stands for millions of files is refused quickly', async () => {
    const repository = makeRepository({ a: '1' });
    let tree = git(repository, 'rev-parse', 'HEAD^{tree}');
    for (let level = 0; level < 8; level++) {
      const lines = Array.from({ length: 10 }, (_, i) => `040000 tree ${tree}\t${i}`).join('\n');
      tree = execFileSync(gitPath, ['mktree'], { cwd: repository, input: `${lines}\n`, encoding: 'utf8' }).trim();
    }
    const bomb = git(repository, 'commit-tree', tree, '-m', 'bomb');
    git(repository, 'branch', 'bomb', bomb);
    const { sources } = setup();
    expect((await failure(sources.checkout(gitSource(repository), bomb))).message).toContain('more than 50000 files');
  }, 30_000);

  test('hooks and filters of a repository do not run', async () => {
    const repository = makeRepository({ '.gitattributes': '* filter=evil\n', a: '1' });
    const proof = join(scratch, 'proof');
    const hook = join(repository, '.git/hooks/post-checkout');
    writeFileSync(hook, `#!/bin/sh\ntouch ${proof}\n`, { mode: 0o755 });
    git(repository, 'config', 'filter.evil.smudge', `touch ${proof}`);
    git(repository, 'config', 'uploadpack.packObjectsHook', `touch ${proof}; false`);
    const head = git(repository, 'rev-parse', 'HEAD');
    const { sources } = setup();
    const root = await sources.checkout(gitSource(repository), head);
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('1');
    expect(existsSync(proof)).toBe(false);
  });

  test('submodules are left empty, and a path into one says so', async () => {
    const inner = makeRepository({ 'main.tf': '' });
    const repository = makeRepository({ a: '1' });
    git(repository, 'submodule', '--quiet', 'add', inner, 'modules/inner');
    const head = commit(repository, {});
    const { sources } = setup();
    const root = await sources.checkout(gitSource(repository), head);
    expect(readdirSync(join(root, 'modules/inner'))).toEqual([]);
    const error = await failure(sources.resolvePath(root, 'modules/inner/stack'));
    expect(error.hint).toContain('modules/inner is a git submodule');
  });

  test('an aborted checkout ends and leaves nothing', async () => {
    const repository = makeRepository({ a: '1' });
    const head = git(repository, 'rev-parse', 'HEAD');
    const { sources, cacheDirectory } = setup();
    const controller = new AbortController();
    controller.abort(new Error('stop'));
    await expect(sources.checkout(gitSource(repository), head, { signal: controller.signal })).rejects.toThrow('stop');
    expect(readdirSync(join(cacheDirectory, 'checkouts'))).toEqual([]);
    expect(existsSync(await sources.checkout(gitSource(repository), head))).toBe(true);
  });
});

const childScript = `
const [door, cacheDirectory, repository, commit, gitPath] = process.argv.slice(2);
require(door).createSources({ cacheDirectory, gitPath }).checkout({ kind: 'git', repository, path: '.' }, commit).then(
  (root) => console.log(root),
  (error) => { console.error(error); process.exit(1); },
);
`;
