import { sql } from 'kysely';
import { newId } from '../model/index.ts';
import type { Db } from './database.ts';

/** Makes the organization and the project "default" when there is no organization yet. */
export async function ensureDefaults(db: Db): Promise<void> {
  await sql`
    WITH organization AS (
      INSERT INTO organizations (id, name)
      SELECT ${newId('org')}, 'default' WHERE NOT EXISTS (SELECT 1 FROM organizations)
      ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO projects (id, organization_id, name) SELECT ${newId('prj')}, id, 'default' FROM organization
    ON CONFLICT DO NOTHING`.execute(db);
}
