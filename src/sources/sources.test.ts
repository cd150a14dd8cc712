import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { GitSource, LocalSource } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { toolPath } from '../../test/support/tools.ts';
import { createSources } from './index.ts';
import type { SourcesOptions } from './index.ts';

const gitPath = toolPath('git');
let scratch: string;
let counter = 0;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'windlass-sources-'));
});
afterAll(() => {
  execFileSync('chmod', ['-R', 'u+w', scratch]);
  rmSync(scratch, { recursive: true, force: true });
});

function fresh(name: string): string {
  const directory = join(scratch, `${name}-${counter++}`);
  mkdirSync(directory);
  return directory;
}

function git(cwd: string, ...args: string[]): string {
  const env = {
    PATH: process.env['PATH'],
    HOME: scratch,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Test',
    GIT_AUTHOR_EMAIL: 'test@example.org',
    GIT_COMMITTER_NAME: 'Test',
    GIT_COMMITTER_EMAIL: 'test@example.org',
  };
  return execFileSync(gitPath, ['-c', 'init.defaultBranch=main', '-c', 'protocol.file.allow=always', ...args], {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

function write(root: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

/** A repository with one commit of these files. */
function makeRepository(files: Record<string, string>): string {
  const repository = fresh('repository');
  git(repository, 'init', '--quiet');
  return commit(repository, files) && repository;
}

function commit(repository: string, files: Record<string, string>): string {
  write(repository, files);
  git(repository, 'add', '--all');
  git(repository, 'commit', '--quiet', '--allow-empty', '-m', 'change');
  return git(repository, 'rev-parse', 'HEAD');
}

function setup(options: Partial<SourcesOptions> = {}) {
  const cacheDirectory = options.cacheDirectory ?? fresh('cache');
  return { cacheDirectory, sources: createSources({ gitPath, ...options, cacheDirectory }) };
}

const gitSource = (repository: string, revision?: string): GitSource => ({
  kind: 'git',
  repository,
  revision,
  path: '.',
});
const localSource = (directory: string): LocalSource => ({ kind: 'local', directory, path: '.' });

async function failure(work: Promise<unknown>): Promise<WindlassError> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof WindlassError) return thrown;
    throw thrown;
  }
  throw new Error('it did not fail');
}

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
    const register = require.resolve('@swc/core');
    writeFileSync(script, childScript(register));
    const run = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [
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
    const dead = execFileSync(process.execPath, ['-p', 'require("os").hostname() + "\\n" + process.pid'], {
      encoding: 'utf8',
    });
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

describe('credentials', () => {
  const token = 'tok-3f9ad81c77b2e6';
  let server: Server;
  let address: string;
  let projects: string;
  let authorizations: string[];
  let hold: (() => Promise<void>) | null;

  beforeEach(async () => {
    projects = fresh('projects');
    authorizations = [];
    hold = null;
    server = createServer((request, response) => {
      void (async () => {
        const given = request.headers.authorization ?? '';
        authorizations.push(given);
        if (Buffer.from(given.replace('Basic ', ''), 'base64').toString() !== `robot:${token}`) {
          response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
          return;
        }
        await hold?.();
        backend(projects, request, response);
      })();
    });
    address = `http://127.0.0.1:${await listen(server)}`;
  });
  afterEach(() => close(server));

  function publish(name: string): string {
    const repository = makeRepository({ 'main.tf': 'private' });
    git(projects, 'clone', '--quiet', '--bare', repository, name);
    return `${address}/${name}`;
  }

  test('a token opens a private repository and is written nowhere', async () => {
    const repository = publish('stacks.git');
    const { sources, cacheDirectory } = setup();
    const credentials = { kind: 'token', username: 'robot', token } as const;
    const seen: string[] = [];
    hold = () => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          seen.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
        } catch {
          // ended meanwhile
        }
      }
      return Promise.resolve();
    };
    const { commit: head } = await sources.resolve(gitSource(repository), { credentials });
    const root = await sources.checkout(gitSource(repository), head, { credentials });
    expect(readFileSync(join(root, 'main.tf'), 'utf8')).toBe('private');
    expect(seen.some((line) => line.includes(repository))).toBe(true);
    expect(seen.filter((line) => line.includes(token))).toEqual([]);
    const grep = spawnGrep(token, cacheDirectory);
    expect(grep).toBe('');
  });

  test('without the token, or with a wrong one, the error names the repository and no token', async () => {
    const repository = publish('stacks.git');
    const { sources } = setup();
    const none = await failure(sources.resolve(gitSource(repository)));
    expect(none.code).toBe('sourceUnavailable');
    expect(none.class).toBe('credentials');
    expect(none.message).toContain(repository);
    expect(none.hint).toContain('credentials');
    const wrong = 'wrong-token-5581';
    const refused = await failure(
      sources.resolve(gitSource(repository), { credentials: { kind: 'token', username: 'robot', token: wrong } }),
    );
    expect(refused.class).toBe('credentials');
    expect(JSON.stringify([refused.message, refused.hint, refused.stack])).not.toContain(wrong);
  });

  test('what one credential fetched is not handed to another', async () => {
    const repository = publish('stacks.git');
    const { sources } = setup();
    const credentials = { kind: 'token', username: 'robot', token } as const;
    const { commit: head } = await sources.resolve(gitSource(repository), { credentials });
    await sources.checkout(gitSource(repository), head, { credentials });
    expect((await failure(sources.checkout(gitSource(repository), head))).class).toBe('credentials');
  });

  test('a redirect to another host does not get the token', async () => {
    const other = createServer((request, response) => {
      authorizations.push(`other ${request.headers.authorization ?? 'none'}`);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    });
    const elsewhere = `http://127.0.0.1:${await listen(other)}`;
    const redirecting = createServer((request, response) => {
      response.writeHead(302, { location: `${elsewhere}${request.url ?? ''}` }).end();
    });
    const from = `http://127.0.0.1:${await listen(redirecting)}`;
    try {
      const { sources } = setup();
      await failure(
        sources.resolve(gitSource(`${from}/x.git`), { credentials: { kind: 'token', username: 'robot', token } }),
      );
      expect(authorizations.filter((line) => line.startsWith('other'))).toContain('other none');
      expect(authorizations.filter((line) => line.startsWith('other') && line !== 'other none')).toEqual([]);
    } finally {
      await close(other);
      await close(redirecting);
    }
  });

  test('a token for ssh and a key for http are told apart', async () => {
    const { sources } = setup();
    const ssh = await failure(
      sources.resolve(gitSource('git@127.0.0.1:x/y.git'), { credentials: { kind: 'token', token } }),
    );
    expect(ssh.message).toContain('takes a private key');
    const http = await failure(
      sources.resolve(gitSource(`${address}/x`), { credentials: { kind: 'sshKey', privateKey: 'k' } }),
    );
    expect(http.message).toContain('takes a token');
    const broken = await failure(
      sources.resolve(gitSource(`${address}/x`), { credentials: { kind: 'token', token: `${token}\nhost=evil` } }),
    );
    expect(broken.message).toContain('line breaks');
    expect(broken.message).not.toContain(token);
  });
});

