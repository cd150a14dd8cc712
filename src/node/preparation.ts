import type { StopReason } from '../process/index.ts';

/** The part of a call before its tool may change anything. */
export interface Preparation {
  readonly active: boolean;
  /** From here on a cancel lets the tool finish. */
  over(): void;
}

/** Quicker preparations ask nothing. */
const askEveryMs = 2000;

/**
 * A cancel lets a tool that changes something come to its end, so the workflow does not interrupt the call. What only
 * prepares itself, such as a clone, a tool that is being built or a plan, ends as soon as the run is recorded as stopping.
 */
export function watchPreparation(
  stopReason: () => Promise<StopReason | null>,
  stop: (reason: StopReason) => void,
): Preparation {
  let preparing = true;
  const timer = setInterval(() => {
    stopReason().then(
      (reason) => {
        if (reason !== null && preparing) stop(reason);
      },
      () => undefined,
    );
  }, askEveryMs);
  return {
    get active() {
      return preparing;
    },
    over() {
      preparing = false;
      clearInterval(timer);
    },
  };
}
