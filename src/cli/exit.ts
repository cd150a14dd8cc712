import type { DeploymentStatus, Problem } from '../model/index.ts';
import { assertNever } from '../model/index.ts';

/** What the process ends with. Scripts rely on these numbers: they never change. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notAllowed: 3,
  waitingForApproval: 4,
  stopped: 5,
  /** As shells report a Ctrl-C. */
  detached: 130,
} as const;

/** Ends a command with a message for people; shown without a stack. */
export class CliError extends Error {
  readonly exitCode: number;
  readonly hint: string | undefined;
  readonly problems: readonly Problem[];
  /** Stable reason, when the server gave one. */
  readonly code: string | undefined;

  constructor(
    message: string,
    options: {
      readonly exitCode?: number;
      readonly hint?: string | undefined;
      readonly problems?: readonly Problem[] | undefined;
      readonly code?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CliError';
    this.exitCode = options.exitCode ?? exitCodes.failed;
    this.hint = options.hint;
    this.problems = options.problems ?? [];
    this.code = options.code;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError(message, { exitCode: exitCodes.usage, hint });
}

export function exitCodeOfRun(status: DeploymentStatus): number {
  switch (status) {
    case 'succeeded':
      return exitCodes.done;
    case 'failed':
    case 'rollbackFailed':
    case 'rolledBack':
      return exitCodes.failed;
    case 'cancelled':
    case 'aborted':
      return exitCodes.stopped;
    case 'queued':
    case 'running':
    case 'stopping':
    case 'rollingBack':
      return exitCodes.done;
    default:
      return assertNever(status, 'deployment status');
  }
}

/** A lock is a person's "no"; a file that is wrong is a failure, arguments that are wrong are usage. */
export function exitCodeOfError(code: string | undefined, status: number | undefined): number {
  switch (code) {
    case 'unauthenticated':
    case 'forbidden':
    case 'locked':
      return exitCodes.notAllowed;
    case 'invalidInput':
    case 'notFound':
    case 'ambiguous':
      return exitCodes.usage;
    default:
      return status === 401 || status === 403 ? exitCodes.notAllowed : exitCodes.failed;
  }
}
