import type { Style } from './text/style.ts';
import { styleFor } from './text/style.ts';

export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Columns; a usual terminal's when unknown. */
  readonly columns: number;
  readonly rows: number;
}

/** Everything a command has to do with the outside, so that tests can stand in for a terminal. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  now(): number;
  /** Calls back on Ctrl-C and on SIGTERM; answers how to stop listening. */
  onInterrupt(callback: () => void): () => void;
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => {
      stream.write(text);
    },
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      // A terminal that does not know its size says 0.
      return stream.columns || 120;
    },
    get rows() {
      return stream.rows || 40;
    },
  };
}

export function processIo(): Io {
  // A reader that has gone, such as `head`, is no error of ours.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    stdin: process.stdin,
    env: process.env,
    cwd: process.cwd(),
    now: Date.now,
    onInterrupt(callback) {
      process.on('SIGINT', callback);
      process.on('SIGTERM', callback);
      return () => {
        process.off('SIGINT', callback);
        process.off('SIGTERM', callback);
      };
    },
  };
}

export const outputFormats = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** Where a command's result and its remarks go. Remarks go to stderr, so that a result can be piped. */
export interface Printer {
  readonly format: OutputFormat;
  readonly style: Style;
  readonly errorStyle: Style;
  readonly width: number;
  /** A value for machines, in the format that was asked for. */
  serialize(value: unknown): string;
  line(text?: string): void;
  lines(texts: readonly string[]): void;
  remark(text: string): void;
}

export async function createPrinter(
  io: Io,
  options: { readonly format: OutputFormat; readonly noColor: boolean },
): Promise<Printer> {
  // Few ask for YAML, and loading it takes as long as a short command.
  const yaml = options.format === 'yaml' ? await import('yaml') : null;
  return {
    serialize: (value) =>
      yaml === null ? JSON.stringify(value, null, 2) : yaml.stringify(value, { lineWidth: 0 }).trimEnd(),
    format: options.format,
    style: styleFor(io.stdout.isTTY && options.format === 'table', io.env, options.noColor),
    errorStyle: styleFor(io.stderr.isTTY, io.env, options.noColor),
    width: io.stdout.isTTY ? io.stdout.columns : 10_000,
    line: (text = '') => io.stdout.write(`${text}\n`),
    lines: (texts) => io.stdout.write(texts.map((text) => `${text}\n`).join('')),
    remark: (text) => io.stderr.write(`${text}\n`),
  };
}
