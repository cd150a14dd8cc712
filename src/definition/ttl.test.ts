import fc from 'fast-check';
import { expiryAfterDeploy, nextTtlMoment, ttlProblem, ttlWarningsMs, warningsStillGiven } from './ttl.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const now = Date.parse('2026-03-01T12:00:00Z');

describe('when an environment ends', () => {
  it('never, when nobody says otherwise', () => {
    expect(expiryAfterDeploy(undefined, now)).toBeNull();
    expect(expiryAfterDeploy({ kind: 'unlimited' }, now, { defaultTtl: { kind: 'hours', hours: 1 } })).toBeNull();
  });

  it('after hours, at a date, or by default', () => {
    expect(expiryAfterDeploy({ kind: 'hours', hours: 36 }, now)).toBe(now + 36 * hourMs);
    expect(expiryAfterDeploy({ kind: 'date', at: '2026-03-02T02:00:00+02:00' }, now)).toBe(
      Date.parse('2026-03-02T00:00:00Z'),
    );
    expect(expiryAfterDeploy(undefined, now, { defaultTtl: { kind: 'hours', hours: 12 } })).toBe(now + 12 * hourMs);
  });

  it('never later than the maximum, counted from the deploy', () => {
    const limits = { maximumTtlHours: 24 };
    for (const ttl of [
      { kind: 'unlimited' },
      { kind: 'hours', hours: 25 },
      { kind: 'date', at: '2027-01-01T00:00:00Z' },
    ] as const) {
      expect(expiryAfterDeploy(ttl, now, limits)).toBe(now + dayMs);
    }
    expect(expiryAfterDeploy({ kind: 'hours', hours: 2 }, now, limits)).toBe(now + 2 * hourMs);
  });

  it('refuses what cannot be, with the reason', () => {
    expect(ttlProblem({ kind: 'hours', hours: 3 }, now, { maximumTtlHours: 4 })).toBeNull();
    expect(ttlProblem({ kind: 'hours', hours: 5 }, now, { maximumTtlHours: 4 })).toBe(
      'the time to live is longer than the maximum of 4 hours',
    );
    expect(ttlProblem({ kind: 'unlimited' }, now, { maximumTtlHours: 4 })).toBe(
      'an unlimited time to live is not allowed here; the maximum is 4 hours',
    );
    expect(ttlProblem({ kind: 'date', at: '2026-02-01T00:00:00Z' }, now)).toBe(
      'the time to live ended at 2026-02-01T00:00:00.000Z; give a later one',
    );
  });
});

/** Lives a life: follows every moment until the destroy, with a delay before each answer. */
function live(options: { readonly lifeMs: number; readonly delays?: readonly number[] }): {
  warnings: number[];
  destroyedLateMs: number;
} {
  let nowMs = now;
  let warnedMs: readonly number[] = [];
  const expiresAtMs = now + options.lifeMs;
  const warnings: number[] = [];
  for (let step = 0; step < 50; step++) {
    nowMs += options.delays?.[step % options.delays.length] ?? 0;
    const moment = nextTtlMoment(nowMs, expiresAtMs, warnedMs);
    if (moment.kind === 'destroy') return { warnings, destroyedLateMs: nowMs - expiresAtMs };
    if (moment.kind === 'warn') {
      warnings.push(moment.remainingMs);
      warnedMs = moment.warnedMs;
    } else {
      expect(moment.untilMs).toBeGreaterThan(nowMs);
      nowMs = moment.untilMs;
    }
  }
  throw new Error('it never ended');
}

describe('warnings', () => {
  it('come two days, two hours and half an hour before the end of a long life', () => {
    expect(live({ lifeMs: 90 * dayMs })).toEqual({
      warnings: [2 * dayMs, 2 * hourMs, 30 * minuteMs],
      destroyedLateMs: 0,
    });
  });

  it('of a short life are only the nearest one, and what still lies ahead', () => {
    expect(live({ lifeMs: dayMs }).warnings).toEqual([dayMs, 2 * hourMs, 30 * minuteMs]);
    expect(live({ lifeMs: hourMs }).warnings).toEqual([hourMs, 30 * minuteMs]);
    expect(live({ lifeMs: 10 * minuteMs }).warnings).toEqual([10 * minuteMs]);
  });

  it('missed while the server was away are not made up for one by one', () => {
    const awayMs = 3 * dayMs - hourMs;
    expect(live({ lifeMs: 3 * dayMs, delays: [awayMs, 0, 0, 0, 0, 0] }).warnings).toEqual([hourMs, 30 * minuteMs]);
  });

  it('never come more than once each, come closer and closer, and the destroy never comes early', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 * dayMs }),
        fc.array(fc.integer({ min: 0, max: 3 * dayMs }), { minLength: 1, maxLength: 8 }),
        (lifeMs, delays) => {
          const { warnings, destroyedLateMs } = live({ lifeMs, delays });
          expect(warnings.length).toBeLessThanOrEqual(ttlWarningsMs.length);
          expect([...warnings].sort((a, b) => b - a)).toEqual(warnings);
          expect(destroyedLateMs).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });

  it('that lie ahead again after an extension are given again, and no others', () => {
    const given = [2 * dayMs, 2 * hourMs];
    const extended = now + dayMs;
    const kept = warningsStillGiven(given, now, extended);
    expect(kept).toEqual([2 * dayMs]);
    expect(nextTtlMoment(now, extended, kept)).toEqual({ kind: 'wait', untilMs: extended - 2 * hourMs });
    expect(nextTtlMoment(extended - 2 * hourMs, extended, kept)).toMatchObject({
      kind: 'warn',
      warnedMs: [2 * dayMs, 2 * hourMs],
    });
  });
});