describe('ssh', () => {
  test('a key is a file of its owner alone while git runs, and gone afterwards', async () => {
    const repository = makeRepository({ a: '1' });
    const bin = fresh('bin');
    const seen = join(bin, 'seen');
    // plays the ssh client: notes how it was called, then runs the command here instead of on the host
    writeFileSync(
      join(bin, 'ssh'),
      `#!/bin/sh
printf '%s\n' "$@" > ${seen}
for option; do case $option in IdentityFile=*) stat -c '%a' "\${option#*=}" >> ${seen}; cat "\${option#*=}" >> ${seen};; esac; last=$option; done
exec sh -c "$last"
`,
      { mode: 0o755 },
    );
    const before = process.env['PATH'];
    process.env['PATH'] = `${bin}:${before}`;
    try {
      const { sources, cacheDirectory } = setup();
      const privateKey = '-----BEGIN KEY-----\nmaterial-8d1f00c2aa93b1\n-----END KEY-----';
      const source = gitSource(`git@127.0.0.1:${repository}`);
      const { commit: head } = await sources.resolve(source, { credentials: { kind: 'sshKey', privateKey } });
      expect(head).toBe(git(repository, 'rev-parse', 'HEAD'));
      const text = readFileSync(seen, 'utf8');
      expect(text).toContain('StrictHostKeyChecking=accept-new');
      expect(text).toContain('BatchMode=yes');
      expect(text).toContain('IdentityAgent=none');
      expect(text).toMatch(/^600$/m);
      expect(text.endsWith(`${privateKey}\n`)).toBe(true);
      expect(readdirSync(join(cacheDirectory, 'ssh'))).toEqual([]);
      expect(spawnGrep('material-8d1f00c2aa93b1', cacheDirectory)).toBe('');
    } finally {
      process.env['PATH'] = before;
    }
  });
});

