/** What is being done to get a tool. `ready` comes once, last; a failure is thrown instead. */
export type ToolPhase = 'looking' | 'waiting' | 'downloading' | 'unpacking' | 'building' | 'starting' | 'ready';

export interface ToolProgress {
  /** Name for people, such as `OpenTofu`. */
  readonly tool: string;
  readonly phase: ToolPhase;
  /** Since the search for this tool began. */
  readonly elapsedMs: number;
  /** Such as `12 of 44 MB`; with `ready` how it was had: its path, `cached`, `downloaded` or `built`. */
  readonly detail: string;
  /** The one that is wanted, then the one that was found. */
  readonly version?: string | undefined;
}

export type OnToolProgress = (progress: ToolProgress) => void;

/** Tells one tool's progress; the time is added here. */
export type Report = (phase: ToolPhase, detail: string, version?: string) => void;

export function reporter(tool: string, wanted: string | undefined, onProgress: OnToolProgress): Report {
  const startedMs = performance.now();
  return (phase, detail, version = wanted) => {
    onProgress({ tool, phase, elapsedMs: Math.round(performance.now() - startedMs), detail, version });
  };
}

/** Phases of a tool that is on the machine already. */
const quick: ReadonlySet<ToolPhase> = new Set(['looking', 'starting', 'ready']);

/** `getting OpenTofu 1.12.6: building, 2 min 10 s of about 5`; null when nothing has to be got. */
export function sentenceOf({ tool, version, phase, detail, elapsedMs }: ToolProgress): string | null {
  if (quick.has(phase)) return null;
  const seconds = Math.round(elapsedMs / 1000);
  const time = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const name = [tool, version].filter(Boolean).join(' ');
  if (phase === 'building') return `getting ${name}: building, ${time} of ${detail}`;
  return `getting ${name}: ${phase} ${detail}, ${time}`;
}

/** Repeats the phase each second while `work` runs, so that a long step never looks stuck. */
export async function reportWhile<T>(report: () => void, work: Promise<T>): Promise<T> {
  report();
  const timer = setInterval(report, 1_000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
