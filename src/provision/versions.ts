import { WindlassError } from '../model/index.ts';

/** `1.12.6` -> [1, 12, 6]; what follows a dash or plus is left out. */
function parts(version: string): number[] {
  return version
    .replace(/^v/, '')
    .split(/[-+]/, 1)
    .join('')
    .split('.')
    .map((part) => Number.parseInt(part, 10) || 0);
}

export function isAtLeast(version: string, minimum: string): boolean {
  const found = parts(version);
  for (const [i, wanted] of parts(minimum).entries()) {
    const difference = (found[i] ?? 0) - wanted;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** `1.12` is met by every 1.12.x, `1.12.6` by that one alone. */
export function satisfies(version: string, wanted: string): boolean {
  const found = parts(version);
  return parts(wanted).every((part, i) => found[i] === part) && wanted.includes('-') === version.includes('-');
}

/** Checks a wanted version from a template. Throws `invalidInput` when it is a range or nonsense. */
export function parseWanted(wanted: string): string {
  const version = wanted.trim().replace(/^v/, '');
  if (/^\d+(\.\d+){0,2}(-[0-9A-Za-z.]+)?$/.test(version)) return version;
  throw new WindlassError('invalidInput', `${JSON.stringify(wanted)} is not a version`, {
    hint: 'write it as 1.12.6, or 1.12 for any of that line',
    class: 'definition',
  });
}

export const isExact = (version: string): boolean => /^\d+\.\d+\.\d+/.test(version);
