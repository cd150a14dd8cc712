import type { LogChunk, Stage } from '../model/index.ts';
import type { Style } from './text/style.ts';
import { oneLine, padEnd, safeText, widthOf } from './text/width.ts';

export interface LogPrinter {
  add(chunk: LogChunk): void;
  /** Writes what has no line end yet. */
  end(): void;
}

export interface LogPrinterOptions {
  readonly write: (line: string) => void;
  readonly style: Style;
  /** Several nodes write at once: each line begins with its node. */
  readonly prefixed: boolean;
}

interface Source {
  readonly name: string;
  stage: Stage;
  rest: string;
}

/** A line without an end is printed when it gets this long. */
const longestLine = 16_384;

/**
 * Turns pieces of logs into whole lines. Pieces of several nodes come mixed and end anywhere; lines never do.
 */
export function createLogPrinter({ write, style, prefixed }: LogPrinterOptions): LogPrinter {
  const sources = new Map<string, Source>();
  let width = 0;
  let lastHeading = '';

  function emit(source: Source, line: string): void {
    const text = safeText(line);
    if (prefixed) {
      width = Math.min(24, Math.max(width, widthOf(source.name)));
      write(`${style.colors.cyan(padEnd(source.name, width))} ${padEnd(source.stage, 7)} | ${text}`);
      return;
    }
    const heading = `${source.name} ${source.stage}`;
    if (heading !== lastHeading) {
      write(
        style.colors.bold(`${lastHeading === '' ? '' : '\n'}== ${source.name} ${style.glyphs.dot} ${source.stage}`),
      );
      lastHeading = heading;
    }
    write(text);
  }

  function flush(source: Source): void {
    if (source.rest === '') return;
    const line = source.rest;
    source.rest = '';
    emit(source, line);
  }

  return {
    add(chunk) {
      const name = `${oneLine(chunk.alias)}${chunk.compensation ? ' (taking back)' : ''}`;
      const known = sources.get(name);
      const source = known ?? { name, stage: chunk.stage, rest: '' };
      sources.set(name, source);
      if (source.stage !== chunk.stage) flush(source);
      source.stage = chunk.stage;
      const lines = (source.rest + chunk.text).split('\n');
      source.rest = lines.pop() ?? '';
      for (const line of lines) emit(source, line);
      if (source.rest.length > longestLine) flush(source);
    },
    end() {
      for (const source of sources.values()) flush(source);
    },
  };
}
