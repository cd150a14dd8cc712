import type { z } from 'zod';
import { didYouMean } from '../definition/index.ts';
import { WindlassError, errorCodes, messageOf } from '../model/index.ts';
import type { ErrorCode, Problem, ProblemDetails } from '../model/index.ts';
import { knownKeys } from './known-keys.ts';

/** A refusal that belongs to HTTP alone and has no place in the model: wrong method, wrong media type. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string | undefined;
  readonly problems: readonly Problem[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    options: { hint?: string; problems?: readonly Problem[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.name = 'HttpProblem';
    this.status = status;
    this.code = code;
    this.hint = options.hint;
    this.problems = options.problems;
    this.headers = options.headers ?? {};
  }
}

const titles: Readonly<Record<ErrorCode, string>> = {
  invalidInput: 'The request is not valid',
  invalidDefinition: 'The definition is not valid',
  unauthenticated: 'A key is needed',
  forbidden: 'Not allowed',
  notFound: 'Not found',
  ambiguous: 'The name is ambiguous',
  conflict: 'Not possible now',
  needsConfirmation: 'It would destroy something',
  locked: 'The environment is locked',
  idempotencyMismatch: 'The idempotency key was used for something else',
  tooLarge: 'Too large',
  unavailable: 'Not available now',
  toolMissing: 'A tool is missing',
  sourceUnavailable: 'The source cannot be read',
  internal: 'An error in Windlass',
};

const httpTitles: Readonly<Record<string, string>> = {
  methodNotAllowed: 'The method is not allowed here',
  unsupportedMediaType: 'The content type is not supported',
  notAcceptable: 'No such representation',
  tooManyTries: 'Too many tries',
  unknownHost: 'Not the host of this server',
};

/** Seconds after which a client should try again when something that passes by itself is away. */
const retryAfterSeconds = 5;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ProblemDetails;
}

/** The dotted path of a field, `nodes[3].alias`; the empty path is the body itself. */
export function dottedPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text ? `${text}.${String(part)}` : String(part);
  }, '');
}

/** What zod found, as problems with the place of each. `prefix` says which part of the request it is. */
export function problemsOf(error: z.ZodError, schema: z.ZodType, prefix = ''): Problem[] {
  return error.issues
    .slice(0, 100)
    .flatMap((issue) => (issue.code === 'unrecognized_keys' ? unknownKeys(issue, schema) : [issue]))
    .map(({ path, message }) => {
      const place = [prefix, dottedPath(path)].filter(Boolean).join('.');
      return place ? { message, path: place } : { message };
    });
}

interface Finding {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, schema: z.ZodType): Finding[] {
  const known = knownKeys(schema, issue.path);
  return issue.keys.slice(0, 20).map((key) => ({
    path: [...issue.path, key.slice(0, 100)],
    message: `there is no such field${didYouMean(key.slice(0, 100), known)}`,
  }));
}

/** Fails with every finding when the value does not fit the schema. */
export function parseInput<S extends z.ZodType>(
  schema: S,
  value: unknown,
  where: 'path' | 'query' | 'body' | 'header',
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(parsed.error, schema, where === 'body' ? '' : where);
  const first = problems[0];
  const more = problems.length > 1 ? `, and ${problems.length - 1} more` : '';
  throw new WindlassError(
    'invalidInput',
    `The ${where} is not valid: ${first?.path ? `${first.path}: ` : ''}${first?.message ?? ''}${more}`,
    {
      problems,
      hint: 'the fields and their types are at /docs/api',
    },
  );
}

const databaseCodes = /^(08|53|57P0|58)|^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EPIPE|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN)$/;

function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && typeof thrown.code === 'string')
    return thrown.code;
  return undefined;
}

/** Whether the database is away, in the words of its drivers: connection failures, shutdown, no slots left. */
export function isDatabaseAway(thrown: unknown): boolean {
  let current = thrown;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    if (databaseCodes.test(codeOf(current) ?? '')) return true;
    if (
      /connection terminated|timeout exceeded when trying to connect|pglite is clos|cannot use a pool after|driver has already been destroyed/i.test(
        current.message,
      )
    ) {
      return true;
    }
    if (current instanceof AggregateError && current.errors.some((inner) => isDatabaseAway(inner))) return true;
    current = current.cause;
  }
  return false;
}

/** Turns anything thrown into what the client sees. Of our own faults it sees the request id only. */
export function answerTo(thrown: unknown, requestId: string): Answer {
  if (thrown instanceof HttpProblem) {
    return compose({
      status: thrown.status,
      title: httpTitles[thrown.code] ?? thrown.message,
      code: thrown.code,
      detail: thrown.message,
      hint: thrown.hint,
      problems: thrown.problems,
      headers: thrown.headers,
      requestId,
    });
  }
  if (thrown instanceof WindlassError) {
    const headers: Record<string, string> = {};
    if (thrown.status === 503) headers['retry-after'] = String(retryAfterSeconds);
    if (thrown.status === 401) headers['www-authenticate'] = 'Bearer realm="windlass"';
    if (errorCodes[thrown.code].kind === 'bug') return internal(requestId);
    return compose({
      status: thrown.status,
      title: titles[thrown.code],
      code: thrown.code,
      detail: thrown.message,
      hint: thrown.hint,
      problems: thrown.problems,
      headers,
      requestId,
    });
  }
  if (isDatabaseAway(thrown)) {
    return compose({
      status: 503,
      title: titles.unavailable,
      code: 'unavailable',
      detail: 'The database cannot be reached',
      hint: 'Windlass connects again by itself; see /readyz for the reason',
      headers: { 'retry-after': String(retryAfterSeconds) },
      requestId,
    });
  }
  return internal(requestId);
}

function internal(requestId: string): Answer {
  return compose({
    status: 500,
    title: titles.internal,
    code: 'internal',
    detail: `Windlass could not answer because of a fault of its own; it is in the server's log as ${requestId}`,
    hint: 'please report it with that log line',
    requestId,
  });
}

function compose(input: {
  status: number;
  title: string;
  code: string;
  detail: string;
  requestId: string;
  hint?: string | undefined;
  problems?: readonly Problem[] | undefined;
  headers?: Readonly<Record<string, string>>;
}): Answer {
  return {
    status: input.status,
    headers: input.headers ?? {},
    body: {
      type: `urn:windlass:problem:${input.code}`,
      title: input.title,
      status: input.status,
      detail: input.detail,
      code: input.code,
      ...(input.hint ? { hint: input.hint } : {}),
      ...(input.problems?.length ? { problems: input.problems.map((problem) => ({ ...problem })) } : {}),
      requestId: input.requestId,
    },
  };
}

/** The reason of a failure for the log: never the request's body. */
export function reasonOf(thrown: unknown): string {
  return messageOf(thrown).slice(0, 2000);
}
