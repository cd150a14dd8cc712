import type { Request } from 'express';
import type { Logger } from 'pino';
import { audit, authenticate } from '../access/index.ts';
import { WindlassError, messageOf, systemActor } from '../model/index.ts';
import type { Database } from '../store/index.ts';
import { createBadKeys } from './bad-keys.ts';
import type { Burst } from './bad-keys.ts';
import { HttpProblem } from './problems.ts';

type Authenticate = (request: Request) => ReturnType<typeof authenticate>;

function tokenOf(request: Request): string {
  const header = request.get('authorization');
  if (header === undefined) {
    throw new WindlassError('unauthenticated', 'This call needs a key', {
      hint: 'send it as: Authorization: Bearer wlk_…',
    });
  }
  const token = /^Bearer +([\x21-\x7e]{1,500})$/i.exec(header)?.[1];
  if (token === undefined) {
    throw new WindlassError('unauthenticated', 'The Authorization header is not understood', {
      hint: 'send it as: Authorization: Bearer wlk_…',
    });
  }
  return token;
}

function slowDown(waitMs: number): HttpProblem {
  const seconds = Math.ceil(waitMs / 1000);
  return new HttpProblem(429, 'tooManyTries', 'Too many keys were refused', {
    hint: `try again in ${seconds} s, with a key that is good: windlass login`,
    headers: { 'Retry-After': String(seconds) },
  });
}

/** Checks the key of a call. Bad ones are slowed down, and a burst of them is written into the audit log once. */
export function createAuthentication(db: Database, log: Logger, clock?: () => number): Authenticate {
  const badKeys = createBadKeys(clock);

  function tell({ by, source }: Burst, from: string, reason: string): void {
    audit(db.sql, {
      actor: { ...systemActor, from },
      action: 'key.refused',
      targetType: by,
      targetId: source,
      projectId: null,
      before: null,
      after: { reason: `many bad keys, the last: ${reason}` },
    }).catch((error: unknown) => log.warn({ reason: messageOf(error), source }, 'many bad keys'));
  }

  return async (request) => {
    const token = tokenOf(request);
    const from = request.ip ?? 'unknown';
    const waitMs = badKeys.waitMs(token);
    if (waitMs > 0) throw slowDown(waitMs);
    try {
      const caller = await authenticate(db.sql, token, from);
      badKeys.good(token);
      return caller;
    } catch (thrown) {
      if (!(thrown instanceof WindlassError) || thrown.code !== 'unauthenticated') throw thrown;
      const refused = badKeys.refused(token, from);
      for (const burst of refused.bursts) tell(burst, from, thrown.message);
      throw refused.waitMs > 0 ? slowDown(refused.waitMs) : thrown;
    }
  };
}
