import type { ChangeCounts } from '../../model/index.ts';

/** `1.1 s`, `41 s`, `2 min 10 s`, `3 h 5 min`, `13 d 23 h`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return joinUnits(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return joinUnits(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.floor(minutes / 60);
  return joinUnits(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function joinUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** `now`, `3 min ago`, `in 13 d 23 h`. Coarse: one unit for what is past. */
export function formatRelative(iso: string | null, nowMs: number): string {
  if (iso === null) return '-';
  const difference = Date.parse(iso) - nowMs;
  if (Number.isNaN(difference)) return iso;
  if (difference > 1_500) return `in ${formatDuration(difference)}`;
  const seconds = Math.round(-difference / 1000);
  if (seconds < 2) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** `+3 ~0 -1`. */
export function formatCounts(counts: ChangeCounts | null): string {
  return counts ? `+${counts.add} ~${counts.change} -${counts.destroy}` : '';
}

/** `1 to add, 2 to change, 1 to destroy`; only what there is. */
export function describeCounts(counts: ChangeCounts): string {
  const parts = [
    counts.add > 0 ? `${counts.add} to add` : '',
    counts.change > 0 ? `${counts.change} to change` : '',
    counts.destroy > 0 ? `${counts.destroy} to destroy` : '',
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'nothing to change';
}

/** `1 node`, `2 nodes`, `1,940 nodes`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}

export function formatNumber(value: number): string {
  return value.toLocaleString('en-US');
}

/** `a, b and 3 more`. */
export function someOf(items: readonly string[], atMost: number): string {
  if (items.length <= atMost + 1) return items.join(', ');
  return `${items.slice(0, atMost).join(', ')} and ${formatNumber(items.length - atMost)} more`;
}

/** `512 B`, `1.4 kB`, `20.0 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** An argument as a POSIX shell takes it, so that printed commands can be pasted. */
export function shellQuote(argument: string): string {
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(argument) && !argument.startsWith('-')
    ? argument
    : `'${argument.replaceAll("'", `'\\''`)}'`;
}
