import type { z } from 'zod';
import { ApiError } from './errors.ts';

/** Takes fields away that a strict part of the schema does not name; whether there were any. */
function dropUnknown(value: unknown, issues: readonly z.core.$ZodIssue[]): boolean {
  let dropped = false;
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    let place = value;
    for (const step of issue.path) place = (place as Record<PropertyKey, unknown>)[step];
    for (const key of issue.keys) delete (place as Record<string, unknown>)[key];
    dropped = true;
  }
  return dropped;
}

/** Parses what a server has answered. A newer server may name fields that are not known here: they are left out. */
export function parseAnswer<S extends z.ZodType>(
  schema: S,
  value: unknown,
  { what, url }: { readonly what: string; readonly url: string },
): z.output<S> {
  for (;;) {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    if (dropUnknown(value, parsed.error.issues)) continue;
    const first = parsed.error.issues[0];
    const why = first ? `${first.path.join('.')}: ${first.message}` : 'wrong shape';
    throw new ApiError(`the answer to ${what} is not understood: ${why}`, {
      url,
      hint: 'the server may be of another version than this client; see: windlass version',
    });
  }
}
