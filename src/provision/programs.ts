import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

export interface ProgramCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv | undefined;
  readonly timeoutMs: number;
}

export interface ProgramEnd {
  /** null when it could not be started, or was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

const keptCharacters = 64 * 1024;

/** Runs a program to its end. It never throws: a program that cannot be started answers with its reason in `stderr`. */
export function runProgram(call: ProgramCall): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    const child = spawn(call.command, call.args, {
      cwd: call.directory,
      env: call.environment ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const killWithUs = (): void => void child.kill('SIGTERM');
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, call.timeoutMs);
    process.on('exit', killWithUs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-keptCharacters)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-keptCharacters)));
    const finish = (code: number | null): void => {
      clearTimeout(timer);
      process.off('exit', killWithUs);
      resolve({ code, stdout, stderr, timedOut });
    };
    child.once('error', (error) => {
      stderr += error.message;
      finish(null);
    });
    child.once('close', (code) => finish(code));
  });
}

/** The end of what a program said, which is where programs say what went wrong. */
export function lastLines(text: string, count = 12): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Absolute path of a program on PATH; null when it is not there. */
export function findOnPath(program: string, environment: NodeJS.ProcessEnv = process.env): string | null {
  for (const directory of (environment['PATH'] ?? '').split(delimiter)) {
    // A relative entry would mean another program in each directory Windlass works in.
    if (!isAbsolute(directory)) continue;
    const candidate = join(directory, program);
    if (isExecutable(candidate)) return candidate;
  }
  return null;
}
