/** Cron expressions of schedules: what croner, crontab and Temporal all read the same way, and nothing else. */
import { Cron } from 'croner';
import { didYouMean, quote } from './text.ts';

const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

interface Field {
  readonly name: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly names: readonly string[];
}
const fields: readonly Field[] = [
  { name: 'minute', minimum: 0, maximum: 59, names: [] },
  { name: 'hour', minimum: 0, maximum: 23, names: [] },
  { name: 'day of month', minimum: 1, maximum: 31, names: [] },
  { name: 'month', minimum: 1, maximum: 12, names: months },
  { name: 'day of week', minimum: 0, maximum: 7, names: weekdays },
];

/** Why this is not a schedule, as a sentence without a name in front; null when it is one. */
export function cronProblem(cron: string): string | null {
  const say = (why: string): string => `${quote(cron)} is not a cron expression: ${why}`;
  if (cron.length > 100) return say('it is longer than 100 characters');
  const parts = cron.trim().split(/[ \t]+/);
  if (cron.trim().startsWith('@'))
    return say(`write the five fields instead, such as "0 2 * * *" for every day at 02:00`);
  if (parts.length !== 5) {
    const count = cron.trim() === '' ? 0 : parts.length;
    return say(
      `it has ${count} ${count === 1 ? 'field' : 'fields'}, not 5 (minute hour day-of-month month day-of-week)`,
    );
  }
  for (const [i, field] of fields.entries()) {
    const problem = fieldProblem(parts[i] ?? '', field);
    if (problem !== null) return say(problem);
  }
  if (parts[2] !== '*' && parts[4] !== '*') {
    return say(
      'a day of month and a day of week together mean "either" to some schedulers and "both" to others; leave one of them *, or use two schedules',
    );
  }
  const next = readCron(cron, 'UTC').nextRun(new Date(0));
  return next === null ? say('no such day exists, so it would never fire') : null;
}

function fieldProblem(text: string, field: Field): string | null {
  for (const part of text.split(',')) {
    const match = /^(?:(\*)|([A-Za-z]+|\d{1,4})(?:-([A-Za-z]+|\d{1,4}))?)(?:\/(\d{1,4}))?$/.exec(part);
    if (match === null) return `${quote(part)} is no ${field.name}`;
    const [, star, from, to, step] = match;
    const low = from === undefined ? field.minimum : valueOf(from, field);
    const high = to === undefined ? low : valueOf(to, field);
    for (const [value, written] of [
      [low, from],
      [high, to],
    ] as const) {
      if (written !== undefined && (value === null || value < field.minimum || value > field.maximum)) {
        return `${quote(written)} is no ${field.name} (${field.minimum}-${field.maximum})`;
      }
    }
    if (low !== null && high !== null && high < low) return `the ${field.name} ${quote(part)} runs backwards`;
    if (step === undefined) continue;
    if (Number(step) < 1) return `the step of the ${field.name} ${quote(part)} is 0`;
    if (Number(step) > field.maximum)
      return `the step of the ${field.name} ${quote(part)} is larger than ${field.maximum}`;
    if (star === undefined && to === undefined) {
      return `${quote(part)} is read in different ways; write the range, such as "${from}-${field.maximum}/${step}"`;
    }
  }
  return null;
}

function valueOf(text: string, field: Field): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  const name = field.names.indexOf(text.toUpperCase());
  return name === -1 ? null : name + (field.names === months ? 1 : 0);
}

/** Why this is not a time zone; null when it is an IANA name. */
export function timezoneProblem(timezone: string): string | null {
  // Intl also takes offsets such as +02:00, which Temporal does not.
  if (/^[A-Za-z][A-Za-z0-9_+/-]{0,59}$/.test(timezone) && isKnownToIntl(timezone)) return null;
  const guess = didYouMean(timezone, ['UTC', ...Intl.supportedValuesOf('timeZone')]);
  return `${quote(timezone)} is not a time zone${guess || '; write an IANA name such as "Europe/Berlin" or "UTC"'}`;
}

function isKnownToIntl(timezone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone });
    return true;
  } catch {
    return false;
  }
}

/**
 * The next times (epoch milliseconds) after `fromMs`. As Temporal has it, a time that the clock change of spring leaves
 * out does not fire, and one that the change of autumn repeats fires twice. Throws nothing for a checked expression.
 */
export function nextRuns(cron: string, timezone: string, fromMs: number, count: number): number[] {
  const job = readCron(cron, timezone);
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  const found = new Set<number>();
  // Croner moves a left-out time to the next one that exists; only times on the clock that the expression names count.
  const onTheClock = (ms: number): boolean => job.match(new Date(ms));
  let after = fromMs - 2 * 3_600_000;
  for (let guard = 0; guard < count * 4 + 16 && found.size < count + 2; guard++) {
    const next = job.nextRun(new Date(after));
    if (next === null) break;
    after = next.getTime();
    for (const shiftMs of [0, 1_800_000, 3_600_000]) {
      const ms = after + shiftMs;
      if (ms <= fromMs || !onTheClock(ms)) continue;
      if (shiftMs === 0 || clock.format(ms) === clock.format(after)) found.add(ms);
    }
  }
  return [...found].sort((a, b) => a - b).slice(0, count);
}

function readCron(cron: string, timezone: string): Cron {
  return new Cron(cron.trim(), { timezone, paused: true, mode: '5-part' });
}