describe('a local directory', () => {
  test('has the same hash for the same content, and another for other names, modes and contents', async () => {
    const { sources } = setup();
    const hash = async (files: Record<string, string>, change?: (root: string) => void) => {
      const root = fresh('local');
      write(root, files);
      change?.(root);
      return (await sources.resolve(localSource(root))).commit;
    };
    const base = await hash({ a: '1', 'b/c': '2' });
    expect(base).toMatch(/^local:[0-9a-f]{24}$/);
    expect(await hash({ 'b/c': '2', a: '1' })).toBe(base);
    expect(await hash({ a: '1', 'b/c': '2', '.git/x': '', '.terraform/y': '', 'node_modules/z': '' })).toBe(base);
    const others = [
      await hash({ a: '1', 'b/c': '3' }),
      await hash({ a: '1', 'b/d': '2' }),
      await hash({ a: '1', b_c: '2' }),
      await hash({ a: '1', 'b/c': '2' }, (root) => execFileSync('chmod', ['+x', join(root, 'a')])),
      await hash({ a: '1', 'b/c': '2' }, (root) => symlinkSync('a', join(root, 'l'))),
      await hash({ a: '1', 'b/c': '2' }, (root) => mkdirSync(join(root, 'empty'))),
    ];
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });

  test('is checked out as it was when it was resolved', async () => {
    const root = fresh('local');
    write(root, { 'main.tf': 'before', 'x.sh': '' });
    symlinkSync(join(root, 'main.tf'), join(root, 'link'));
    const { sources } = setup();
    const { commit: pinned } = await sources.resolve(localSource(root));
    writeFileSync(join(root, 'main.tf'), 'after');
    const checkout = await sources.checkout(localSource(root), pinned);
    expect(readFileSync(join(checkout, 'main.tf'), 'utf8')).toBe('before');
    expect(readFileSync(join(checkout, 'link'), 'utf8')).toBe('before');
    expect((await sources.resolve(localSource(root))).commit).not.toBe(pinned);
  });

  test('that changed since is refused on a machine without the snapshot', async () => {
    const root = fresh('local');
    write(root, { a: '1' });
    const { commit: pinned } = await setup().sources.resolve(localSource(root));
    const other = setup().sources;
    expect(readFileSync(join(await other.checkout(localSource(root), pinned), 'a'), 'utf8')).toBe('1');
    writeFileSync(join(root, 'a'), '2');
    const error = await failure(setup().sources.checkout(localSource(root), pinned));
    expect(error.message).toContain('has changed');
  });

  test('with a link that leads outside is refused and the link named', async () => {
    const root = fresh('local');
    mkdirSync(join(root, 'sub'));
    symlinkSync('../../elsewhere', join(root, 'sub/out'));
    const error = await failure(setup().sources.resolve(localSource(root)));
    expect(error.code).toBe('invalidDefinition');
    expect(error.message).toContain('sub/out');
  });

  test('that is too large or has too many files is refused', async () => {
    const root = fresh('local');
    write(root, { a: 'x'.repeat(500), b: '', c: '' });
    expect((await failure(setup({ limits: { maxFiles: 2 } }).sources.resolve(localSource(root)))).message).toContain(
      'more than 2 files',
    );
    expect((await failure(setup({ limits: { maxBytes: 400 } }).sources.resolve(localSource(root)))).message).toContain(
      'larger than 400 bytes',
    );
  });

  test('may hold pipes, which are left out, and Windlass cache', async () => {
    const root = fresh('local');
    write(root, { a: '1' });
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const { sources } = setup({ cacheDirectory: join(root, 'cache') });
    const { commit: pinned } = await sources.resolve(localSource(root));
    expect(readdirSync(await sources.checkout(localSource(root), pinned))).toEqual(['a']);
    expect((await sources.resolve(localSource(root))).commit).toBe(pinned);
  });

  test.each([
    ['relative/dir', 'is not an absolute path'],
    ['/nonexistent/windlass', 'does not exist'],
    ['/dev/null', 'is not a directory'],
  ])('%s is refused', async (directory, reason) => {
    const error = await failure(setup().sources.resolve(localSource(directory)));
    expect(error.message).toContain(directory);
    expect(error.message).toContain(reason);
  });
});

