import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  claimIdempotencyKey,
  completeIdempotencyKey,
  releaseIdempotencyKey,
  requestInProgressError,
} from '../store/index.ts';
import type { ClaimAnswer, Database, IdempotencyClaim } from '../store/index.ts';
import type { IdempotencyStore } from './router.ts';

/** Longer than any call takes, like the age at which a claim is taken over although its process may live. */
const patienceMs = 30_000;
const shortestPauseMs = 25;
const longestPauseMs = 500;

/** Answers of mutating calls, kept in the database so that every process of the API knows them. */
export function createIdempotencyStore({ sql, presence }: Database): IdempotencyStore {
  /** The owner is asked for each time: it is another one after a lost connection. */
  async function settled(claim: IdempotencyClaim): Promise<{ owner: number | null; answer: ClaimAnswer }> {
    const deadline = performance.now() + patienceMs;
    for (let pauseMs = shortestPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const owner = await presence.current();
      const answer = await claimIdempotencyKey(sql, { ...claim, owner });
      if (answer.state !== 'pending' || performance.now() + pauseMs > deadline) return { owner, answer };
      await delay(pauseMs);
    }
  }

  return {
    async claim({ actor, key, method, path, body }) {
      const requestHash = createHash('sha256')
        .update(JSON.stringify([method, path, body]))
        .digest('hex');
      const { owner, answer } = await settled({ actor, key, requestHash });
      if (answer.state === 'pending') throw requestInProgressError(key);
      if (answer.state === 'answered') return { status: answer.status, body: answer.body };
      return {
        complete: (given) => completeIdempotencyKey(sql, { actor, key }, given),
        release: () => releaseIdempotencyKey(sql, { actor, key, owner }),
      };
    },
  };
}
