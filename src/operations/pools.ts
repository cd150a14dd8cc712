import { randomBytes } from 'node:crypto';
import { tokenHash } from '../access/index.ts';
import { poolQueue, WindlassError } from '../model/index.ts';
import type { NewRunnerPool, RunnerPool } from '../model/index.ts';
import { changePoolToken, createRunnerPool, deleteRunnerPool, listRunnerPools } from '../store/index.ts';
import type { Db, RunnerPoolRecord } from '../store/index.ts';
import { audit, authorize } from './context.ts';
import type { Asked, Context } from './context.ts';

const newToken = (): string => `wlp_${randomBytes(32).toString('base64url')}`;

/** Runner pools: workers of somebody else, and the tokens that they come with. */
export function poolOperations(context: Context) {
  const { db, temporal } = context;

  async function toPool(record: RunnerPoolRecord): Promise<RunnerPool> {
    const { createdAt, tokenChangedAt, lastSeenAt, ...rest } = record;
    return {
      ...rest,
      waiting: await temporal.backlog(poolQueue(record.name)),
      lastSeenAt: lastSeenAt?.toISOString() ?? null,
      createdAt: createdAt.toISOString(),
      tokenChangedAt: tokenChangedAt.toISOString(),
    };
  }

  async function find(tx: Db, name: string): Promise<RunnerPoolRecord> {
    const pools = await listRunnerPools(tx);
    const found = pools.find((pool) => pool.name === name);
    if (found !== undefined) return found;
    const names = pools.map((pool) => pool.name).join(', ');
    throw new WindlassError('notFound', `there is no runner pool "${name}"`, {
      hint: names === '' ? 'make one: windlass pool create NAME' : `there are ${names}`,
    });
  }

  return {
    async listPools({ actor }: Asked): Promise<RunnerPool[]> {
      authorize(actor, 'organization.manage');
      return Promise.all((await listRunnerPools(db.sql)).map(toPool));
    },

    /** The token is told here and never again. */
    async createPool({
      actor,
      name,
      description,
    }: Asked & { name: string; description?: string | undefined }): Promise<NewRunnerPool> {
      authorize(actor, 'organization.manage');
      const token = newToken();
      const record = await db.transaction(async (tx) => {
        await createRunnerPool(tx, { name, description: description ?? null, tokenHash: tokenHash(token) });
        await audit(tx, actor, { action: 'pool.create', targetType: 'pool', targetId: name, after: { description } });
        return find(tx, name);
      });
      return { ...(await toPool(record)), token };
    },

    /** The old token is good for nothing from now on. */
    async rotatePool({ actor, name }: Asked & { name: string }): Promise<NewRunnerPool> {
      authorize(actor, 'organization.manage');
      const token = newToken();
      const record = await db.transaction(async (tx) => {
        await find(tx, name);
        await changePoolToken(tx, name, tokenHash(token));
        await audit(tx, actor, { action: 'pool.rotate', targetType: 'pool', targetId: name });
        return find(tx, name);
      });
      return { ...(await toPool(record)), token };
    },

    async deletePool({ actor, name }: Asked & { name: string }): Promise<void> {
      authorize(actor, 'organization.manage');
      await db.transaction(async (tx) => {
        const pool = await find(tx, name);
        if (pool.running > 0) {
          throw new WindlassError('conflict', `the pool "${name}" runs ${pool.running} nodes now`, {
            hint: 'wait for them, or stop their runs first',
          });
        }
        await deleteRunnerPool(tx, name);
        await audit(tx, actor, { action: 'pool.delete', targetType: 'pool', targetId: name });
      });
    },
  };
}
