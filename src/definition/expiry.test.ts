import fc from 'fast-check';
import type { Expiry } from './expiry.ts';
import {
  destroyEnded,
  destroyRefused,
  destroyRetryMs,
  destroyScheduled,
  destroyToWithdraw,
  destroyWithdrawn,
  expiryMoved,
  expiryStep,
  expiryUnblocked,
  restoredExpiry,
  savedExpiry,
} from './expiry.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const now = Date.parse('2026-03-01T12:00:00Z');

const endingAt = (expiresAtMs: number | null): Expiry => expiryMoved(restoredExpiry(), expiresAtMs, now);
/** The state once the destroy of an end that is due was asked for. */
function asked(expiry: Expiry, nowMs: number): Expiry {
  const step = expiryStep(expiry, nowMs);
  if (step.kind !== 'destroy') throw new Error(`expected a destroy, not ${step.kind}`);
  return step.next;
}

describe('the end of an environment', () => {
  it('that has none asks for nothing', () => {
    expect(expiryStep(endingAt(null), now)).toEqual({ kind: 'idle' });
  });

  it('is waited for, and its destroy is asked for when it is due', () => {
    const expiry = endingAt(now + 10 * minuteMs);
    const warned = expiryStep(expiry, now);
    expect(warned).toMatchObject({ kind: 'warn', remainingMs: 10 * minuteMs });
    if (warned.kind !== 'warn') return;
    expect(expiryStep(warned.next, now)).toEqual({ kind: 'wait', forMs: 10 * minuteMs });
    expect(expiryStep(warned.next, now + 10 * minuteMs)).toMatchObject({ kind: 'destroy', told: false });
  });

  it('waits as long as its destroy is queued or runs, and asks again an hour after that has come to nothing', () => {
    const scheduled = destroyScheduled(asked(endingAt(now), now), 'dep_1');
    expect(expiryStep(scheduled, now + 5 * hourMs)).toEqual({ kind: 'idle' });
    expect(destroyEnded(scheduled, 'dep_2', now)).toBe(scheduled);
    const ended = destroyEnded(scheduled, 'dep_1', now + minuteMs);
    expect(expiryStep(ended, now + minuteMs)).toEqual({ kind: 'wait', forMs: destroyRetryMs });
    expect(expiryStep(ended, now + minuteMs + destroyRetryMs)).toMatchObject({ kind: 'destroy' });
  });

  it('that is refused stays due, is said once, and is asked for again when what refused it is gone', () => {
    const refused = destroyRefused(asked(endingAt(now), now), now);
    expect(expiryStep(refused, now + 1)).toEqual({ kind: 'wait', forMs: destroyRetryMs - 1 });
    expect(expiryStep(expiryUnblocked(refused), now + 1)).toMatchObject({ kind: 'destroy', told: true });
    const moved = expiryMoved(refused, now + 1, now);
    expect(expiryStep(moved, now + 1)).toMatchObject({ kind: 'destroy', told: false });
  });

  it('that is moved ahead takes its destroy out of the queue, and the new one is asked for when it is due', () => {
    const scheduled = destroyScheduled(asked(endingAt(now), now), 'dep_1');
    expect(destroyToWithdraw(scheduled, now)).toBeNull();
    for (const later of [now + 5 * minuteMs, null]) {
      const moved = expiryMoved(scheduled, later, now);
      expect(destroyToWithdraw(moved, now)).toBe('dep_1');
      const withdrawn = destroyWithdrawn(moved, 'dep_1');
      expect(destroyToWithdraw(withdrawn, now)).toBeNull();
      if (later !== null) expect(expiryStep(withdrawn, later)).toMatchObject({ kind: 'destroy' });
    }
  });

  it('is the same after a continue-as-new', () => {
    const expiry = destroyRefused(endingAt(now + dayMs), now);
    expect(restoredExpiry(savedExpiry(expiry))).toEqual(expiry);
  });
});

type Said =
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'move'; readonly inMs: number | null }
  | { readonly kind: 'unblock' }
  | { readonly kind: 'endOfDestroy' };

const said: fc.Arbitrary<Said> = fc.oneof(
  fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 3 * dayMs }) }),
  fc.record({
    kind: fc.constant('move' as const),
    inMs: fc.option(fc.integer({ min: -hourMs, max: 5 * dayMs }), { nil: null }),
  }),
  fc.constant({ kind: 'unblock' as const }),
  fc.constant({ kind: 'endOfDestroy' as const }),
);

