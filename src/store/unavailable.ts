import { messageOf, WindlassError } from '../model/index.ts';

const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
/** SQLSTATEs of a server that starts, stops, is full, only reads, or does not let us in; 08 is the class of connections. */
const serverCodes = /^(08...|57P0[1-5]|53[1-4]00|25006|28...|3D000|58030)$/;
const messages =
  /Connection terminated|timeout exceeded when trying to connect|Connection ended unexpectedly|not queryable|Query read timeout|Cannot use a pool after calling end|driver has already been destroyed|PGlite is clos|Client was closed|socket hang up/i;

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
}

function isConnectionProblem(error: unknown): boolean {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isConnectionProblem);
  const code = codeOf(error);
  return socketCodes.has(code) || serverCodes.test(code) || (error instanceof Error && messages.test(error.message));
}

function reasonOf(error: unknown): string {
  // Node tries every address of a name and then says nothing itself.
  if (error instanceof AggregateError && error.errors.length > 0)
    return [...new Set(error.errors.map(messageOf))].join('; ');
  return messageOf(error) || codeOf(error) || 'no reason given';
}

/** True for the error that every query throws while the database is away. */
export function isDatabaseUnavailable(error: unknown): error is WindlassError {
  return error instanceof WindlassError && error.code === 'unavailable';
}

/** What a failed query means to callers: unavailable, the caller's input, or itself. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof WindlassError) return error;
  if (isConnectionProblem(error)) {
    return new WindlassError('unavailable', `the database cannot be used: ${reasonOf(error)}`, {
      class: 'internal',
      hint: 'nothing has to be restarted: it is tried again with the next request',
      cause: error,
    });
  }
  const code = codeOf(error);
  if (code === 'XX001' || code === 'XX002') {
    return new WindlassError('internal', `a file of the database is damaged: ${messageOf(error)}`, {
      hint: 'stop the server; its next start names the file and the ways back. With a PostgreSQL of your own see its log',
      cause: error,
    });
  }
  if (code === '22021' || code === '22P05') {
    return new WindlassError('invalidInput', 'text with a NUL or a character that is not valid cannot be stored', {
      cause: error,
    });
  }
  return error;
}

/** Whether a statement broke a unique constraint or index; of this name, when given. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (codeOf(error) !== '23505') return false;
  return constraint === undefined || (error as { constraint?: unknown }).constraint === constraint;
}

/** Whether a statement broke a foreign key: the row is still used, or what it names is missing. */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === '23503';
}
