import { z } from 'zod';
import { WindlassError } from '../../model/index.ts';
import type { Artifacts } from '../../artifacts/index.ts';
import type { Operations } from '../../operations/index.ts';
import type { Database } from '../../store/index.ts';
import type { Announcements } from '../announcements.ts';
import type { SharedReads } from '../shared-reads.ts';

/** What handlers stand on. */
export interface RouteDeps {
  readonly operations: Operations;
  readonly db: Database;
  readonly artifacts: Artifacts;
  readonly announcements: Announcements;
  /** For what many who follow the same thing read at the same moment. */
  readonly shared: SharedReads;
  readonly version: string;
  readonly temporalUrl: string | null;
  /** What everything is sealed with, for a backup alone. */
  readonly encryptionKeys: () => readonly Uint8Array[];
  /** Where a backup is put together. */
  readonly backupDirectory: string;
}

export const reference = z.string().min(1).max(500);

export const refParams = z.object({
  ref: reference.describe('Id, unique beginning of one, or name; `shop%2Feks` is a node'),
});
export const idParams = z.object({ id: z.string().min(1).max(100) });
export const nodeParams = z.object({
  ref: reference.describe('Deployment: id, unique beginning of one, or `environment#number`'),
  alias: z.string().min(1).max(300),
});

export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).optional().describe('Items of a page; 50 when absent'),
  cursor: z.string().min(1).max(1000).optional().describe('`next` of the page before'),
};
/** Of lists that are short enough to come whole: page parameters are taken and limit what comes. */
export const shortListQuery = z.strictObject(pageQuery);

export const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional();

export const since = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .optional()
  .describe('ISO 8601');

export const projectQuery = { project: reference.optional().describe('Name or id') };
export const reasonBody = z.strictObject({ reason: z.string().trim().min(1).max(1000) });
export const optionalReasonBody = z.strictObject({ reason: z.string().trim().min(1).max(1000).optional() });

export interface Slice {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A page of a list that was read whole. The cursor is the number of items before it. */
export function slice<T>(
  items: readonly T[],
  { limit, cursor }: Slice,
  defaultLimit = 200,
): { items: T[]; next: string | null } {
  if (cursor !== undefined && !/^\d{1,7}$/.test(cursor)) {
    throw new WindlassError('invalidInput', 'the cursor is not one of this list', {
      hint: 'pass `next` of the page before as it was answered',
    });
  }
  const from = Number(cursor ?? 0);
  const to = from + (limit ?? defaultLimit);
  return { items: items.slice(from, to), next: to < items.length ? String(to) : null };
}
