import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { messageOf, WindlassError } from '../model/index.ts';
import type { GitLogin } from './git-credentials.ts';
import type { GitAddress } from './git-address.ts';
import { errorCode } from './tree.ts';

export interface GitCall {
  readonly gitPath: string;
  /** An empty directory, so that nothing of the account's own is read. */
  readonly home: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly login?: GitLogin;
  /** Which transport may be used; none when absent. */
  readonly transport?: GitAddress['transport'];
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Sees standard output as it comes; throwing ends git. Output is then not collected. */
  readonly onOutput?: (chunk: string) => void;
  /** Called every second; throwing ends git. */
  readonly watch?: () => Promise<void>;
}

export interface GitAnswer {
  readonly code: number;
  readonly stdout: string;
  /** Masked. */
  readonly stderr: string;
}

const protocols: Record<GitAddress['transport'], string> = { http: 'http:https', ssh: 'ssh', file: 'file' };

/** Repositories are hostile: nothing of theirs, of the account or of the machine may run or configure anything. */
const baseConfig: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.symlinks', 'true'],
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['core.autocrlf', 'false'],
  ['credential.helper', ''],
  ['protocol.allow', 'never'],
  ['protocol.ext.allow', 'never'],
  ['transfer.credentialsInUrl', 'die'],
  ['fetch.recurseSubmodules', 'false'],
  ['submodule.recurse', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['http.lowSpeedLimit', '1000'],
  ['http.lowSpeedTime', '60'],
  ['init.defaultBranch', 'main'],
];

/** How this machine reaches the network is the operator's to say, and git's only inheritance. */
const inherited = [
  'PATH',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'all_proxy',
  'HTTPS_PROXY',
  'NO_PROXY',
  'ALL_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
];

function environment(call: GitCall): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of inherited) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  const config = [...baseConfig, ...(call.login?.config ?? [])];
  config.forEach(([key, value], i) => {
    env[`GIT_CONFIG_KEY_${i}`] = key;
    env[`GIT_CONFIG_VALUE_${i}`] = value;
  });
  return {
    ...env,
    GIT_CONFIG_COUNT: String(config.length),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    // stronger than any protocol.*.allow: everything that is not listed is refused
    GIT_ALLOW_PROTOCOL: call.transport ? protocols[call.transport] : 'none',
    HOME: call.home,
    XDG_CONFIG_HOME: call.home,
    LC_ALL: 'C',
    ...call.env,
    ...call.login?.env,
  };
}

const maxStdoutBytes = 64 * 1024 ** 2;
const maxStderrBytes = 64 * 1024;
const terminateMs = 2_000;

/** One git at work, in a process group of its own. */
class GitProcess {
  private readonly call: GitCall;
  private readonly verb: string;
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Why it was stopped from here. */
  private stopped: Error | null = null;
  private killTimer: NodeJS.Timeout | undefined;
  private stdout = '';
  private stderr = '';

  constructor(call: GitCall) {
    this.call = call;
    this.verb = call.args.find((arg) => /^[a-z-]+$/.test(arg) && !arg.startsWith('-')) ?? 'git';
    this.child = spawn(call.gitPath, call.args, {
      cwd: call.cwd,
      env: environment(call),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.child.stdout.setEncoding('utf8');
    this.child.stderr.setEncoding('utf8');
    this.child.stdout.on('data', (chunk: string) => this.takeOutput(chunk));
    this.child.stderr.on('data', (chunk: string) => {
      this.stderr = (this.stderr + chunk).slice(-maxStderrBytes);
    });
  }

  /** Waits for its end, and stops it when it takes too long, is aborted or `watch` throws. */
  async end(): Promise<GitAnswer> {
    const { signal, timeoutMs, watch, login } = this.call;
    const timeout = setTimeout(() => this.stop(this.tooSlow()), timeoutMs);
    const watching =
      watch && setInterval(() => void watch().catch((thrown: unknown) => this.stop(asError(thrown))), 1_000);
    const onAbort = (): void => this.stop(asError(signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const code = await this.exitCode();
      if (this.stopped) throw this.stopped;
      return { code, stdout: this.stdout, stderr: mask(this.stderr, login?.secrets ?? []) };
    } catch (thrown) {
      throw this.startError(thrown) ?? thrown;
    } finally {
      clearTimeout(timeout);
      clearTimeout(this.killTimer);
      clearInterval(watching);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  private exitCode(): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (exit, signal) => {
        // git has no last word then, and nobody should look for a wrong address.
        if (signal !== null) this.stderr += `fatal: git ${this.verb} was killed from outside (${signal})\n`;
        resolve(exit ?? (signal ? 128 : 1));
      });
    });
  }

  private takeOutput(chunk: string): void {
    if (this.stopped) return;
    try {
      if (this.call.onOutput) this.call.onOutput(chunk);
      else this.stdout += chunk;
      if (this.stdout.length > maxStdoutBytes)
        throw new WindlassError('tooLarge', `git ${this.verb} answered more than 64 MiB`);
    } catch (thrown) {
      this.stop(asError(thrown));
    }
  }

  private stop(reason: Error): void {
    if (this.stopped) return;
    this.stopped = reason;
    this.signalGroup('SIGTERM');
    this.killTimer = setTimeout(() => this.signalGroup('SIGKILL'), terminateMs);
  }

  private signalGroup(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // already over
    }
  }

  private tooSlow(): WindlassError {
    const seconds = Math.round(this.call.timeoutMs / 1000);
    return new WindlassError('sourceUnavailable', `git ${this.verb} did not end within ${seconds} s`, {
      hint: 'Check the connection to the git host, or use a smaller repository.',
      class: 'timeout',
    });
  }

  /** What to say of a program that cannot be started; null when it was another error. */
  private startError(error: unknown): WindlassError | null {
    const code = errorCode(error);
    if (code !== 'ENOENT' && code !== 'EACCES') return null;
    return new WindlassError('toolMissing', `git cannot be started as ${this.call.gitPath} (${code})`, {
      hint: 'Install git, or set the path of its program.',
      cause: error,
    });
  }
}

/** Runs git in a process group of its own and waits for its end. Throws when it cannot start, is aborted or takes too long. */
export async function runGit(call: GitCall): Promise<GitAnswer> {
  call.signal?.throwIfAborted();
  return new GitProcess(call).end();
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown ?? 'aborted'));
}

function mask(text: string, secrets: readonly string[]): string {
  return secrets.reduce((masked, secret) => (secret === '' ? masked : masked.replaceAll(secret, '***')), text);
}
