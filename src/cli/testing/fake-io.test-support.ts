import { PassThrough } from 'node:stream';
import type { Io, Output } from '../io.ts';
import { startMs } from './records.test-support.ts';

export interface FakeIo extends Io {
  readonly out: () => string;
  readonly err: () => string;
  interrupt(): void;
  /** Resolves when this text has been written to stdout or stderr. */
  seen(text: string): Promise<void>;
}

export interface FakeIoOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: boolean;
  readonly input?: string;
  readonly cwd?: string;
}

/** Stands in for a terminal, or for pipes. */
export function fakeIo({ env = {}, terminal = false, input = '', cwd = process.cwd() }: FakeIoOptions = {}): FakeIo {
  let out = '';
  let err = '';
  let waiting: { text: string; resolve: () => void }[] = [];
  const listeners = new Set<() => void>();
  const notice = (): void => {
    const due = waiting.filter(({ text }) => out.includes(text) || err.includes(text));
    waiting = waiting.filter((entry) => !due.includes(entry));
    for (const { resolve } of due) resolve();
  };
  const output = (add: (text: string) => void): Output => ({
    write: (text) => {
      add(text);
      notice();
    },
    isTTY: terminal,
    columns: 100,
    rows: 40,
  });
  const stdin = Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream;
  (stdin as unknown as PassThrough).end(input);
  return {
    stdout: output((text) => (out += text)),
    stderr: output((text) => (err += text)),
    stdin,
    env,
    cwd,
    now: () => startMs + 5_000,
    onInterrupt(callback) {
      listeners.add(callback);
      return () => listeners.delete(callback);
    },
    out: () => out,
    err: () => err,
    interrupt: () => {
      for (const listener of [...listeners]) listener();
    },
    seen: (text) =>
      new Promise((resolve) => {
        waiting.push({ text, resolve });
        notice();
      }),
  };
}
