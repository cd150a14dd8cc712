import type { Request } from 'express';
import type { Logger } from 'pino';
import { audit, authenticate } from '../access/index.ts';
import type { Principal } from '../access/index.ts';
import { WindlassError, messageOf, systemActor } from '../model/index.ts';
import type { Database } from '../store/index.ts';
import { createBadKeys } from './bad-keys.ts';
import type { Burst } from './bad-keys.ts';
import { HttpProblem } from './problems.ts';

type Authenticate = (request: Request) => Promise<Principal>;

/** One way of saying who calls. The first whose credential is in the request decides. */
export interface AuthStrategy {
  /** What the caller has sent; null leaves the request to the next strategy. Throws when it is not understood. */
  credential(request: Request): string | null;
  /** Who the credential stands for. Throws `unauthenticated` with the reason. */
  authenticate(credential: string, from: string): Promise<Principal>;
}

/** Keys: for machines, and for people at a command line. */
export function keyStrategy(db: Database): AuthStrategy {
  return { credential: bearerToken, authenticate: (token, from) => authenticate(db.sql, token, from) };
}

function bearerToken(request: Request): string | null {
  const header = request.get('authorization');
  if (header === undefined) return null;
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

function chosen(strategies: readonly AuthStrategy[], request: Request): [AuthStrategy, string] {
  for (const strategy of strategies) {
    const credential = strategy.credential(request);
    if (credential !== null) return [strategy, credential];
  }
  throw new WindlassError('unauthenticated', 'This call needs a key', {
    hint: 'send it as: Authorization: Bearer wlk_…',
  });
}

export interface AuthenticationOptions {
  /** For the audit log. */
  readonly db: Database;
  readonly log: Logger;
  readonly strategies: readonly AuthStrategy[];
  readonly clock?: (() => number) | undefined;
}

/** Finds out who calls. Bad credentials are slowed down, and a burst of them is written into the audit log once. */
export function createAuthentication({ db, log, strategies, clock }: AuthenticationOptions): Authenticate {
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
    const [strategy, token] = chosen(strategies, request);
    const from = request.ip ?? 'unknown';
    const waitMs = badKeys.waitMs(token);
    if (waitMs > 0) throw slowDown(waitMs);
    try {
      const caller = await strategy.authenticate(token, from);
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
