import { formatDuration } from './text/format.ts';
import type { Style } from './text/style.ts';
import { oneLine, padEnd, truncateStyled, widthOf } from './text/width.ts';
import type { Io } from './io.ts';
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
  /** An administrator's key. */
  readonly token: string;
  readonly temporalUrl: string | null;
  stop(): Promise<void>;
}

/** Steps that took less were there already and need no time beside them. */
const worthTellingMs = 500;

/** Steps as rows with a tick or a spinner, aligned. */
export function renderSteps(steps: readonly StartProgress[], style: Style, frame: number): string[] {
  const names = steps.map((step) => oneLine([step.tool, step.version].filter(Boolean).join(' ')));
  const width = Math.max(18, ...names.map(widthOf));
  return steps.map((step, index) => {
    const ready = step.phase === 'ready';
    const { colors, glyphs } = style;
    const glyph = ready ? colors.green(glyphs.done) : colors.cyan(glyphs.spinner[frame % glyphs.spinner.length] ?? '');
    const time = step.elapsedMs >= worthTellingMs ? formatDuration(step.elapsedMs) : '';
    const detail = ready ? oneLine(step.detail) : oneLine([step.phase, step.detail].filter(Boolean).join(', '));
    return `  ${glyph} ${padEnd(names[index] ?? '', width)}  ${[padEnd(detail, time ? 24 : 0), time].filter(Boolean).join('  ')}`.trimEnd();
  });
}

export interface StartReporter {
  readonly onProgress: (progress: StartProgress) => void;
  close(): void;
}

/** Shows a start as it goes: in place on a terminal, one line a finished step elsewhere. */
export function reportStart(io: Io, options: { readonly style: Style; readonly json: boolean }): StartReporter {
  const { style, json } = options;
  // Progress is a remark: stdout is for results.
  const output = json ? io.stderr : io.stdout;
  if (json) {
    return { onProgress: (progress) => io.stdout.write(`${JSON.stringify({ type: 'start', ...progress })}\n`), close: () => undefined };
  }
  const steps = new Map<string, StartProgress>();
  if (!output.isTTY) {
    return {
      onProgress(progress) {
        const known = steps.get(progress.tool);
        if (known?.phase === progress.phase) return;
        steps.set(progress.tool, progress);
        output.write(`${renderSteps([progress], style, 0).join('\n')}\n`);
      },
      close: () => undefined,
    };
  }
  const screen = createScreen(output);
  let frame = 0;
  const draw = (): void => {
    screen.draw(renderSteps([...steps.values()], style, frame).map((line) => truncateStyled(line, output.columns)));
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
      if (steps.size > 0) output.write(`${renderSteps([...steps.values()], style, frame).join('\n')}\n`);
    },
  };
}
