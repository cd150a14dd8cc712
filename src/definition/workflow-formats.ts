/** The two formats of workflow files. That of Windlass extends that of env0. */
import type { z } from 'zod';
import type { Fields, Found, Naming, Piece } from './schema.ts';
import { mapping } from './schema.ts';

export type WorkflowFormat = 'env0' | 'windlass';
export type InFormats<T> = Readonly<Record<WorkflowFormat, Piece<T>>>;
type Shape = Readonly<Record<string, z.ZodType>>;

/** A mapping in both formats: what `env0` has, and what `windlass` adds or knows otherwise. */
export function inFormats<B extends Shape, M extends Shape, T>(
  { env0, windlass, missing, ...options }: FormatOptions<B, M>,
  finish: (fields: Fields<Omit<B, keyof M> & M>, found: Found, format: WorkflowFormat) => T | undefined,
): InFormats<T> {
  const all = { ...env0, ...windlass };
  const elsewhere = (key: string): string | undefined =>
    Object.hasOwn(all, key) ? '; only windlass.workflow.yml has it' : undefined;
  return {
    // What only the other format has is left out here, as it may be there.
    env0: mapping<Shape, T>(env0, { ...options, elsewhere, missing: missing?.('env0') }, (fields, found) =>
      finish(fields as Parameters<typeof finish>[0], found, 'env0'),
    ),
    windlass: mapping<Shape, T>(all, { ...options, missing: missing?.('windlass') }, (fields, found) =>
      finish(fields as Parameters<typeof finish>[0], found, 'windlass'),
    ),
  };
}

interface FormatOptions<B extends Shape, M extends Shape> {
  readonly env0: B;
  readonly windlass: M;
  readonly naming?: Naming;
  readonly expected?: string;
  /** How a message goes on that says that a key is missing. */
  readonly missing?: (format: WorkflowFormat) => Readonly<Record<string, string>>;
}
