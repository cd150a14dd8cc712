import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, commit, git, gitSource, makeRepository, setup } from './testing.ts';

// git starts many processes, and the machine may be busy
jest.setTimeout(60_000);
afterAll(cleanUp);

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
