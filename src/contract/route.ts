import type { z } from 'zod';
import type { Permission } from '../model/index.ts';

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

/**
 * What a key needs, in the project of what is named: a permission, any of several, `*` for administrators, or null when
 * every key will do.
 */
export type RoutePermission = Permission | readonly Permission[] | '*' | null;

interface RouteDetails {
  readonly tag: Tag;
  readonly permission: RoutePermission;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Largest body in bytes. Default 1 MiB. */
  readonly bodyLimit?: number;
  /** Default 200, and 204 of a route without an answer. */
  readonly status?: number;
  /** The JSON that it answers. */
  readonly response?: z.ZodType;
  /** Instead of `response`: the media types that it may answer with, and what each holds. */
  readonly media?: Readonly<Record<string, z.ZodType>>;
  /** What each event of its `text/event-stream` carries, by name. */
  readonly events?: Readonly<Record<string, z.ZodType>>;
}

/** One route of the API without its handler: what may be sent, what comes back, and who may ask. */
export interface RouteContract extends RouteDetails {
  readonly method: Method;
  /** Under /api/v1; `:name` is a parameter. */
  readonly path: string;
}

/** Routes by what they are about and what they do: `environments.list`. */
export type RouteTable = Readonly<Record<string, Readonly<Record<string, RouteContract>>>>;

/** A line of the route table, `GET /environments/:ref` with what belongs to it. */
export function route<const D extends RouteDetails>(
  line: `${Uppercase<Method>} /${string}`,
  details: D,
): D & Pick<RouteContract, 'method' | 'path'> {
  const [method = '', path = ''] = line.split(' ');
  return { ...details, method: method.toLowerCase() as Method, path };
}

export function statusOf({ status, response, media }: RouteContract): number {
  return status ?? (response || media ? 200 : 204);
}

/** The lines of a route table with their names. */
export function routesOf(table: RouteTable): { group: string; name: string; route: RouteContract }[] {
  return Object.entries(table).flatMap(([group, routes]) =>
    Object.entries(routes).map(([name, route]) => ({ group, name, route })),
  );
}

/** The schema of a part of a route; never when it has none. */
export type SchemaOf<R, Part extends string> = R extends { readonly [P in Part]: infer S extends z.ZodType }
  ? S
  : never;

/** What a part of a request is once it is parsed: `params`, `query` or `body`. */
export type Parsed<R, Part extends 'params' | 'query' | 'body'> = [SchemaOf<R, Part>] extends [never]
  ? undefined
  : z.output<SchemaOf<R, Part>>;

/** The schema of the JSON that a route answers; never when it has none. */
export type AnswerSchema<R> =
  | SchemaOf<R, 'response'>
  | (R extends { readonly media: { readonly 'application/json': infer S extends z.ZodType } } ? S : never);
