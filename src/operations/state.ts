import type { Environment, Page, StateVersion } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { StateDiff, StateLock } from '../state/index.ts';
import { findEnvironment, getEnvironment, markVerified } from '../store/index.ts';
import { audit, authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';

interface OnState extends Asked {
  readonly ref: string;
}

export interface StateSummary {
  /** Null, like what follows, while the first tool that takes the lock has not written yet. */
  readonly serial: number | null;
  readonly lineage: string | null;
  readonly versionId: number | null;
  readonly lock: StateLock | null;
}

/** The state that Windlass keeps for stacks without a backend of their own. */
export function stateOperations(context: Context) {
  const { db, state } = context;

  async function find({ actor, ref }: OnState, permission: 'view' | 'execute'): Promise<Environment> {
    const environment = await findEnvironment(db.sql, ref, scopeOf(actor));
    authorize(actor, permission, environment.projectId);
    return environment;
  }

  async function note(
    ask: OnState,
    environment: Environment,
    action: string,
    after: unknown,
    before?: unknown,
  ): Promise<void> {
    await audit(db.sql, ask.actor, {
      action,
      targetType: 'environment',
      targetId: environment.id,
      projectId: environment.projectId,
      before,
      after,
    });
  }

  /** State that changes under a running tool would be lost or spoil what it does. */
  async function requireIdle(environment: Environment): Promise<void> {
    const root = environment.parentId === null ? environment : await getEnvironment(db.sql, environment.parentId);
    const runs = environment.currentDeploymentId ?? (environment.parentId === null ? root.currentDeploymentId : null);
    if (runs !== null) {
      throw new WindlassError('conflict', `"${environment.name}" is part of the run ${runs}, which is in progress`, {
        hint: 'wait for its end, or cancel it',
      });
    }
  }

  return {
    /** null when there is no state and nobody holds its lock. */
    async getState(ask: OnState): Promise<StateSummary | null> {
      const environment = await find(ask, 'view');
      const [latest, lock] = await Promise.all([state.latest(environment.id), state.lockOf(environment.id)]);
      if (latest === null && lock === null) return null;
      return { ...(latest ?? { serial: null, lineage: null, versionId: null }), lock };
    },

    async listStateVersions({
      cursor,
      limit,
      ...ask
    }: OnState & { cursor?: string | undefined; limit: number }): Promise<Page<StateVersion>> {
      const environment = await find(ask, 'view');
      return state.listVersions({ environmentId: environment.id, limit, cursor: cursor ?? null });
    },

    /** The whole state, secrets included: it takes the permission to execute, and is written down. */
    async downloadStateVersion({
      versionId,
      ...ask
    }: OnState & { versionId: number }): Promise<{ body: Uint8Array; fileName: string }> {
      const environment = await find(ask, 'execute');
      const version = await state.readVersion({ environmentId: environment.id, versionId });
      await note(ask, environment, 'state.download', { version: versionId, serial: version.serial });
      return { body: version.body, fileName: `${environment.id}-${version.serial}.tfstate` };
    },

    async diffStateVersions({ from, to, ...ask }: OnState & { from: number; to: number }): Promise<StateDiff> {
      const environment = await find(ask, 'view');
      return state.diffVersions({ environmentId: environment.id, from, to });
    },

    /** Makes an earlier version the newest. Refused while a run is in progress or a tool holds the lock. */
    async restoreStateVersion({
      versionId,
      reason,
      ...ask
    }: OnState & { versionId: number; reason?: string | undefined }): Promise<StateVersion> {
      const environment = await find(ask, 'execute');
      await requireIdle(environment);
      const before = await state.latest(environment.id);
      const restored = await state.restore({ environmentId: environment.id, versionId, actor: ask.actor });
      await note(
        ask,
        environment,
        'state.restore',
        { from: versionId, version: restored.id, serial: restored.serial, reason },
        before,
      );
      return restored;
    },

    /** Frees whatever lock there is and bars its holder from writing. */
    async unlockState({ reason, ...ask }: OnState & { reason: string }): Promise<{ lock: StateLock | null }> {
      const environment = await find(ask, 'execute');
      const lock = await state.forceUnlock({ environmentId: environment.id, actor: ask.actor, reason });
      await note(
        ask,
        environment,
        'state.unlock',
        { reason },
        lock === null ? null : { lockId: lock.lockId, deploymentId: lock.deploymentId },
      );
      return { lock };
    },

    /** A person has looked: what the state says is what is there. Saying so twice changes nothing. */
    async verifyState({ reason, ...ask }: OnState & { reason: string }): Promise<Environment> {
      const environment = await find(ask, 'execute');
      const before = environment.flags.stateUnverified;
      if (before === null) return environment;
      await db.transaction(async (tx) => {
        await markVerified(tx, environment);
        await audit(tx, ask.actor, {
          action: 'state.verify',
          targetType: 'environment',
          targetId: environment.id,
          projectId: environment.projectId,
          before,
          after: { reason },
        });
      });
      return getEnvironment(db.sql, environment.id);
    },
  };
}
