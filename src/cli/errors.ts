import { CommanderError } from 'commander';
import { z } from 'zod';
import { ApiError } from '../client/index.ts';
import type { Problem } from '../model/index.ts';
import { WindlassError, messageOf } from '../model/index.ts';
import { CliError, exitCodeOfError, exitCodes } from './exit.ts';
import type { Style } from './text/style.ts';
import { oneLine, safeText } from './text/width.ts';

export interface Failure {
  readonly exitCode: number;
  readonly lines: readonly string[];
}

/** `shop.yml:12:11`, or the dotted path of a field; empty when a problem has no place. */
export function placeOf(problem: Problem): string {
  if (problem.file === undefined) return problem.path ?? '';
  return [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':');
}

/**
 * What a person sees of a failure: the message, the places, the next step. A stack is shown with WINDLASS_DEBUG=1 only.
 * Without lines when commander has already said it.
 */
export function describeFailure(error: unknown, style: Style, debug: boolean): Failure {
  if (error instanceof CommanderError) {
    // A noun without a verb shows its help, which is what was missing.
    const asked = error.exitCode === 0 && error.code !== 'commander.help';
    return { exitCode: asked ? exitCodes.done : exitCodes.usage, lines: [] };
  }
  const { colors } = style;
  const stack = debug && error instanceof Error && error.stack ? safeText(error.stack).split('\n') : [];
  const known = knownFailure(error);
  if (!known) {
    return {
      exitCode: exitCodes.failed,
      lines: [
        `${colors.red('error')}: ${oneLine(messageOf(error))}`,
        ...(stack.length > 0 ? stack : ['  this is a fault of Windlass; WINDLASS_DEBUG=1 shows where it happened']),
      ],
    };
  }
  const [first = '', ...rest] = safeText(known.message).split('\n');
  const listed = known.problems.filter((problem) => !known.message.includes(problem.message));
  return {
    exitCode: known.exitCode,
    lines: [
      `${colors.red('error')}: ${first}`,
      ...rest,
      ...listed.slice(0, 20).map((problem) => {
        const place = placeOf(problem);
        return `  ${place ? `${oneLine(place)}  ` : ''}${oneLine(problem.message)}`;
      }),
      ...(listed.length > 20 ? [`  … and ${listed.length - 20} more`] : []),
      ...(known.hint
        ? safeText(known.hint)
            .split('\n')
            .map((line) => `  ${line}`)
        : []),
      ...stack,
    ],
  };
}

/** A failure for machines: what people see, field by field. */
export interface MachineFailure {
  /** Stable reason: the server's, else `usage`, `failed` or `internal`. */
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
  readonly hint?: string | undefined;
  readonly problems?: readonly Problem[] | undefined;
}

/** null when there is nothing to tell, such as of a help that was asked for. */
export function machineFailure(error: unknown): MachineFailure | null {
  if (error instanceof CommanderError) {
    const asked = error.exitCode === 0 && error.code !== 'commander.help';
    if (asked) return null;
    const message = error.code.startsWith('commander.help') ? 'a command is missing' : error.message;
    return { code: 'usage', message: safeText(message).replace(/^error: /, ''), exitCode: exitCodes.usage };
  }
  const known = knownFailure(error);
  if (!known) return { code: 'internal', message: safeText(messageOf(error)), exitCode: exitCodes.failed };
  const { message, hint, problems, exitCode } = known;
  const given =
    error instanceof CliError || error instanceof ApiError || error instanceof WindlassError ? error.code : undefined;
  return {
    code: given ?? (exitCode === exitCodes.usage ? 'usage' : 'failed'),
    message: safeText(message),
    exitCode,
    ...(hint === undefined ? {} : { hint: safeText(hint) }),
    ...(problems.length > 0 ? { problems } : {}),
  };
}

interface KnownFailure {
  readonly message: string;
  readonly hint: string | undefined;
  readonly problems: readonly Problem[];
  readonly exitCode: number;
}

/** What the server advises, except where a command of ours is the next step. */
function hintOf({ code, hint, url }: ApiError): string | undefined {
  if (code === 'unauthenticated') return `store a key that works: windlass login ${url}`;
  if (code === 'unreachable') return 'start it with `windlass up`, or give another address with --url or WINDLASS_URL';
  return hint;
}

function knownFailure(error: unknown): KnownFailure | null {
  if (error instanceof CliError) return error;
  if (error instanceof ApiError) {
    const { message, problems, code, status } = error;
    return { message, problems, hint: hintOf(error), exitCode: exitCodeOfError(code, status) };
  }
  if (error instanceof WindlassError) {
    return {
      message: error.message,
      hint: error.hint,
      problems: error.problems ?? [],
      exitCode: exitCodeOfError(error.code, error.status),
    };
  }
  if (error instanceof z.ZodError) {
    const issue = error.issues[0];
    const place = issue?.path.join('.') ?? '';
    return {
      message: `${place ? `${place}: ` : ''}${issue?.message ?? 'not valid'}`,
      hint: undefined,
      problems: [],
      exitCode: exitCodes.usage,
    };
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  // Of files that a person named.
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) {
    return { message: messageOf(error), hint: undefined, problems: [], exitCode: exitCodes.failed };
  }
  return null;
}
