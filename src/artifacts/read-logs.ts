import { sql } from 'kysely';
import { z } from 'zod';
import type { LogChunk } from '../model/index.ts';
import { stages } from '../model/index.ts';
import { completeUpTo } from '../store/index.ts';
import type { Db } from '../store/index.ts';

export interface LogQuery {
  readonly deploymentId: string;
  readonly alias?: string | undefined;
  readonly index?: number | undefined;
  readonly stage?: string | undefined;
  readonly compensation?: boolean | undefined;
  /** Chunks after this id; 0 reads from the beginning. */
  readonly afterId: number;
  readonly limit: number;
}

const rowSchema = z.object({
  id: z.number(),
  alias: z.string(),
  stage: z.enum(stages),
  compensation: z.boolean(),
  try: z.number(),
  at: z.date(),
  text: z.string(),
});

/** Log chunks in the order they were written. None appears later at or below the last id that was answered. */
export async function readLogs(db: Db, query: LogQuery): Promise<LogChunk[]> {
  // asked before the read, as writers of other nodes may commit in another order than they took their ids in
  const upToId = await completeUpTo(db, 'log_chunks');
  const { rows } = await sql`
    SELECT l.id, nr.alias, l.stage, l.compensation, l.try, l.at, l.text
    FROM log_chunks l JOIN node_runs nr ON nr.deployment_id = l.deployment_id AND nr.index = l.index AND nr.compensation = l.compensation
    WHERE l.deployment_id = ${query.deploymentId} AND l.id > ${query.afterId} AND l.id <= ${upToId}
      ${query.alias === undefined ? sql`` : sql`AND nr.alias = ${query.alias}`}
      ${query.index === undefined ? sql`` : sql`AND l.index = ${query.index}`}
      ${query.stage === undefined ? sql`` : sql`AND l.stage = ${query.stage}`}
      ${query.compensation === undefined ? sql`` : sql`AND l.compensation = ${query.compensation}`}
    ORDER BY l.id LIMIT ${query.limit}`.execute(db);
  return rows.map((row) => {
    const chunk = rowSchema.parse(row);
    return { ...chunk, at: chunk.at.toISOString() };
  });
}
