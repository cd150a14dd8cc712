import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Principal } from '../access/index.ts';
import { contract, routesOf } from '../contract/index.ts';
import type { AnswerSchema, Contract, Parsed, RouteContract, SchemaOf } from '../contract/index.ts';

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
  readonly headers: Readonly<Record<string, string>>;
  /** What is kept for repeats with the same idempotency key. */
  readonly stored: T;

  constructor(body: T, options: { headers?: Readonly<Record<string, string>>; stored?: T } = {}) {
    this.body = body;
    this.headers = options.headers ?? {};
    this.stored = options.stored ?? body;
  }
}

export type CallOf<R> = Call<Parsed<R, 'params'>, Parsed<R, 'query'>, Parsed<R, 'body'>>;

/** What a handler answers; one of a route with several media types writes its answer itself. */
type AnswerOf<R> = [SchemaOf<R, 'response'>] extends [never]
  ? void
  : z.input<AnswerSchema<R>> | Reply<z.input<AnswerSchema<R>>>;

export type Handler<R> = (call: CallOf<R>) => AnswerOf<R> | Promise<AnswerOf<R>>;

/** The handlers of one group of the contract. One too many or too few does not compile. */
export type HandlersOf<G extends keyof Contract> = { readonly [N in keyof Contract[G]]: Handler<Contract[G][N]> };
export type Handlers = { readonly [G in keyof Contract]: HandlersOf<G> };

/** A route of the contract with what answers it. */
export interface Route extends RouteContract {
  readonly handle: (call: Call<unknown, unknown, unknown>) => unknown;
}

/** The contract with its handlers, in the contract's order. */
export function bindRoutes(handlers: Handlers): Route[] {
  const table: Readonly<Record<string, Readonly<Record<string, unknown>>>> = handlers;
  return routesOf(contract).map(({ group, name, route }) => {
    // The router parses the parts of a call with exactly the schemas that type the handler.
    const handle = table[group]?.[name] as Route['handle'];
    return { ...route, handle };
  });
}
