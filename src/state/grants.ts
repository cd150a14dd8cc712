import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { WindlassError } from '../model/index.ts';
import { findGrant, insertGrant } from '../store/index.ts';
import type { Grant, GrantRequest, StateContext } from './types.ts';

interface KnownGrant extends Grant {
  readonly tokenHash: Buffer;
}

export interface Grants {
  create(request: GrantRequest): Promise<{ id: string; token: string }>;
  authenticate(environmentId: string, grantId: string, token: string): Promise<Grant | null>;
}

/** Only what never changes about a grant is remembered; fencing is looked at in the statement that acts. */
const maxKnown = 5_000;

function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

export function createGrants({ db }: StateContext): Grants {
  const known = new Map<string, KnownGrant>();
  const remember = (grant: KnownGrant): KnownGrant => {
    const oldest = known.size >= maxKnown ? known.keys().next().value : undefined;
    if (oldest !== undefined) known.delete(oldest);
    known.set(grant.id, grant);
    return grant;
  };
  async function find(id: string): Promise<KnownGrant | null> {
    const grant = await findGrant(db, id);
    return grant === null ? null : remember({ ...grant, tokenHash: Buffer.from(grant.tokenHash, 'hex') });
  }
  return {
    async create(request) {
      const id = `grant_${randomBytes(12).toString('hex')}`;
      const token = randomBytes(32).toString('base64url');
      const tokenHash = hashToken(token);
      await insertGrant(db, { ...request, id, tokenHash: tokenHash.toString('hex') });
      remember({ id, environmentId: request.environmentId, readOnly: request.readOnly, tokenHash });
      return { id, token };
    },
    async authenticate(environmentId, grantId, token) {
      if (!/^grant_[0-9a-f]{24}$/.test(grantId)) return null;
      const grant = known.get(grantId) ?? (await find(grantId));
      if (!grant || !timingSafeEqual(hashToken(token), grant.tokenHash)) return null;
      if (grant.environmentId !== environmentId) return null;
      return { id: grant.id, environmentId, readOnly: grant.readOnly };
    },
  };
}

export function fenced(environmentId: string): WindlassError {
  return new WindlassError(
    'forbidden',
    `this run may no longer use the state of ${environmentId}: Windlass has taken its access away`,
    {
      hint: 'Its worker was believed dead, or the run was ended. Nothing was changed; look at the deployment before you go on.',
      class: 'cancelled',
    },
  );
}

export function readOnly(environmentId: string): WindlassError {
  return new WindlassError('forbidden', `this run may only read the state of ${environmentId}`, {
    hint: 'Plans of drift checks run without a lock (-lock=false) and change nothing.',
  });
}
