import { execFileSync } from 'node:child_process';
import { toolPath } from './tools.ts';

/** Runs git with an identity of its own and without the configuration of the user. Answers what it prints. */
export function git(directory: string, ...args: string[]): string {
  const identity = { NAME: 'Test', EMAIL: 'test@example.org' };
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: directory, GIT_CONFIG_NOSYSTEM: '1' };
  for (const [key, value] of Object.entries(identity)) {
    env[`GIT_AUTHOR_${key}`] = value;
    env[`GIT_COMMITTER_${key}`] = value;
  }
  return execFileSync(toolPath('git'), ['-c', 'init.defaultBranch=main', ...args], {
    cwd: directory,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

/** Commits everything in the directory, as a repository that is made when there is none, and answers the commit. */
export function commitAll(directory: string, message = 'change'): string {
  git(directory, 'init', '--quiet');
  git(directory, 'add', '--all');
  git(directory, 'commit', '--quiet', '--allow-empty', '-m', message);
  return git(directory, 'rev-parse', 'HEAD');
}
