import type { z } from 'zod';
import { messageOf, WindlassError } from '../model/index.ts';

/** JSON for a jsonb column. NUL and halves of surrogate pairs, which PostgreSQL refuses, become U+FFFD. */
export function toJson(value: unknown): string {
  // Every escape is matched, so that the `u0000` after an escaped backslash is not taken for one.
  return JSON.stringify(value ?? null).replace(/\\(?:u0000|u[dD][89a-fA-F][0-9a-fA-F]{2}|[^])/g, (escape) =>
    escape.length === 6 ? '\ufffd' : escape,
  );
}

/** The same, but null stays NULL. */
export function toNullableJson(value: unknown): string | null {
  return value === null || value === undefined ? null : toJson(value);
}

/** Parses what a JSON column held. What does not fit was written by something else than Windlass. */
export function fromJson<T extends z.ZodType>(schema: T, value: unknown, place: string): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new WindlassError(
    'internal',
    `the database holds something unexpected in ${place}: ${messageOf(parsed.error)}`,
    {
      hint: 'it was changed by hand or by another version of Windlass',
    },
  );
}

/** ISO 8601 of a timestamp column. */
export function iso(date: Date): string {
  return date.toISOString();
}
export function isoOrNull(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
