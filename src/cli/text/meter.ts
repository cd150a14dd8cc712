import type { Io, Printer } from '../io.ts';

/** Progress of one long thing, on stderr: a line that is drawn over on a terminal, a line a tenth elsewhere. */
export interface Meter {
  /** `total` 0 when it is not known. */
  show(what: string, done: number, total: number): void;
  close(): void;
}

export function createMeter(io: Io, { format }: Pick<Printer, 'format'>): Meter {
  const { stderr } = io;
  let drawn = false;
  let told = '';
  return {
    show(what, done, total) {
      if (format !== 'table') return;
      const percent = total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : null;
      const text = percent === null ? what : `${what}  ${percent} %`;
      if (stderr.isTTY) {
        stderr.write(`\r\u001b[2K${text.slice(0, stderr.columns - 1)}`);
        drawn = true;
        return;
      }
      const line = percent === null ? what : `${what}  ${percent - (percent % 10)} %`;
      if (line !== told) stderr.write(`${line}\n`);
      told = line;
    },
    close() {
      if (drawn) stderr.write('\r\u001b[2K');
      drawn = false;
    },
  };
}