/** Lives through what is said, as the workflow does, and writes down what it did. Every date is another one. */
function live(story: readonly Said[], answer: 'run' | 'refused') {
  let nowMs = now;
  let expiry = restoredExpiry();
  let runs = 0;
  const asks: { date: number; atMs: number; told: boolean }[] = [];
  const warnings: { date: number; warning: number }[] = [];
  const unblocked: number[] = [];
  const ended: number[] = [];
  const settle = (): void => {
    for (let steps = 0; ; steps++) {
      if (steps > 20) throw new Error('it does not come to rest');
      const step = expiryStep(expiry, nowMs);
      if (step.kind === 'idle' || step.kind === 'wait') {
        if (step.kind === 'wait') expect(step.forMs).toBeGreaterThan(0);
        return;
      }
      expiry = step.next;
      if (step.kind === 'warn') {
        warnings.push({ date: step.expiresAtMs, warning: expiry.warnedMs.at(-1) ?? 0 });
        continue;
      }
      asks.push({ date: step.expiresAtMs, atMs: nowMs, told: step.told });
      expiry = answer === 'run' ? destroyScheduled(expiry, `dep_${++runs}`) : destroyRefused(expiry, step.expiresAtMs);
    }
  };
  for (const one of story) {
    switch (one.kind) {
      case 'pass':
        nowMs += one.ms;
        break;
      case 'move': {
        nowMs += 1;
        expiry = expiryMoved(expiry, one.inMs === null ? null : nowMs + one.inMs, nowMs);
        const withdraw = destroyToWithdraw(expiry, nowMs);
        if (withdraw !== null) expiry = destroyWithdrawn(expiry, withdraw);
        break;
      }
      case 'unblock':
        expiry = expiryUnblocked(expiry);
        unblocked.push(nowMs);
        break;
      case 'endOfDestroy':
        if (expiry.destroy.kind === 'scheduled') {
          expiry = destroyEnded(expiry, expiry.destroy.deploymentId, nowMs);
          ended.push(nowMs);
        }
    }
    settle();
  }
  /** Whether there is a moment between two times a destroy was asked for. */
  const between = (moments: readonly number[], one: { atMs: number }, other: { atMs: number }): boolean =>
    moments.some((atMs) => atMs >= one.atMs && atMs <= other.atMs);
  const afterAWhile = (one: { atMs: number }, other: { atMs: number }): boolean =>
    other.atMs - one.atMs >= destroyRetryMs || between(unblocked, one, other);
  return {
    asks,
    warnings,
    expiry,
    nowMs,
    afterAWhile,
    afterItsEnd: (one: { atMs: number }, other: { atMs: number }) => between(ended, one, other),
  };
}

describe('whatever is said, in whatever order', () => {
  const stories = fc.array(said, { maxLength: 40 });

  it('a destroy is asked for when its date is due, and a second time only after the first has ended', () => {
    fc.assert(
      fc.property(stories, (story) => {
        const { asks, afterAWhile, afterItsEnd } = live(story, 'run');
        asks.forEach((ask, index) => {
          expect(ask.atMs).toBeGreaterThanOrEqual(ask.date);
          const before = asks.slice(0, index).findLast((other) => other.date === ask.date);
          if (before === undefined) return;
          expect(afterItsEnd(before, ask)).toBe(true);
          expect(afterAWhile(before, ask)).toBe(true);
        });
      }),
    );
  });

  it('one that is refused is asked for again after an hour or when it is unblocked, and told once for each date', () => {
    fc.assert(
      fc.property(stories, (story) => {
        const { asks, afterAWhile } = live(story, 'refused');
        asks.forEach((ask, index) => {
          const before = asks.slice(0, index).findLast((other) => other.date === ask.date);
          expect(ask.told).toBe(before !== undefined);
          if (before !== undefined) expect(afterAWhile(before, ask)).toBe(true);
        });
      }),
    );
  });

  it('the end that was set last is the one that comes', () => {
    fc.assert(
      fc.property(stories, fc.integer({ min: 1, max: 5 * dayMs }), (story, inMs) => {
        const { expiry, nowMs, asks } = live([...story, { kind: 'move', inMs }, { kind: 'pass', ms: inMs }], 'run');
        expect(expiry.expiresAtMs).toBe(nowMs);
        expect(asks.at(-1)).toEqual({ date: nowMs, atMs: nowMs, told: false });
      }),
    );
  });

  it('a warning comes once for each date', () => {
    fc.assert(
      fc.property(stories, (story) => {
        const { warnings } = live(story, 'run');
        const seen = warnings.map(({ date, warning }) => `${date} ${warning}`);
        expect(new Set(seen).size).toBe(seen.length);
      }),
    );
  });
});
