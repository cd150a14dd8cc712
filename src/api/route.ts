import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Principal } from '../access/index.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export const tags = [
  'Environments',
  'Deployments',
  'Approvals',
  'State',
  'Variables',
  'Templates',
  'Projects',
  'Access',
  'Tools',
] as const;
export type Tag = (typeof tags)[number];

/** What a handler gets: everything from outside is already parsed. */
export interface Call<P, Q, B> {
  readonly caller: Principal;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly requestId: string;
  readonly idempotencyKey: string | undefined;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
  readonly request: Request;
  readonly response: Response;
}

/** An answer of the route's usual shape with more than the body. */
export class Reply<T> {
  readonly body: T;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: T, options: { status?: number; headers?: Readonly<Record<string, string>> } = {}) {
    this.body = body;
    this.status = options.status;
    this.headers = options.headers ?? {};
  }
}

interface Shape<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: Method;
  /** Under /api/v1, in Express's notation. */
  readonly path: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** Largest body in bytes. Default 1 MiB. */
  readonly bodyLimit?: number;
}

export interface RouteDefinition<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
  R extends z.ZodType = z.ZodType,
> extends Shape<P, Q, B> {
  readonly status: number;
  readonly response: R;
  /** What is kept of the answer for repeats with the same idempotency key; all of it when absent. */
  readonly stored?: (body: z.output<R>) => unknown;
  readonly handle: (
    call: Call<z.output<P>, z.output<Q>, z.output<B>>,
  ) => Promise<z.input<R> | Reply<z.input<R>>> | z.input<R> | Reply<z.input<R>>;
}

/** A route that writes its answer itself: streams, files and text. */
export interface StreamDefinition<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
> extends Shape<P, Q, B> {
  /** Media types it may answer with, and what each holds. */
  readonly media: Readonly<Record<string, z.ZodType>>;
  readonly stream: (call: Call<z.output<P>, z.output<Q>, z.output<B>>) => Promise<void>;
}

/** One line of the route table, its types settled. */
export interface Route extends Shape<z.ZodType, z.ZodType, z.ZodType> {
  readonly status: number;
  readonly response: z.ZodType | null;
  readonly media: Readonly<Record<string, z.ZodType>> | null;
  readonly stored: (body: unknown) => unknown;
  /** Writes the answer, or gives the body to be written. */
  readonly run: (call: Call<unknown, unknown, unknown>) => Promise<unknown>;
}

/**
 * A route that answers JSON. Its schemas serve three times: they check the request, type the handler, and become the
 * OpenAPI document.
 */
export function route<
  P extends z.ZodType = z.ZodType<undefined>,
  Q extends z.ZodType = z.ZodType<undefined>,
  B extends z.ZodType = z.ZodType<undefined>,
  R extends z.ZodType = z.ZodType,
>(definition: RouteDefinition<P, Q, B, R>): Route {
  const { handle, stored, ...rest } = definition;
  return {
    ...rest,
    media: null,
    stored: (body) => (stored ? stored(body as z.output<R>) : body),
    // The router has parsed the three parts with exactly these schemas.
    run: async (call) => handle(call as Call<z.output<P>, z.output<Q>, z.output<B>>),
  };
}

/** A route that answers other things than one JSON document. */
export function streamRoute<
  P extends z.ZodType = z.ZodType<undefined>,
  Q extends z.ZodType = z.ZodType<undefined>,
  B extends z.ZodType = z.ZodType<undefined>,
>(definition: StreamDefinition<P, Q, B>): Route {
  const { stream, ...rest } = definition;
  return {
    ...rest,
    status: 200,
    response: null,
    stored: (body) => body,
    run: async (call) => stream(call as Call<z.output<P>, z.output<Q>, z.output<B>>),
  };
}
