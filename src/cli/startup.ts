import { formatDuration } from './text/format.ts';
import type { Style } from './text/style.ts';
import { oneLine, padEnd, truncateStyled, widthOf } from './text/width.ts';
import type { Output } from './io.ts';
import { createScreen } from './follow/screen.ts';

/** One step of a start, such as getting a tool; the last one of each step has the phase `ready`. */
export interface StartProgress {
  /** Name for people: `Temporal`, `OpenTofu`, `database`. */
  readonly tool: string;
  readonly phase: string;
  readonly elapsedMs: number;
  readonly detail: string;
  readonly version?: string | undefined;
}

export interface RunningServer {
  readonly url: string;
  /** An administrator's key; null when there is one already, and the data directory does not hold it. */
  readonly token: string | null;
  readonly temporalUrl: string | null;
  stop(): Promise<void>;
}

/** Steps that took less were there already and need no time beside them. */
const shownFromMs = 500;

/** Steps as rows with a tick or a spinner, aligned. */
export function renderSteps(steps: readonly StartProgress[], style: Style, frame: number): string[] {
  const names = steps.map((step) => oneLine([step.tool, step.version].filter(Boolean).join(' ')));
  const width = Math.max(18, ...names.map(widthOf));
  return steps.map((step, index) => {
    const ready = step.phase === 'ready';
    const { colors, glyphs } = style;
    const glyph = ready ? colors.green(glyphs.done) : colors.cyan(glyphs.spinner[frame % glyphs.spinner.length] ?? '');
    const time = step.elapsedMs >= shownFromMs ? formatDuration(step.elapsedMs) : '';
    const detail = ready ? oneLine(step.detail) : oneLine([step.phase, step.detail].filter(Boolean).join(', '));
    return `  ${glyph} ${padEnd(names[index] ?? '', width)}  ${[padEnd(detail, time ? 24 : 0), time].filter(Boolean).join('  ')}`.trimEnd();
  });
}

export interface StartReporter {
  readonly onProgress: (progress: StartProgress) => void;
  close(): void;
}

export interface StartReportOptions {
  readonly style: Style;
  /** One JSON object a line instead. */
  readonly json: boolean;
  /** Only what takes long is worth a line: the start is a side matter of the command. */
  readonly brief: boolean;
}

/** Shows a start as it goes: in place on a terminal, one line a phase elsewhere. */
export function reportStart(output: Output, options: StartReportOptions): StartReporter {
  if (options.json) {
    return {
      onProgress: (progress) => output.write(`${JSON.stringify({ type: 'start', ...progress })}\n`),
      close: () => undefined,
    };
  }
  return output.isTTY ? reportInPlace(output, options) : reportLines(output, options);
}

/** Phases that say that something is there, or will be at once. */
const quickPhases = new Set(['looking', 'starting', 'ready']);
const slowMs = 10_000;

function reportLines(output: Output, { style, brief }: StartReportOptions): StartReporter {
  const phases = new Map<string, string>();
  return {
    onProgress(progress) {
      const known = phases.get(progress.tool);
      phases.set(progress.tool, progress.phase);
      if (known === progress.phase || progress.phase === 'looking') return;
      if (brief && quickPhases.has(progress.phase) && progress.elapsedMs < slowMs) return;
      output.write(`${renderSteps([progress], style, 0).join('\n')}\n`);
    },
    close: () => undefined,
  };
}

function reportInPlace(output: Output, { style, brief }: StartReportOptions): StartReporter {
  const steps = new Map<string, StartProgress>();
  const screen = createScreen(output);
  let frame = 0;
  const draw = (): void => {
    const known = [...steps.values()];
    // Between the tools and the first answer nobody reports, but it goes on.
    const busy = known.some(({ phase }) => phase !== 'ready');
    const rows = busy ? known : [...known, { tool: 'starting', phase: '', elapsedMs: 0, detail: '' }];
    screen.draw(renderSteps(rows, style, frame).map((line) => truncateStyled(line, output.columns)));
  };
  const timer = setInterval(() => {
    frame++;
    draw();
  }, 100);
  return {
    onProgress(progress) {
      steps.set(progress.tool, progress);
      draw();
    },
    close() {
      clearInterval(timer);
      screen.close();
      const rows = [...steps.values()].filter(
        ({ elapsedMs, phase }) => !brief || (phase === 'ready' && elapsedMs >= slowMs),
      );
      if (rows.length > 0) output.write(`${renderSteps(rows, style, frame).join('\n')}\n`);
    },
  };
}
