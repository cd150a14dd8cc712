import { spawn } from 'node:child_process';
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

/** Runs git in a process group of its own and waits for its end. Throws when it cannot start, is aborted or takes too long. */
export async function runGit(call: GitCall): Promise<GitAnswer> {
  call.signal?.throwIfAborted();
  const child = spawn(call.gitPath, call.args, {
    cwd: call.cwd,
    env: environment(call),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let stopped: Error | null = null;
  let kill: NodeJS.Timeout | undefined;
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // already over
    }
  };
  const stop = (reason: Error): void => {
    if (stopped) return;
    stopped = reason;
    signalGroup('SIGTERM');
    kill = setTimeout(() => signalGroup('SIGKILL'), terminateMs);
  };

  const verb = call.args.find((arg) => /^[a-z-]+$/.test(arg) && !arg.startsWith('-')) ?? 'git';
  const timeout = setTimeout(
    () =>
      stop(
        new WindlassError(
          'sourceUnavailable',
          `git ${verb} did not end within ${Math.round(call.timeoutMs / 1000)} s`,
          {
            hint: 'Check the connection to the git host, or use a smaller repository.',
            class: 'timeout',
          },
        ),
      ),
    call.timeoutMs,
  );
  const { watch } = call;
  const watching = watch && setInterval(() => void watch().catch((thrown: unknown) => stop(asError(thrown))), 1_000);
  const onAbort = (): void => stop(asError(call.signal?.reason));
  call.signal?.addEventListener('abort', onAbort, { once: true });

  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8');
  child.stderr.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    if (stopped) return;
    try {
      if (call.onOutput) call.onOutput(chunk);
      else stdout += chunk;
      if (stdout.length > maxStdoutBytes) throw new WindlassError('tooLarge', `git ${verb} answered more than 64 MiB`);
    } catch (thrown) {
      stop(asError(thrown));
    }
  });
  child.stderr.on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-maxStderrBytes);
  });

  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exit, signal) => {
        // git has no last word then, and nobody should look for a wrong address.
        if (signal !== null) stderr += `fatal: git ${verb} was killed from outside (${signal})\n`;
        resolve(exit ?? (signal ? 128 : 1));
      });
    });
    const failure = stopped as Error | null;
    if (failure) throw failure;
    return { code, stdout, stderr: mask(stderr, call.login?.secrets ?? []) };
  } catch (thrown) {
    if (['ENOENT', 'EACCES'].includes(errorCode(thrown) ?? '')) {
      throw new WindlassError('toolMissing', `git cannot be started as ${call.gitPath} (${errorCode(thrown)})`, {
        hint: 'Install git, or set the path of its program.',
        cause: thrown,
      });
    }
    throw thrown;
  } finally {
    clearTimeout(timeout);
    clearTimeout(kill);
    clearInterval(watching);
    call.signal?.removeEventListener('abort', onAbort);
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown ?? 'aborted'));
}

function mask(text: string, secrets: readonly string[]): string {
  return secrets.reduce((masked, secret) => (secret === '' ? masked : masked.replaceAll(secret, '***')), text);
}
