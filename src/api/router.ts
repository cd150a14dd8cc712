import express from 'express';
import type { NextFunction, Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import type { Principal } from '../access/index.ts';
import { apiBase, defaultBodyLimit, idempotencyHeader, idempotencyKeySchema, statusOf } from '../contract/index.ts';
import type { Method } from '../contract/index.ts';
import { parseJsonBody, requireJson } from './json-body.ts';
import { inSpan, parseTraceparent } from '../tracing/index.ts';
import { HttpProblem, parseInput } from './problems.ts';
import { Reply } from './route.ts';
import type { Route } from './route.ts';
import { noteRoute, requestIdOf } from './request-log.ts';

/** What a repeated call gets again. */
export interface StoredAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface IdempotencyRequest {
  readonly key: string;
  readonly actor: string;
  /** What was asked, so that a key is not used for two things. */
  readonly method: Method;
  readonly path: string;
  readonly body: unknown;
}

/** Keeps the answers of mutating calls under their keys. */
export interface IdempotencyStore {
  /**
   * Waits for a first call that is still running. Throws `idempotencyMismatch`, and `conflict` when that takes too long.
   */
  claim(request: IdempotencyRequest): Promise<StoredAnswer | ClaimedKey>;
}

/** A key that is this call's. Exactly one of the two ends it. */
export interface ClaimedKey {
  complete(answer: StoredAnswer): Promise<void>;
  /** The call failed; the key may be used again. */
  release(): Promise<void>;
}

export interface RouterOptions {
  readonly authenticate: (request: Request) => Promise<Principal>;
  readonly idempotency: IdempotencyStore;
}

const none = z.undefined();
const emptyQuery = z.strictObject({});

function goneSignal(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => controller.abort());
  return controller.signal;
}

function bodyReader(route: Route): RequestHandler[] {
  if (!route.body) return [];
  const limit = route.bodyLimit ?? defaultBodyLimit;
  const optional = route.body.safeParse({}).success;
  const read = express.text({ type: () => true, limit, defaultCharset: 'utf-8' });
  return [
    (request, response, next) => {
      const length = Number(request.headers['content-length'] ?? 0);
      if (length > limit) throw tooLarge(limit);
      const hasBody = length > 0 || request.headers['transfer-encoding'] !== undefined;
      if (hasBody) {
        requireJson(request.headers['content-type']);
        read(request, response, next);
        return;
      }
      // Calls such as "cancel" need no body; everything else without one is told what is missing.
      request.body = optional ? '{}' : '';
      next();
    },
  ];
}

function tooLarge(limit: number): WindlassError {
  return new WindlassError('tooLarge', `The body is larger than ${limit / 1024 / 1024} MiB`, {
    hint: 'send less at once; code belongs in a repository or a directory that a template names, not into a call',
  });
}

/** Errors that Express's reader of bodies makes. */
export function fromBodyReader(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || !('type' in thrown) || typeof thrown.type !== 'string') return thrown;
  switch (thrown.type) {
    case 'entity.too.large':
      return tooLarge('limit' in thrown && typeof thrown.limit === 'number' ? thrown.limit : defaultBodyLimit);
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new HttpProblem(415, 'unsupportedMediaType', thrown.message, {
        hint: 'JSON is UTF-8; gzip, deflate and br are understood',
      });
    case 'request.aborted':
    case 'request.size.invalid':
    case 'stream.encoding.set':
      return new WindlassError('invalidInput', `The body did not arrive whole: ${thrown.message}`);
    default:
      return thrown;
  }
}

function readBody(route: Route, request: Request): unknown {
  if (!route.body) return undefined;
  const text: unknown = request.body;
  const value = parseJsonBody(typeof text === 'string' ? text : '');
  return parseInput(route.body, value, 'body');
}

function readKey(request: Request): string | undefined {
  const header = request.get(idempotencyHeader);
  if (header === undefined) return undefined;
  const parsed = idempotencyKeySchema.safeParse(header);
  if (parsed.success) return parsed.data;
  throw new WindlassError(
    'invalidInput',
    `${idempotencyHeader}: ${parsed.error.issues[0]?.message ?? 'is not valid'}`,
    {
      hint: 'a UUID does well',
    },
  );
}

interface Answer extends StoredAnswer {
  readonly headers: Readonly<Record<string, string>>;
  /** The body that is kept for repeats. */
  readonly stored: unknown;
}

