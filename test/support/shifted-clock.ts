/** The clock of this test file: what `Date` tells, and with it everything that asks it, the embedded database too. */
export interface ShiftedClock {
  /** The time is this now, and goes on from here. */
  set(nowMs: number): void;
  restore(): void;
}

/** Timers and `performance.now()` go on as they are: they only measure. */
export function shiftClock(): ShiftedClock {
  const RealDate = Date;
  let aheadMs = 0;
  const now = (): number => RealDate.now() + aheadMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
  return {
    set(nowMs) {
      aheadMs = nowMs - RealDate.now();
    },
    restore() {
      globalThis.Date = RealDate;
    },
  };
}
