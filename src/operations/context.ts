import { isAdministrator, requirePermission, systemPrincipal, visibleProjects } from '../access/index.ts';
import type { Principal, SecretBox } from '../access/index.ts';
import type { Artifacts } from '../artifacts/index.ts';
import type { Actor, Permission, Scope } from '../model/index.ts';
import { WindlassError, within } from '../model/index.ts';
import type { Sources } from '../sources/index.ts';
import type { StateStore } from '../state/index.ts';
import { findProject, insertAuditEntry } from '../store/index.ts';
import type { Database, Db } from '../store/index.ts';
import type { RunResolver } from './dry-run.ts';
import type { TemporalGateway } from './temporal-gateway.ts';

/** The rooms that operations stand on. */
export interface OperationsDeps {
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly temporal: TemporalGateway;
  readonly artifacts: Artifacts;
  readonly state: StateStore;
  /** Says which sources can never be read. */
  readonly sources?: Pick<Sources, 'check'> | undefined;
  /** Reads sources; without it requests are checked against the records alone. */
  readonly resolver?: RunResolver | undefined;
  /** Epoch milliseconds; the machine's clock when absent. */
  readonly clock?: () => number;
  /** Where the encryption keys of this process come from, for messages. */
  readonly keyOrigin?: string | undefined;
  /** Makes one more encryption key where they are kept; null when they are not ours to write. */
  readonly addEncryptionKey?: (() => Uint8Array | null) | undefined;
}

/** What every operation gets. */
export interface Context extends OperationsDeps {
  readonly clock: () => number;
}

/** Every request says who asks: a key's principal, or the system's actor for timers and schedules. */
export interface Asked {
  readonly actor: Actor;
}

/** What an actor may do. One without grants that is not Windlass itself may do nothing. */
export function principalOf(actor: Actor): Principal {
  if ('permissions' in actor && Array.isArray(actor.permissions)) return actor as Principal;
  return actor.kind === 'system' ? systemPrincipal : { ...actor, permissions: [] };
}

/** Throws `forbidden` when the actor lacks the permission, in this project if it is about one. */
export function authorize(actor: Actor, permission: Permission, projectId?: string): void {
  requirePermission(principalOf(actor), permission, { projectId });
}

/** Throws `forbidden` for everybody but administrators: what concerns the whole installation and its secrets. */
export function requireAdministrator(actor: Actor): void {
  if (isAdministrator(principalOf(actor))) return;
  throw new WindlassError('forbidden', `${actor.name} may not do this: it is for keys with the permission "*"`);
}

/** What an actor may see: look-ups and lists go no further. */
export function scopeOf(actor: Actor): Scope {
  return visibleProjects(principalOf(actor));
}

/** What an actor may see of a project that a request names, by name or id; of all when it names none. */
export async function namedScope(db: Db, actor: Actor, project: string | undefined): Promise<Scope> {
  const scope = scopeOf(actor);
  return project === undefined ? scope : within(scope, (await findProject(db, project, scope)).id);
}

/** The actor as it is recorded: without what it may do. */
export function plainActor({ kind, id, name, from }: Actor): Actor {
  return { kind, id, name, from };
}

export interface AuditInput {
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly projectId?: string | null;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Writes down who did what, in the transaction that does it. Values of secrets must not be in `before` and `after`. */
export async function audit(tx: Db, actor: Actor, input: AuditInput): Promise<void> {
  await insertAuditEntry(tx, { actor: plainActor(actor), projectId: null, ...input });
}
