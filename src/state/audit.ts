import type { Actor } from '../model/index.ts';
import { insertAuditEntry, projectOfEnvironment } from '../store/index.ts';
import type { Db } from '../store/index.ts';

export interface StateAudit {
  readonly actor: Actor;
  readonly action: 'state.unlock' | 'state.restore';
  readonly environmentId: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Writes down what a person did to a state. Call in the transaction that does it. */
export async function audit(db: Db, entry: StateAudit): Promise<void> {
  const { actor, action, environmentId, before, after } = entry;
  await insertAuditEntry(db, {
    actor,
    action,
    targetType: 'environment',
    targetId: environmentId,
    projectId: await projectOfEnvironment(db, environmentId),
    before,
    after,
  });
}
