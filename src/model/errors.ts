/**
 * What kind of thing went wrong while a tool ran. The class alone decides what happens next:
 * retry, wait for something, ask a person, or stop.
 */
export const errorClasses = [
  'definition',
  'credentials',
  'quota',
  'lock',
  'stalePlan',
  'provider',
  'tool',
  'timeout',
  'cancelled',
  'internal',
] as const;
export type ErrorClass = (typeof errorClasses)[number];

/** One finding in a user's file or request. Lines and columns count from 1. */
export interface Problem {
  readonly message: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** Dotted path of the field, when the input was not a file. */
  readonly path?: string | undefined;
}

/** What users and records see of a failed stage: what, where, why and what to do. Never holds secrets. */
export interface RunError {
  readonly class: ErrorClass;
  /** One line that names the thing and the reason. */
  readonly message: string;
  /** Where in the user's source, such as `main.tf:14`. */
  readonly where?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
  readonly problems?: readonly Problem[] | undefined;
}

/**
 * Stable, machine-readable reasons of failures that Windlass itself reports, and the HTTP status each maps to.
 * `user` errors are the caller's to mend, `operational` ones pass by themselves, `bug` ones are ours.
 */
export const errorCodes = {
  invalidInput: { status: 400, kind: 'user' },
  invalidDefinition: { status: 422, kind: 'user' },
  unauthenticated: { status: 401, kind: 'user' },
  forbidden: { status: 403, kind: 'user' },
  notFound: { status: 404, kind: 'user' },
  ambiguous: { status: 409, kind: 'user' },
  conflict: { status: 409, kind: 'user' },
  /** It would destroy something that the caller has not said may go. */
  needsConfirmation: { status: 409, kind: 'user' },
  locked: { status: 423, kind: 'user' },
  idempotencyMismatch: { status: 422, kind: 'user' },
  tooLarge: { status: 413, kind: 'user' },
  unavailable: { status: 503, kind: 'operational' },
  toolMissing: { status: 503, kind: 'operational' },
  sourceUnavailable: { status: 502, kind: 'operational' },
  internal: { status: 500, kind: 'bug' },
} as const satisfies Record<string, { status: number; kind: 'user' | 'operational' | 'bug' }>;
export type ErrorCode = keyof typeof errorCodes;

export interface WindlassErrorOptions {
  /** The next step, as a sentence or a command. */
  readonly hint?: string | undefined;
  readonly problems?: readonly Problem[] | undefined;
  /** The class recorded when this happens inside a node's run; `internal` when absent. */
  readonly class?: ErrorClass | undefined;
  readonly cause?: unknown;
}

/** The one error type that Windlass throws on purpose. Its message is shown to users as it is. */
export class WindlassError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly problems: readonly Problem[] | undefined;
  readonly class: ErrorClass;

  constructor(code: ErrorCode, message: string, options: WindlassErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WindlassError';
    this.code = code;
    this.hint = options.hint;
    this.problems = options.problems;
    this.class = options.class ?? 'internal';
  }

  get status(): number {
    return errorCodes[this.code].status;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : JSON.stringify(thrown);
}

/** Makes the compiler prove that a switch is exhaustive. */
export function assertNever(value: never, what = 'value'): never {
  throw new WindlassError('internal', `unexpected ${what}: ${JSON.stringify(value)}`);
}
