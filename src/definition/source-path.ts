/** Paths in files: always relative, with slashes, and inside the source. */
import { posix } from 'node:path';
import { quote } from './text.ts';

export type CheckedPath =
  { readonly path: string; readonly problem: null } | { readonly path: null; readonly problem: string };

/**
 * A path without `.` and `..` in it. `base` is the directory it starts from, inside the source; what is answered stays
 * relative to `base`, and may only go up as far as the source's root.
 */
export function checkSourcePath(path: string, base = '.'): CheckedPath {
  const bad = (why: string): CheckedPath => ({ path: null, problem: `the path ${quote(path)} ${why}` });
  if (path.includes('\0')) return bad('holds a NUL character');
  if (path.includes('\\')) return bad('holds a backslash; write / between directories');
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path) || path.startsWith('~'))
    return bad('has to be relative to its source, not absolute');
  if (path.length > 1000) return bad('is longer than 1000 characters');
  const normal = posix.normalize(path === '' ? '.' : path).replace(/\/+$/, '') || '.';
  const fromRoot = posix.join(posix.normalize(base), normal);
  if (fromRoot === '..' || fromRoot.startsWith('../')) return bad('leads out of its source');
  if (fromRoot.split('/').includes('.git')) return bad('leads into .git');
  return { path: normal, problem: null };
}

/** Why this cannot be the address of a repository; null when it can. The address itself may hold a token and is not repeated. */
export function repositoryProblem(repository: string): string | null {
  if (/[\s\u0000-\u001f\u007f]/.test(repository))
    return 'the address of the repository holds a space or control character';
  if (repository.startsWith('-')) return 'the address of the repository begins with "-"';
  if (/^[a-z][a-z0-9+.-]*::/i.test(repository))
    return 'the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path';
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repository)?.[1];
  if (scheme !== undefined && !/^(https?|ssh)$/i.test(scheme))
    return `the address of the repository uses ${scheme}://, which is not allowed; use https, ssh or an absolute path`;
  if (scheme !== undefined) return null;
  if (/^[\w.-]+@[\w.-]+:[^:]/.test(repository)) return null;
  if (repository.startsWith('/')) return null;
  if (/^[\w-]+(\.[\w-]+)+\//.test(repository))
    return 'the address of the repository has no protocol; begin it with https:// or ssh://';
  return 'the address of the repository has to be https://…, ssh://…, user@host:path or an absolute path';
}
