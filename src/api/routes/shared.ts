import type { Deployment } from '../../model/index.ts';
import { WindlassError } from '../../model/index.ts';
import type { Artifacts } from '../../artifacts/index.ts';
import { apiBase } from '../../contract/index.ts';
import type { Operations } from '../../operations/index.ts';
import type { Database } from '../../store/index.ts';
import type { Announcements } from '../announcements.ts';
import { Reply } from '../route.ts';
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

/** A run that was asked for. */
export function accepted({
  deployment,
  warning,
}: {
  deployment: Deployment;
  warning: string | null;
}): Reply<Deployment & { warning?: string }> {
  const headers = { Location: `${apiBase}/deployments/${deployment.id}` };
  return new Reply({ ...deployment, ...(warning === null ? {} : { warning }) }, { headers });
}

/** What is made with a secret. The caller alone is told it: what is kept for repeats of the call must not hold it. */
export function withSecretToken<T extends { readonly token: string }>(
  made: T,
): Reply<Omit<T, 'token'> & { token: string | null }> {
  return new Reply<Omit<T, 'token'> & { token: string | null }>(made, {
    headers: { 'Cache-Control': 'no-store' },
    stored: { ...made, token: null },
  });
}