async function answer(route: Route, call: Parameters<Route['handle']>[0]): Promise<Answer> {
  const result = await route.handle(call);
  const { body, stored, headers } = result instanceof Reply ? result : new Reply(result);
  const status = statusOf(route);
  if (!route.response) return { status, body: null, stored: null, headers };
  // Parsing what goes out drops what the schema does not name: nothing secret slips through by accident.
  return { status, body: route.response.parse(body), stored: route.response.parse(stored), headers };
}

function send(response: Response, { status, body }: StoredAnswer, headers: Readonly<Record<string, string>>): void {
  response.set(headers).status(status);
  if (status === 204) response.end();
  else response.json(body);
}

function handlerOf(route: Route, options: RouterOptions): RequestHandler {
  const params = route.params ?? none;
  const query = route.query ?? emptyQuery;
  const name = `${route.method.toUpperCase()} ${apiBase}${route.path}`;
  const handle = async (request: Request, response: Response): Promise<void> => {
    const caller = callerOf(response);
    const body = readBody(route, request);
    const idempotencyKey = route.method === 'get' ? undefined : readKey(request);
    const call = {
      caller,
      params: route.params ? parseInput(params, request.params, 'path') : undefined,
      query: parseInput(query, request.query, 'query'),
      body,
      requestId: requestIdOf(response),
      idempotencyKey,
      gone: goneSignal(response),
      request,
      response,
    };
    if (route.media) {
      // A stream has no end that could be measured.
      if (request.method === 'HEAD') response.status(200).end();
      else await route.handle(call);
      return;
    }
    if (idempotencyKey === undefined) {
      const done = await answer(route, call);
      send(response, done, done.headers);
      return;
    }
    const asked: IdempotencyRequest = {
      key: idempotencyKey,
      actor: `${caller.kind}:${caller.id}`,
      method: route.method,
      path: request.originalUrl,
      body: body ?? null,
    };
    const claimed = await options.idempotency.claim(asked);
    if ('status' in claimed) {
      send(response, claimed, { 'Idempotency-Replayed': 'true' });
      return;
    }
    let done: Answer;
    try {
      done = await answer(route, call);
    } catch (thrown) {
      await claimed.release().catch(() => undefined);
      throw thrown;
    }
    await claimed.complete({ status: done.status, body: done.stored });
    send(response, done, done.headers);
  };
  const attributes = { 'http.request.method': route.method.toUpperCase(), 'http.route': `${apiBase}${route.path}` };
  return (request, response) =>
    inSpan(name, { kind: 'server', parent: parseTraceparent(request.get('traceparent')), attributes }, async (span) => {
      await handle(request, response);
      span.set({ 'http.response.status_code': response.statusCode });
    });
}

const callers = new WeakMap<Response, Principal>();

function callerOf(response: Response): Principal {
  const caller = callers.get(response);
  if (!caller) throw new WindlassError('unauthenticated', 'This call needs a key');
  return caller;
}

/**
 * An Express router of a route table. Keys are checked before bodies are read, so that strangers cannot make the
 * server parse anything.
 */
export function createRouter(routes: readonly Route[], options: RouterOptions): Router {
  const router = express.Router({ caseSensitive: true, strict: false });
  const byPath = new Map<string, Route[]>();
  for (const route of routes) byPath.set(route.path, [...(byPath.get(route.path) ?? []), route]);

  const checkKey: RequestHandler = async (request: Request, response: Response, next: NextFunction) => {
    callers.set(response, await options.authenticate(request));
    next();
  };
  for (const [path, ofPath] of byPath) {
    router.all(path, (_request, response, next) => {
      noteRoute(response, `${apiBase}${path}`);
      next();
    });
    for (const route of ofPath) router[route.method](path, checkKey, ...bodyReader(route), handlerOf(route, options));
    const allow = [
      ...ofPath.map((route) => route.method.toUpperCase()),
      ...(ofPath.some((r) => r.method === 'get') ? ['HEAD'] : []),
      'OPTIONS',
    ].join(', ');
    router.options(path, (_request, response) => {
      response.set('Allow', allow).status(204).end();
    });
    router.all(path, (request) => {
      throw new HttpProblem(405, 'methodNotAllowed', `${request.method} is not possible on ${request.path}`, {
        headers: { Allow: allow },
        hint: `possible: ${allow}`,
      });
    });
  }
  return router;
}
