/** Durations as people write them. */
import { quote } from './text.ts';

const unitSeconds = { d: 86_400, h: 3600, m: 60, s: 1 } as const;
type Unit = keyof typeof unitSeconds;
const units: readonly Unit[] = ['d', 'h', 'm', 's'];

export type ParsedDuration =
  { readonly seconds: number; readonly problem: null } | { readonly seconds: null; readonly problem: string };

/** `90s`, `10m`, `2h`, `1d` or such parts after each other, from the largest unit down: `1h30m`. Never more than ten years. */
export function parseDuration(text: string): ParsedDuration {
  const bad = (why: string): ParsedDuration => ({ seconds: null, problem: `${quote(text)} is not a duration: ${why}` });
  const trimmed = text.trim();
  if (trimmed === '') return bad('write one such as 30s, 10m, 2h or 1d');
  if (/^\d+$/.test(trimmed)) return bad(`add a unit, such as ${trimmed}s or ${trimmed}m`);
  if (!/^(\d{1,9}[a-zA-Z]+)+$/.test(trimmed)) return bad('write whole numbers with a unit, such as 30s, 10m, 2h or 1d');
  let seconds = 0;
  let smallest = -1;
  for (const [, digits = '', letters = ''] of trimmed.matchAll(/(\d+)([a-zA-Z]+)/g)) {
    const unit = units.findIndex((known) => known === letters);
    if (unit === -1) return bad(`the unit ${quote(letters)} is not one of s, m, h and d`);
    if (unit <= smallest) return bad('write each unit once, from the largest to the smallest, such as 1h30m');
    smallest = unit;
    seconds += Number(digits) * unitSeconds[units[unit] ?? 's'];
  }
  if (seconds > 10 * 366 * unitSeconds.d) return bad('it is longer than ten years');
  return { seconds, problem: null };
}

/** `1d 2h`, `10m`, `45s`: the two largest units that matter. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  let left = whole;
  for (const unit of units) {
    const count = Math.floor(left / unitSeconds[unit]);
    left -= count * unitSeconds[unit];
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}
