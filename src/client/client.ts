import type { z } from 'zod';
import { contract, routesOf } from '../contract/index.ts';
import type { AnswerSchema, Contract, RouteContract, SchemaOf } from '../contract/index.ts';
import { parseAnswer } from './answer.ts';
import { ApiError, readJson } from './errors.ts';
import { follow } from './stream.ts';
import type { StreamEvent, StreamOptions } from './stream.ts';
import { send } from './transport.ts';
import type { Ask, CallOptions, Server } from './transport.ts';

/** A value as the server reads it from an address, or as the text that it is read from. */
type QueryValue<I, O> = (unknown extends I ? string : I) | O;
type QueryOf<Q extends z.ZodType> = {
  [K in keyof z.input<Q>]: QueryValue<z.input<Q>[K], K extends keyof z.output<Q> ? z.output<Q>[K] : never>;
};

type Empty = Record<never, never>;

/** A part of a call, which may be left out when nothing in it has to be given. */
type Part<N extends string, T> = [T] extends [never]
  ? unknown
  : Empty extends T
    ? { readonly [P in N]?: T }
    : { readonly [P in N]: T };

type Input<R> = Part<
  'params',
  [SchemaOf<R, 'params'>] extends [never] ? never : Record<keyof z.input<SchemaOf<R, 'params'>>, string | number>
> &
  Part<'query', [SchemaOf<R, 'query'>] extends [never] ? never : QueryOf<SchemaOf<R, 'query'>>> &
  Part<'body', [SchemaOf<R, 'body'>] extends [never] ? never : z.input<SchemaOf<R, 'body'>>>;

type Arguments<R, Options> =
  Empty extends Input<R> ? [input?: Input<R>, options?: Options] : [input: Input<R>, options?: Options];

type Answer<R> = [AnswerSchema<R>] extends [never] ? void : z.output<AnswerSchema<R>>;

/** Calls a route and answers its JSON, parsed; with more ways for routes that answer other things too. */
export type Method<R> = ((...args: Arguments<R, CallOptions>) => Promise<Answer<R>>) &
  (R extends { readonly media: infer M }
    ? {
        /** The answer as it comes, such as text or a file. */
        response(...args: Arguments<R, CallOptions & { readonly accept?: keyof M }>): Promise<Response>;
      }
    : unknown) &
  (R extends { readonly events: infer E extends Readonly<Record<string, z.ZodType>> }
    ? {
        /** Follows it to its end, over broken lines and restarts of the server. */
        stream(...args: Arguments<R, StreamOptions>): AsyncGenerator<StreamEvent<E>, void, undefined>;
      }
    : unknown);

/** A server's API: a method for each route of the contract. Every failure is an ApiError. */
export type Client = { readonly url: string } & {
  readonly [G in keyof Contract]: { readonly [N in keyof Contract[G]]: Method<Contract[G][N]> };
};

/** What a method answers. */
export type AnswerOf<M extends (...args: never[]) => Promise<unknown>> = Awaited<ReturnType<M>>;

/** What the stream of a method sends. */
export type EventOf<M> = M extends { stream(...args: never[]): AsyncGenerator<infer E, void, undefined> } ? E : never;

interface Given {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

/** Names may hold anything, slashes too. */
function pathOf(route: RouteContract, params: Given['params'] = {}): string {
  return route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
}

function askOf(route: RouteContract, { params, query, body }: Given): Ask {
  return {
    method: route.method.toUpperCase(),
    path: pathOf(route, params),
    query,
    ...(route.body ? { body: body ?? {} } : {}),
  };
}

function methodOf(server: Server, route: RouteContract): unknown {
  const { media, events } = route;
  const schema = route.response ?? media?.['application/json'];

  async function call(given: Given = {}, options: CallOptions = {}): Promise<unknown> {
    const ask = askOf(route, given);
    const text = await (await send(server, { ...ask, ...options })).text();
    if (!schema) return undefined;
    const what = `${ask.method} ${ask.path}`;
    const value = text === '' ? null : readJson(text);
    if (value === undefined) {
      const hint = 'is this the address of a Windlass server? see: windlass version';
      throw new ApiError(`the answer to ${what} is not JSON`, { url: server.url, hint });
    }
    return parseAnswer(schema, value, { what, url: server.url });
  }

  function response(given: Given = {}, { accept = '*/*', ...options }: CallOptions & { accept?: string } = {}) {
    return send(server, { ...askOf(route, given), ...options, headers: { accept } });
  }

  function stream(given: Given = {}, options: StreamOptions = {}) {
    const ask = askOf(route, given);
    return follow(
      {
        url: server.url,
        what: `${ask.method} ${ask.path}`,
        events: events ?? {},
        open: async (lastEventId, signal) => {
          const headers: Record<string, string> = { accept: 'text/event-stream' };
          if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
          return (await send(server, { ...ask, signal, timeoutMs: Infinity, headers })).body;
        },
      },
      options,
    );
  }

  return Object.assign(call, media ? { response } : {}, events ? { stream } : {});
}

/** A client of the server at an address, with a key. */
export function createClient(server: Server): Client {
  const groups: Record<string, Record<string, unknown>> = {};
  for (const { group, name, route } of routesOf(contract)) (groups[group] ??= {})[name] = methodOf(server, route);
  // The table and its type are made from the same contract.
  return { url: server.url, ...groups } as Client;
}
