import { messageOf, problemDetailsSchema } from '../model/index.ts';
import type { Problem } from '../model/index.ts';

interface ApiErrorDetails {
  readonly url: string;
  readonly code?: string | undefined;
  readonly status?: number | undefined;
  readonly hint?: string | undefined;
  readonly problems?: readonly Problem[] | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** A call that has failed: refused by the server with a problem document, or without an answer that is understood. */
export class ApiError extends Error {
  /** Address of the server. */
  readonly url: string;
  /**
   * Stable reason, as the server gives it. `unreachable` when nobody listens or the line broke, `unavailable` also when a
   * proxy answers in its place; undefined when the answer is not one of Windlass.
   */
  readonly code: string | undefined;
  readonly status: number | undefined;
  /** What to do about it. */
  readonly hint: string | undefined;
  readonly problems: readonly Problem[];
  readonly requestId: string | undefined;

  constructor(message: string, details: ApiErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ApiError';
    this.url = details.url;
    this.code = details.code;
    this.status = details.status;
    this.hint = details.hint;
    this.problems = details.problems ?? [];
    this.requestId = details.requestId;
  }
}

/** Broken lines and servers that are away pass by themselves; refusals do not. */
export function isPassing(thrown: unknown): boolean {
  return !(thrown instanceof ApiError) || thrown.code === 'unreachable' || thrown.code === 'unavailable';
}

export async function refusalOf(response: Response, url: string): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  const parsed = problemDetailsSchema.safeParse(readJson(text));
  if (parsed.success) return new ApiError(parsed.data.detail, { ...parsed.data, url });
  return new ApiError(`${url} answered ${response.status} ${response.statusText}`.trim(), {
    url,
    status: response.status,
    // A proxy in front of a server that is away answers in its own words.
    code: response.status >= 500 ? 'unavailable' : undefined,
    hint: 'is this the address of a Windlass server?',
  });
}

/** undefined when it is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function causeCode(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const codes = [cause, ...(cause instanceof AggregateError ? cause.errors : [])];
  for (const item of codes) {
    if (item instanceof Error && 'code' in item && typeof item.code === 'string') return item.code;
  }
  return '';
}

/** Nobody listens, or there is no such machine: trying again at once would not help. */
export function isRefused(error: unknown): boolean {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ERR_INVALID_URL'].includes(causeCode(error));
}

export function unreachable(url: string, error: unknown): ApiError {
  const reason =
    error instanceof Error && error.cause !== undefined ? messageOf(error.cause) || causeCode(error) : messageOf(error);
  return new ApiError(`cannot reach ${url}: ${reason}`, { url, code: 'unreachable', cause: error });
}