describe('paths inside a checkout', () => {
  const { root } = { root: () => made };
  let made: string;
  beforeAll(() => {
    made = fresh('tree');
    write(made, { 'stack/main.tf': 'text', 'latin.txt': '', big: 'x'.repeat(100) });
    writeFileSync(join(made, 'latin.txt'), Buffer.from([0xe9, 0x20]));
    writeFileSync(join(made, 'bom.txt'), '\ufefftext');
    symlinkSync('/etc', join(made, 'out'));
    symlinkSync('stack', join(made, 'alias'));
    execFileSync('mkfifo', [join(made, 'pipe')]);
  });

  test('lead to real directories', async () => {
    const { sources } = setup();
    expect(await sources.resolvePath(root(), '.')).toBe(root());
    expect(await sources.resolvePath(root(), 'stack')).toBe(join(root(), 'stack'));
    expect(await sources.resolvePath(root(), 'alias/')).toBe(join(root(), 'stack'));
    expect(await sources.readTextFile(root(), 'stack/main.tf', 100)).toBe('text');
    expect(await sources.readTextFile(root(), 'bom.txt', 100)).toBe('text');
  });

  test.each([
    ['/etc', 'is absolute'],
    ['../x', 'leads out'],
    ['stack/../../x', 'leads out'],
    ['out', 'is a link that leads out'],
    ['out/ssl', 'is a link that leads out'],
    ['missing', 'no directory'],
    ['big', 'is a file'],
    ['a\0b', 'NUL'],
  ])('%j is refused as a directory', async (path, reason) => {
    const error = await failure(setup().sources.resolvePath(root(), path));
    expect(error.message).toContain(reason);
  });

  test.each([
    ['out/hostname', 'is a link that leads out'],
    ['../x', 'leads out'],
    ['missing.yml', 'no file'],
    ['stack', 'not a regular file'],
    ['pipe', 'not a regular file'],
    ['latin.txt', 'not UTF-8'],
    ['big', 'larger than 50 bytes'],
  ])('%j is refused as a text file', async (path, reason) => {
    const error = await failure(setup().sources.readTextFile(root(), path, 50));
    expect(error.message).toContain(reason);
  });
});

describe('pruning', () => {
  test('removes what was not used lately, keeps what is in use, and can be made again', async () => {
    const repository = makeRepository({ a: '1' });
    const first = git(repository, 'rev-parse', 'HEAD');
    const second = commit(repository, { a: '2' });
    const third = commit(repository, { a: '3' });
    const { sources } = setup();
    const source = gitSource(repository);
    const old = await sources.checkout(source, first);
    const kept = await sources.checkout(source, second);
    const recent = await sources.checkout(source, third);
    const longAgo = new Date(Date.now() - 7_200_000);
    utimesSync(`${old}.json`, longAgo, longAgo);
    utimesSync(`${kept}.json`, longAgo, longAgo);
    const report = await sources.prune({ maxAgeMs: 3_600_000, keep: [kept], graceMs: 60_000 });
    expect(report.removed).toBe(1);
    expect(report.freedBytes).toBeGreaterThan(0);
    expect([old, kept, recent].map((path) => existsSync(path))).toEqual([false, true, true]);
    await sources.prune({ maxBytes: 0, graceMs: 0, keep: [recent] });
    expect([kept, recent].map((path) => existsSync(path))).toEqual([false, true]);
    expect(readFileSync(join(await sources.checkout(source, first), 'a'), 'utf8')).toBe('1');
  });

  test('leaves everything alone that was used within the grace time', async () => {
    const repository = makeRepository({ a: '1' });
    const { sources } = setup();
    const root = await sources.checkout(gitSource(repository), git(repository, 'rev-parse', 'HEAD'));
    expect((await sources.prune({ maxBytes: 0 })).removed).toBe(0);
    expect(existsSync(root)).toBe(true);
  });
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

function spawnGrep(text: string, directory: string): string {
  try {
    return execFileSync('grep', ['-r', '-l', '-a', '-F', text, directory], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** git's own smart HTTP server, as CGI. */
function backend(
  projects: string,
  request: import('node:http').IncomingMessage,
  response: import('node:http').ServerResponse,
): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const child = spawn(gitPath, ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      HOME: scratch,
      GIT_PROJECT_ROOT: projects,
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'robot',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      ...(request.headers['content-length'] ? { CONTENT_LENGTH: request.headers['content-length'] } : {}),
    },
  });
  request.pipe(child.stdin);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    const all = Buffer.concat(chunks);
    const end = all.indexOf('\r\n\r\n');
    const headers = Object.fromEntries(
      all
        .subarray(0, end)
        .toString()
        .split('\r\n')
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    );
    const { Status: status = '200', ...others } = headers;
    response.writeHead(Number.parseInt(status, 10), others).end(all.subarray(end + 4));
  });
}

/** Loads the room in a plain Node process, compiled as Jest does it. */
function childScript(swc: string): string {
  return `
const { readFileSync } = require('node:fs');
const { transformSync } = require(${JSON.stringify(swc)});
require.extensions['.ts'] = (module, file) =>
  module._compile(transformSync(readFileSync(file, 'utf8'), { filename: file, jsc: { target: 'es2023', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } }).code, file);
const [door, cacheDirectory, repository, commit, gitPath] = process.argv.slice(2);
const { createSources } = require(door);
createSources({ cacheDirectory, gitPath }).checkout({ kind: 'git', repository, path: '.' }, commit).then(
  (root) => console.log(root),
  (error) => { console.error(error); process.exit(1); },
);
`;
}
