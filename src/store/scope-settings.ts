import type { Kysely } from 'kysely';
import type { ScopeSettings } from '../model/index.ts';
import { organizationSettingsSchema } from '../model/index.ts';
import type { Schema } from './schema.ts';

/** Limits for a time to live: the project's where it has them, else the organization's. */
export async function scopeTtlSettings(
  db: Kysely<Schema>,
  projectId: string,
): Promise<Pick<ScopeSettings, 'defaultTtl' | 'maximumTtlHours'>> {
  const row = await db
    .selectFrom('projects')
    .innerJoin('organizations', 'organizations.id', 'projects.organization_id')
    .select(['projects.settings as project', 'organizations.settings as organization'])
    .where('projects.id', '=', projectId)
    .executeTakeFirst();
  const project = organizationSettingsSchema.parse(row?.project ?? {});
  const organization = organizationSettingsSchema.parse(row?.organization ?? {});
  return {
    defaultTtl: project.defaultTtl ?? organization.defaultTtl,
    maximumTtlHours: project.maximumTtlHours ?? organization.maximumTtlHours,
  };
}
