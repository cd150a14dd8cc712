import type { Ttl } from '../../model/index.ts';
import { usageError } from '../exit.ts';

/** `8h`, `3d`, a bare number of hours. */
export function readHours(text: string): number {
  const match = /^(\d{1,6}(?:\.\d+)?)\s*(h|d|w)?$/.exec(text);
  const hours = match ? Number(match[1]) * (match[2] === 'w' ? 168 : match[2] === 'd' ? 24 : 1) : 0;
  if (hours > 0) return hours;
  throw usageError(`"${text}" is no time`, 'expected hours such as 8h, or days such as 3d');
}

export function readTtl(text: string): Ttl {
  if (text === 'unlimited' || text === 'never') return { kind: 'unlimited' };
  if (/^\d{1,6}(\.\d+)?\s*[hdw]?$/.test(text)) return { kind: 'hours', hours: readHours(text) };
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw usageError(`"${text}" is no time`, 'expected 8h, 3d, a moment such as 2026-12-24T18:00:00Z, or unlimited');
  return { kind: 'date', at: new Date(at).toISOString() };
}
