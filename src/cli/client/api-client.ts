import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { messageOf, pageOf, problemDetailsSchema } from '../../model/index.ts';
import { CliError, exitCodeOfError, exitCodes } from '../exit.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Server {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string | null;
}

interface RequestOptions {
  readonly query?: Query | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** The server cannot be reached: nobody listens, or the line broke. It may pass by itself. */
export class UnreachableError extends CliError {}

const answerWithinMs = 120_000;
const tries = 3;

/** Calls the REST API. Every answer is parsed; every failure is a CliError that says what to do. */
export interface ApiClient {
  readonly url: string;
  get<S extends z.ZodType>(path: string, schema: S, query?: Query): Promise<z.output<S>>;
  /** Items of all pages, at most `limit`; `more` when there are others. */
  list<S extends z.ZodType>(
    path: string,
    item: S,
    options?: { readonly query?: Query; readonly limit?: number; readonly pageSize?: number },
  ): Promise<Listing<z.output<S>>>;
  post<S extends z.ZodType>(path: string, schema: S, body?: unknown): Promise<z.output<S>>;
  put<S extends z.ZodType>(path: string, schema: S, body: unknown): Promise<z.output<S>>;
  patch<S extends z.ZodType>(path: string, schema: S, body: unknown): Promise<z.output<S>>;
  delete(path: string, query?: Query): Promise<void>;
  /** The answer to a POST as it comes, for what is long: it is sent once, and has no deadline. */
  send(path: string, body: unknown): Promise<Response>;
  text(path: string, query?: Query): Promise<string>;
  bytes(path: string): Promise<Uint8Array>;
  /** An open answer whose body is still to be read. */
  open(
    path: string,
    options: { readonly query?: Query; readonly lastEventId?: string | undefined; readonly signal: AbortSignal },
  ): Promise<ReadableStream<Uint8Array>>;
}

export interface Listing<T> {
  readonly items: T[];
  readonly more: boolean;
}

/** A reference in a path: names may hold anything, slashes too. */
export function ref(reference: string): string {
  return encodeURIComponent(reference);
}

export function createClient(server: Server): ApiClient {
  const base = new URL(`${server.url.replace(/\/+$/, '')}/api/v1/`);

  async function send(method: string, path: string, options: RequestOptions): Promise<Response> {
    const url = new URL(path.replace(/^\//, ''), base);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = {
      accept: 'application/json, application/problem+json',
      ...options.headers,
    };
    if (server.token !== null) headers['authorization'] = `Bearer ${server.token}`;
    // With a key the server answers a repeated call with what it did the first time, so that a broken line is no harm.
    if (method !== 'GET') headers['idempotency-key'] = randomUUID();
    let body: string | undefined;
    if (options.body !== undefined) {
      headers['content-type'] = 'application/json';
      body = JSON.stringify(options.body);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await fetch(url, {
          method,
          headers,
          redirect: 'error',
          signal: options.signal ?? AbortSignal.timeout(answerWithinMs),
          ...(body === undefined ? {} : { body }),
        });
        if (response.ok) return response;
        throw await problemOf(response, server);
      } catch (error) {
        if (error instanceof CliError || options.signal?.aborted) throw error;
        if (attempt < tries && !isRefused(error)) {
          await sleep(200 * attempt);
          continue;
        }
        throw unreachable(server.url, error);
      }
    }
  }

  async function json<S extends z.ZodType>(
    method: string,
    path: string,
    schema: S,
    options: RequestOptions,
  ): Promise<z.output<S>> {
    const response = await send(method, path, options);
    const text = await response.text();
    return parseAnswer(schema, text, `${method} ${path}`);
  }

  return {
    url: server.url,
    get: (path, schema, query) => json('GET', path, schema, { query }),
    async list(path, item, { query = {}, limit = Infinity, pageSize = 200 } = {}) {
      const items: z.output<typeof item>[] = [];
      let cursor: string | undefined;
      do {
        const size = Math.min(pageSize, limit - items.length);
        const page = await json('GET', path, pageOf(item), { query: { ...query, limit: size, cursor } });
        items.push(...page.items);
        cursor = page.next ?? undefined;
      } while (cursor !== undefined && items.length < limit);
      return { items: items.slice(0, limit), more: cursor !== undefined || items.length > limit };
    },
    post: (path, schema, body) => json('POST', path, schema, { body: body ?? {} }),
    put: (path, schema, body) => json('PUT', path, schema, { body }),
    patch: (path, schema, body) => json('PATCH', path, schema, { body }),
    async delete(path, query) {
      const response = await send('DELETE', path, { query });
      await response.arrayBuffer();
    },
    async send(path, body) {
      const headers: Record<string, string> = { 'content-type': 'application/json' };
      if (server.token !== null) headers['authorization'] = `Bearer ${server.token}`;
      let response: Response;
      try {
        response = await fetch(new URL(path, base), {
          method: 'POST',
          headers,
          redirect: 'error',
          body: JSON.stringify(body),
        });
      } catch (error) {
        throw unreachable(server.url, error);
      }
      if (!response.ok) throw await problemOf(response, server);
      return response;
    },
    async text(path, query) {
      return (await send('GET', path, { query, headers: { accept: 'text/plain, */*' } })).text();
    },
    async bytes(path) {
      return new Uint8Array(await (await send('GET', path, { headers: { accept: '*/*' } })).arrayBuffer());
    },
    async open(path, { query, lastEventId, signal }) {
      const response = await send('GET', path, {
        query,
        signal,
        headers: {
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
      });
      if (!response.body) throw new CliError(`${server.url} answered ${path} without a stream`);
      return response.body;
    },
  };
}

function parseAnswer<S extends z.ZodType>(schema: S, text: string, call: string): z.output<S> {
  let value: unknown = null;
  try {
    value = text === '' ? null : JSON.parse(text);
  } catch {
    throw new CliError(`the answer to ${call} is not JSON`, {
      hint: 'is this the address of a Windlass server? see: windlass version',
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const first = parsed.error.issues[0];
  throw new CliError(
    `the answer to ${call} is not understood: ${first ? `${first.path.join('.')}: ${first.message}` : 'wrong shape'}`,
    {
      hint: 'the server may be of another version than this command; see: windlass version',
    },
  );
}

async function problemOf(response: Response, server: Server): Promise<CliError> {
  const text = await response.text().catch(() => '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = problemDetailsSchema.safeParse(value);
  if (!parsed.success) {
    return new CliError(`${server.url} answered ${response.status} ${response.statusText}`.trim(), {
      exitCode: exitCodeOfError('', response.status),
      // A proxy in front of a server that is away answers in its own words.
      code: response.status >= 500 ? 'unavailable' : undefined,
      hint: 'is this the address of a Windlass server?',
    });
  }
  const { detail, code, hint, problems, status } = parsed.data;
  return new CliError(detail, {
    exitCode: exitCodeOfError(code, status),
    code,
    hint: code === 'unauthenticated' ? `store a key that works: windlass login ${server.url}` : hint,
    problems,
  });
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
function isRefused(error: unknown): boolean {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ERR_INVALID_URL'].includes(causeCode(error));
}

function unreachable(url: string, error: unknown): UnreachableError {
  const reason =
    error instanceof Error && error.cause !== undefined ? messageOf(error.cause) || causeCode(error) : messageOf(error);
  return new UnreachableError(`cannot reach ${url}: ${reason}`, {
    exitCode: exitCodes.failed,
    code: 'unreachable',
    hint: 'start it with `windlass up`, or give another address with --url or WINDLASS_URL',
    cause: error,
  });
}
