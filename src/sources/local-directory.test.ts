import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, failure, fresh, localSource, setup, write } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

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
