import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { cleanUp, close, failure, filesWith, fresh, git, gitSource, listen, makeRepository, setup } from './testing.ts';
import { serveGit } from '../../test/support/git.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

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
        serveGit(projects, request, response);
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
    const grep = filesWith(token, cacheDirectory);
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
      expect(filesWith('material-8d1f00c2aa93b1', cacheDirectory)).toBe('');
    } finally {
      process.env['PATH'] = before;
    }
  });
});
