import { createHash } from 'node:crypto';
import { claimIdempotencyKey, completeIdempotencyKey, releaseIdempotencyKey } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { IdempotencyStore } from './router.ts';

/** Answers of mutating calls, kept in the database so that every process of the API knows them. */
export function createIdempotencyStore({ sql }: Database): IdempotencyStore {
  return {
    async claim({ actor, key, method, path, body }) {
      const requestHash = createHash('sha256')
        .update(JSON.stringify([method, path, body]))
        .digest('hex');
      const answer = await claimIdempotencyKey(sql, { actor, key, requestHash });
      return answer.state === 'new' ? null : { status: answer.status, body: answer.body };
    },
    complete: ({ actor, key }, answer) => completeIdempotencyKey(sql, { actor, key }, answer),
    release: ({ actor, key }) => releaseIdempotencyKey(sql, { actor, key }),
  };
}
