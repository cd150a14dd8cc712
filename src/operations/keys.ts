import {
  can,
  checkGrant,
  createKey as makeKey,
  isAdministrator,
  listKeys as readKeys,
  readGrant,
} from '../access/index.ts';
import type { Grant, KeyRecord, Principal } from '../access/index.ts';
import { WindlassError } from '../model/index.ts';
import type { Actor, Page, Permission } from '../model/index.ts';
import { findKey, findProject, listAuditEntries, revokeKey as endKey } from '../store/index.ts';
import type { AuditEntry, Db, PageRequest } from '../store/index.ts';
import { audit, authorize, namedScope, principalOf, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';

export interface KeyInput {
  readonly name: string;
  readonly permissions: readonly string[];
  readonly expiresAt?: string | undefined;
}

/** Nobody can give what they do not have. */
function requireGrantable(principal: Principal, text: string): void {
  const grant = readGrant(text);
  const has =
    grant !== null &&
    (grant.permission === '*'
      ? isAdministrator(principal)
      : projectsOf(grant).every((projectId) => can(principal, grant.permission as Permission, { projectId })));
  if (!has)
    throw new WindlassError(
      'forbidden',
      `${principal.name} cannot give the permission "${text}", which it does not have`,
    );
}

const projectsOf = ({ projects }: Grant): readonly (string | undefined)[] =>
  projects === 'all' ? [undefined] : projects;

/**
 * Grants as they are stored: a project by its id, which a person may give by its name. Throws for a project that is not
 * there, since a grant in none would be one of nothing.
 */
async function resolveGrants(db: Db, actor: Actor, grants: readonly string[]): Promise<string[]> {
  const resolved = await Promise.all(
    grants.map(async (grant, index) => {
      try {
        const [permission = '', project] = checkGrant(grant).split('@');
        return project === undefined ? grant : `${permission}@${(await findProject(db, project, scopeOf(actor))).id}`;
      } catch (thrown) {
        if (!(thrown instanceof WindlassError)) throw thrown;
        const { code, message, hint } = thrown;
        throw new WindlassError(code, `The permission "${grant}" cannot be given: ${message}`, {
          problems: [{ path: `permissions[${index}]`, message }],
          hint,
        });
      }
    }),
  );
  return [...new Set(resolved)];
}

/** Keys and the log of what was done with them. */
export function accessOperations(context: Context) {
  const { db, clock } = context;
  return {
    async listKeys({ actor }: Asked): Promise<Page<KeyRecord>> {
      authorize(actor, 'organization.manage');
      return { items: await readKeys(db.sql), next: null };
    },

    /** The token is told here and never again. */
    async createKey({ actor, input }: Asked & { input: KeyInput }): Promise<{ key: KeyRecord; token: string }> {
      authorize(actor, 'organization.manage');
      const principal = principalOf(actor);
      const granted = await resolveGrants(db.sql, actor, input.permissions);
      for (const grant of granted) requireGrantable(principal, grant);
      if (input.expiresAt !== undefined && Date.parse(input.expiresAt) <= clock()) {
        throw new WindlassError('invalidInput', 'The key would be expired already', {
          problems: [{ path: 'expiresAt', message: 'is in the past' }],
          hint: 'give a later moment, or none for a key that does not expire',
        });
      }
      return db.transaction(async (tx) => {
        const created = await makeKey(tx, { ...input, permissions: granted });
        await audit(tx, actor, {
          action: 'key.create',
          targetType: 'key',
          targetId: created.key.id,
          after: created.key,
        });
        return created;
      });
    },

    /** By id or name. Revoking twice changes nothing. The last key that can make others stays. */
    async revokeKey({ actor, ref }: Asked & { ref: string }): Promise<void> {
      authorize(actor, 'organization.manage');
      await db.transaction(async (tx) => {
        const keys = await readKeys(tx);
        const found = keys.find((key) => key.id === ref) ?? keys.find((key) => key.name === ref);
        if (!found) {
          if ((await findKey(tx, ref)) === null)
            throw new WindlassError('notFound', `there is no key "${ref}"`, {
              hint: 'those there are: GET /api/v1/keys',
            });
          return;
        }
        const { id } = found;
        const managers = keys.filter(
          (key) =>
            (key.permissions.includes('*') || key.permissions.includes('organization.manage')) &&
            (key.expiresAt === null || Date.parse(key.expiresAt) > clock()),
        );
        if (managers.length === 1 && managers[0]?.id === id) {
          throw new WindlassError('conflict', `"${found.name}" is the last key that can make others`, {
            hint: 'make another with the permission * first',
          });
        }
        await endKey(tx, id);
        await audit(tx, actor, { action: 'key.revoke', targetType: 'key', targetId: id, before: found });
      });
    },

    async listAudit({
      actor,
      project,
      by,
      ...filter
    }: Asked &
      PageRequest & {
        project?: string | undefined;
        /** Name, id or type of what was changed. */
        target?: string | undefined;
        /** Name or id of who did it. */
        by?: string | undefined;
        action?: string | undefined;
        since?: Date | undefined;
        until?: Date | undefined;
      }): Promise<Page<AuditEntry>> {
      const scope = await namedScope(db.sql, actor, project);
      return listAuditEntries(db.sql, scope, { ...filter, actor: by });
    },
  };
}
