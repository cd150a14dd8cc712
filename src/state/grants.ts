import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { sql } from 'kysely';
import { WindlassError } from '../model/index.ts';
import type { Grant, GrantRequest, RunReference, StateContext } from './types.ts';

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
    const row = await db
      .selectFrom('state_grants')
      .select(['id', 'environment_id', 'read_only', 'token_hash'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (!row) return null;
    return remember({
      id: row.id,
      environmentId: row.environment_id,
      readOnly: row.read_only,
      tokenHash: Buffer.from(row.token_hash, 'hex'),
    });
  }
  return {
    async create(request) {
      const id = `grant_${randomBytes(12).toString('hex')}`;
      const token = randomBytes(32).toString('base64url');
      const tokenHash = hashToken(token);
      await db
        .insertInto('state_grants')
        .values({
          id,
          environment_id: request.environmentId,
          deployment_id: request.deploymentId,
          index: request.index,
          compensation: request.compensation,
          read_only: request.readOnly,
          token_hash: tokenHash.toString('hex'),
        })
        .execute();
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

/** The update waits for statements that hold the grant's row, and later ones see it fenced: there is nothing between. */
export async function fenceGrant({ db }: StateContext, grantId: string): Promise<void> {
  await db
    .updateTable('state_grants')
    .set({ fenced_at: sql`now()` })
    .where('id', '=', grantId)
    .where('fenced_at', 'is', null)
    .execute();
}

export async function fenceRun({ db }: StateContext, run: RunReference): Promise<string[]> {
  const rows = await db
    .updateTable('state_grants')
    .set({ fenced_at: sql`coalesce(fenced_at, now())` })
    .where('deployment_id', '=', run.deploymentId)
    .where('index', '=', run.index)
    .where('compensation', '=', run.compensation)
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

export async function pruneGrants({ db }: StateContext, olderThanMs: number): Promise<number> {
  const result = await db
    .deleteFrom('state_grants')
    .where('created_at', '<', new Date(Date.now() - olderThanMs))
    .where((eb) =>
      eb.not(eb.exists(eb.selectFrom('state_locks').select('lock_id').whereRef('grant_id', '=', 'state_grants.id'))),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
