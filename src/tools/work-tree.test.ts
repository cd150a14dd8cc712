import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildWorkTree } from './work-tree.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-tree-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function source(name: string, files: Record<string, string>): string {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name, file)), { recursive: true });
    writeFileSync(join(root, name, file), text);
  }
  return join(root, name);
}

const build = (sourceDirectory: string, path: string) =>
  buildWorkTree({ sourceDirectory, path, workDirectory: join(root, 'work') });

test('the directory is copied, its siblings are links, and what is written does not reach the source', async () => {
  const from = source('one', {
    'a/b/main.tf': 'uses ../common',
    'a/b/sub/file': 'y',
    'a/common/m.tf': 'm',
    'top.txt': 't',
    '.git/config': 'secret',
  });
  chmodSync(join(from, 'a/b/main.tf'), 0o444);
  const stack = await build(from, 'a/b');
  expect(readFileSync(join(stack, 'sub/file'), 'utf8')).toBe('y');
  expect(lstatSync(join(stack, 'main.tf')).isSymbolicLink()).toBe(false);
  expect(readFileSync(join(stack, '../common/m.tf'), 'utf8')).toBe('m');
  expect(readFileSync(join(stack, '../../top.txt'), 'utf8')).toBe('t');
  expect(existsSync(join(stack, '../../.git'))).toBe(false);
  writeFileSync(join(stack, 'main.tf'), 'changed');
  expect(readFileSync(join(from, 'a/b/main.tf'), 'utf8')).toBe('uses ../common');
  await build(from, 'a/b');
  expect(readFileSync(join(stack, 'main.tf'), 'utf8')).toBe('uses ../common');
});

test('another commit replaces its files and links; what the tool made stays', async () => {
  const stack = await build(
    source('one', { 'a/main.tf': '1 ../lib', 'a/gone/old.tf': 'x', 'lib/x': '1', 'dropped/y': '1' }),
    'a',
  );
  mkdirSync(join(stack, '.terraform'));
  writeFileSync(join(stack, 'terraform.tfstate'), 'made by the tool');
  await build(
    source('two', { 'a/main.tf': '2 ../lib', 'lib/x': '2', 'a/terraform.tfstate': 'committed by mistake' }),
    'a',
  );
  expect(readFileSync(join(stack, 'main.tf'), 'utf8')).toBe('2 ../lib');
  expect(existsSync(join(stack, 'gone/old.tf'))).toBe(false);
  expect(readFileSync(join(stack, '../lib/x'), 'utf8')).toBe('2');
  expect(existsSync(join(stack, '../dropped'))).toBe(false);
  expect(existsSync(join(stack, '.terraform'))).toBe(true);
  expect(readFileSync(join(stack, 'terraform.tfstate'), 'utf8')).toBe('made by the tool');
});

test('siblings are linked only when something may look for them', async () => {
  const stack = await build(source('one', { 'a/main.tf': 'uses ../lib', 'lib/x': '1' }), 'a');
  expect(existsSync(join(stack, '../lib/x'))).toBe(true);
  const alone = source('two', { 'a/main.tf': 'alone', 'lib/x': '1' });
  await build(alone, 'a');
  expect(existsSync(join(stack, '../lib'))).toBe(false);
  await buildWorkTree({ sourceDirectory: alone, path: 'a', workDirectory: join(root, 'work') }, { beside: true });
  expect(existsSync(join(stack, '../lib/x'))).toBe(true);
});

test('an unchanged tree is left alone', async () => {
  const from = source('one', { 'a/main.tf': '1' });
  const stack = await build(from, 'a');
  const before = statSync(join(stack, 'main.tf')).ino;
  await build(from, 'a');
  expect(statSync(join(stack, 'main.tf')).ino).toBe(before);
});

test('links inside the source work, links out of it are refused by name', async () => {
  const from = source('one', { 'a/main.tf': '1', 'lib/common.tf': 'c' });
  symlinkSync('../lib/common.tf', join(from, 'a/common.tf'));
  symlinkSync('main.tf', join(from, 'a/also.tf'));
  const stack = await build(from, 'a');
  expect(readFileSync(join(stack, 'common.tf'), 'utf8')).toBe('c');
  expect(readFileSync(join(stack, 'also.tf'), 'utf8')).toBe('1');
  symlinkSync('/etc/passwd', join(from, 'a/evil'));
  rmSync(join(root, 'work'), { recursive: true });
  await expect(build(from, 'a')).rejects.toMatchObject({
    class: 'definition',
    message: 'the link "a/evil" leads out of the source',
  });
});

test('paths out of the source are refused, whatever way they take', async () => {
  const from = source('one', { 'a/main.tf': '1' });
  source('other', { 'main.tf': '1' });
  symlinkSync(join(root, 'other'), join(from, 'out'));
  await expect(build(from, '../other')).rejects.toMatchObject({
    class: 'definition',
    message: 'path "../other" leads out of the source',
  });
  await expect(build(from, 'out')).rejects.toMatchObject({ class: 'definition' });
  await expect(build(from, 'a/missing')).rejects.toMatchObject({ message: 'the source has no directory "a/missing"' });
});

test('a link in the way of a copied file is removed, not followed', async () => {
  const first = source('links-1', { 'a/main.tf': '# one', 'a/sub/authorized_keys': 'first' });
  await build(first, 'a');
  const outside = join(root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'authorized_keys'), 'theirs');
  const stack = join(root, 'work', 'tree', 'a');
  rmSync(join(stack, 'sub'), { recursive: true });
  symlinkSync(outside, join(stack, 'sub'));
  await build(source('links-2', { 'a/main.tf': '# two', 'a/sub/authorized_keys': 'second' }), 'a');
  expect(readFileSync(join(outside, 'authorized_keys'), 'utf8')).toBe('theirs');
  expect(readFileSync(join(stack, 'sub', 'authorized_keys'), 'utf8')).toBe('second');
  // Nor where the whole stack has been replaced, or what is to be removed lies behind a link.
  rmSync(join(root, 'work', 'tree'), { recursive: true });
  symlinkSync(outside, join(root, 'work', 'tree'));
  await build(source('links-3', { 'a/main.tf': '# three' }), 'a');
  expect(readdirSync(outside)).toEqual(['authorized_keys']);
  expect(readFileSync(join(stack, 'main.tf'), 'utf8')).toBe('# three');
});
