import { existsSync, mkdirSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, commit, fresh, git, gitSource, localSource, makeRepository, setup } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

const hourMs = 3_600_000;
const longAgo = new Date(Date.now() - 2 * hourMs);
const leaveUnused = (checkout: string): void => utimesSync(`${checkout}.json`, longAgo, longAgo);

test('removes commits that were not used lately, of which each can be made again', async () => {
  const repository = makeRepository({ a: '1', 'part/b': '1' });
  const first = git(repository, 'rev-parse', 'HEAD');
  const second = commit(repository, { a: '2' });
  const { sources, cacheDirectory } = setup();
  const source = gitSource(repository);
  const old = await sources.checkout(source, first);
  const part = await sources.checkout(source, first, { sparsePath: 'part' });
  const recent = await sources.checkout(source, second);
  for (const path of [old, part]) leaveUnused(path);
  const report = await sources.prune({ unusedForMs: hourMs });
  expect(report.removed).toBe(2);
  expect(report.freedBytes).toBeGreaterThan(0);
  expect([old, part, recent].map((path) => existsSync(path))).toEqual([false, false, true]);
  expect(existsSync(`${old}.json`)).toBe(false);
  expect(readdirSync(join(cacheDirectory, 'tmp'))).toEqual([]);
  expect(readFileSync(join(await sources.checkout(source, first), 'a'), 'utf8')).toBe('1');
  expect(await sources.prune({ unusedForMs: hourMs })).toEqual({ removed: 0, freedBytes: 0 });
});

test('each use begins the time anew', async () => {
  const repository = makeRepository({ a: '1' });
  const { sources } = setup();
  const hash = git(repository, 'rev-parse', 'HEAD');
  const root = await sources.checkout(gitSource(repository), hash);
  leaveUnused(root);
  await sources.checkout(gitSource(repository), hash);
  expect((await sources.prune({ unusedForMs: hourMs })).removed).toBe(0);
  expect(existsSync(root)).toBe(true);
});

test('leaves copies of local directories, which may be the only ones, and repositories', async () => {
  const directory = fresh('project');
  writeFileSync(join(directory, 'a'), '1');
  const repository = makeRepository({ a: '1' });
  const { sources, cacheDirectory } = setup();
  const local = localSource(directory);
  const { commit: pinned } = await sources.resolve(local);
  const copy = await sources.checkout(local, pinned);
  leaveUnused(copy);
  leaveUnused(await sources.checkout(gitSource(repository), git(repository, 'rev-parse', 'HEAD')));
  writeFileSync(join(directory, 'a'), '2');
  expect((await sources.prune({ unusedForMs: hourMs })).removed).toBe(1);
  expect(readFileSync(join(await sources.checkout(local, pinned), 'a'), 'utf8')).toBe('1');
  expect(readdirSync(join(cacheDirectory, 'repositories'))).toHaveLength(1);
});

test('clears away what a process that died has left half made', async () => {
  const { sources, cacheDirectory } = setup();
  const half = join(cacheDirectory, 'tmp', 'make-x');
  const young = join(cacheDirectory, 'tmp', 'make-y');
  for (const path of [half, young]) mkdirSync(path, { recursive: true });
  utimesSync(half, longAgo, longAgo);
  await sources.prune({ unusedForMs: hourMs });
  expect([half, young].map((path) => existsSync(path))).toEqual([false, true]);
});
