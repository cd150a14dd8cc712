import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { GitSource, LocalSource } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { toolPath } from '../../test/support/tools.ts';
import { createSources } from './index.ts';
import type { SourcesOptions } from './index.ts';

export const gitPath = toolPath('git');
/** Everything of one test file; removed with `cleanUp`. */
export const scratch = mkdtempSync(join(tmpdir(), 'windlass-sources-'));
let counter = 0;

export function cleanUp(): void {
  execFileSync('chmod', ['-R', 'u+w', scratch]);
  rmSync(scratch, { recursive: true, force: true });
}

export function fresh(name: string): string {
  const directory = join(scratch, `${name}-${counter++}`);
  mkdirSync(directory);
  return directory;
}

export function git(cwd: string, ...args: string[]): string {
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

export function write(root: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

/** A repository with one commit of these files. */
export function makeRepository(files: Record<string, string>): string {
  const repository = fresh('repository');
  git(repository, 'init', '--quiet');
  return commit(repository, files) && repository;
}

export function commit(repository: string, files: Record<string, string>): string {
  write(repository, files);
  git(repository, 'add', '--all');
  git(repository, 'commit', '--quiet', '--allow-empty', '-m', 'change');
  return git(repository, 'rev-parse', 'HEAD');
}

export function setup(options: Partial<SourcesOptions> = {}) {
  const cacheDirectory = options.cacheDirectory ?? fresh('cache');
  return { cacheDirectory, sources: createSources({ gitPath, ...options, cacheDirectory }) };
}

export const gitSource = (repository: string, revision?: string): GitSource => ({
  kind: 'git',
  repository,
  revision,
  path: '.',
});
export const localSource = (directory: string): LocalSource => ({ kind: 'local', directory, path: '.' });

export async function failure(work: Promise<unknown>): Promise<WindlassError> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof WindlassError) return thrown;
    throw thrown;
  }
  throw new Error('it did not fail');
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

export function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

export function filesWith(text: string, directory: string): string {
  try {
    return execFileSync('grep', ['-r', '-l', '-a', '-F', text, directory], { encoding: 'utf8' });
  } catch {
    return '';
  }
}
