import type { Output } from '../io.ts';

export interface Screen {
  /** Replaces the picture that is on the terminal. */
  draw(lines: readonly string[]): void;
  /** Writes lines that stay, above the picture. */
  print(lines: readonly string[]): void;
  /** Takes the picture away and gives the cursor back. */
  close(): void;
}

const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';

/**
 * Draws a picture in place: up over the last one, each line over the old line, the rest erased. A picture is never
 * taller than the terminal, because what has scrolled away cannot be drawn over.
 */
export function createScreen(output: Output): Screen {
  let drawn = 0;
  const up = (): string => (drawn > 0 ? `\u001b[${drawn}A\r` : '\r');
  let hidden = false;
  // Ctrl-C at the wrong moment must not leave a terminal without a cursor.
  const restore = (): void => {
    if (hidden) output.write(showCursor);
    hidden = false;
  };
  process.once('exit', restore);
  return {
    draw(lines) {
      const shown = lines.slice(0, Math.max(1, output.rows - 1));
      const start = hidden ? '' : hideCursor;
      hidden = true;
      output.write(`${start}${up()}${shown.map((line) => `${line}${clearLine}\n`).join('')}${clearBelow}`);
      drawn = shown.length;
    },
    print(lines) {
      output.write(`${up()}${clearBelow}${lines.map((line) => `${line}\n`).join('')}`);
      drawn = 0;
    },
    close() {
      if (drawn > 0) output.write(`${up()}${clearBelow}`);
      drawn = 0;
      restore();
      process.off('exit', restore);
    },
  };
}
