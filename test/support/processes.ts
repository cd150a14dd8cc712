import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const main = join(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

/** A process of the built product, as a user starts it. */
export interface ProductProcess {
  readonly pid: number;
  /** What it has printed so far. */
  output(): string;
  /** Ends when the process has. */
  readonly ended: Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `windlass <words>` from dist/, which `./windlass test` has built before. */
export function startProduct(words: readonly string[], environment: Record<string, string>): ProductProcess {
  if (!existsSync(main)) throw new Error('dist/ is not built: run the tests with ./windlass test');
  const child: ChildProcess = spawn(process.execPath, [main, ...words], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout?.on('data', (text: Buffer) => (printed += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (printed += text.toString()));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid: child.pid ?? 0,
    output: () => printed,
    ended,
    kill: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await ended;
    },
  };
}

/** Address and administrator's key of the server on a data directory, once it answers. */
export async function serverOf(
  dataDirectory: string,
  process_: ProductProcess,
): Promise<{ url: string; token: string }> {
  let gone = false;
  void process_.ended.then(() => (gone = true));
  for (;;) {
    if (gone) throw new Error(`the server ended early:\n${process_.output()}`);
    const found = readServer(dataDirectory);
    if (found !== null && found.pid === process_.pid) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function readServer(dataDirectory: string): { pid: number; url: string; token: string } | null {
  try {
    const { pid, url } = JSON.parse(readFileSync(join(dataDirectory, 'server.json'), 'utf8')) as {
      pid: number;
      url: string | null;
    };
    const token = readFileSync(join(dataDirectory, 'administrator.token'), 'utf8').trim();
    return url === null ? null : { pid, url, token };
  } catch {
    return null;
  }
}

/** Process ids whose command line or working directory holds a text. */
export function processesWith(text: string, programs: readonly string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        if (!programs.some((program) => (command[0] ?? '').endsWith(program))) return false;
        return command.join(' ').includes(text) || readlinkSync(`/proc/${pid}/cwd`).includes(text);
      } catch {
        return false;
      }
    });
}
