import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, failure, fresh, setup, write } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

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
