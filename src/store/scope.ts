import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Scope } from '../model/index.ts';

/** Whether a row of this project may be seen. What belongs to no project may be seen with all alone. */
export function inScope(scope: Scope, projectId: RawBuilder<unknown>): RawBuilder<boolean> {
  return scope === 'all' ? sql<boolean>`true` : sql<boolean>`${projectId} = ANY(${scope}::text[])`;
}
