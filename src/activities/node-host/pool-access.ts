import { tokenHash } from '../../access/index.ts';
import { WindlassError } from '../../model/index.ts';
import type { PoolAccess } from '../../pools/index.ts';
import {
  findPoolByToken,
  findWorker,
  heartbeatWorker,
  isNodeOfPool,
  readNode,
  registerWorker,
  stopWorker,
} from '../../store/index.ts';
import { createDirectHost } from './direct-host.ts';
import { openRecords } from './records.ts';
import type { HostDeps } from './records.ts';

/** What a server does for the workers of runner pools, on the database of this process. */
export function createPoolAccess(deps: HostDeps): PoolAccess {
  const db = deps.db.sql;
  const isOf: PoolAccess['isOf'] = (pool, key) => isNodeOfPool(db, pool, key);
  const ofPool = async (pool: string, id: string): Promise<boolean> => (await findWorker(db, id))?.pool === pool;
  return {
    host: createDirectHost(deps),
    isOf,
    async authenticate(token) {
      const pool = await findPoolByToken(db, tokenHash(token));
      if (pool !== null) return pool;
      throw new WindlassError('unauthenticated', 'this token belongs to no runner pool', {
        hint: 'make a new one: windlass pool rotate NAME',
      });
    },
    async records(pool, key) {
      const begin = (await isOf(pool, key)) ? await readNode(db, key) : null;
      if (begin !== null) return openRecords(deps, key, begin);
      throw new WindlassError('notFound', `the pool ${pool} runs no such node now`);
    },
    async registerWorker(pool, worker) {
      const known = await findWorker(db, worker.id);
      if (known !== null && known.pool !== pool)
        throw new WindlassError('conflict', 'a worker of somebody else has this id');
      await registerWorker(db, { ...worker, pool });
    },
    beat: async (pool, id) => (await ofPool(pool, id)) && heartbeatWorker(db, id),
    async stopWorker(pool, id) {
      if (await ofPool(pool, id)) await stopWorker(db, id);
    },
  };
}
