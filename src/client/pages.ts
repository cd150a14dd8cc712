import type { Page } from '../model/index.ts';

export interface Listing<T> {
  readonly items: T[];
  /** There are others. */
  readonly more: boolean;
}

interface PageQuery {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Items of all pages of a list, at most `limit`: `collect(client.environments.list, { query: { name: 'shop' } })`. */
export async function collect<const I extends { readonly query?: object }, T>(
  list: (input: I) => Promise<Page<T>>,
  input: I,
  { limit = Infinity, pageSize = 200 }: { readonly limit?: number; readonly pageSize?: number } = {},
): Promise<Listing<T>> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const query: PageQuery = { ...input.query, limit: Math.min(pageSize, limit - items.length), cursor };
    const page = await list({ ...input, query });
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && items.length < limit);
  return { items: items.slice(0, limit), more: cursor !== undefined || items.length > limit };
}
