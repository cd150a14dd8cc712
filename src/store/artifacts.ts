import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { ArtifactsTable } from './schema.ts';

/** An artifact of a node's run. Its body is ciphertext here. */
export interface StoredArtifact {
  readonly id: string;
  readonly deploymentId: string;
  readonly index: number;
  readonly kind: string;
  /** Of the plain content, in hexadecimal. */
  readonly sha256: string;
  /** Of the plain content, in bytes. */
  readonly size: number;
  readonly createdAt: string;
}

const columns = ['id', 'deployment_id', 'index', 'kind', 'sha256', 'size', 'created_at'] as const;

function toArtifact(row: Pick<Selectable<ArtifactsTable>, (typeof columns)[number]>): StoredArtifact {
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    index: row.index,
    kind: row.kind,
    sha256: row.sha256,
    size: row.size,
    createdAt: row.created_at.toISOString(),
  };
}

/** Keeps an artifact. */
export async function insertArtifact(
  db: Db,
  { deploymentId, ...artifact }: Omit<StoredArtifact, 'createdAt'> & { readonly body: Uint8Array },
): Promise<void> {
  await db
    .insertInto('artifacts')
    .values({ ...artifact, deployment_id: deploymentId })
    .execute();
}

/** With its body; null when there is none. */
export async function findArtifact(
  db: Db,
  id: string,
): Promise<(StoredArtifact & { readonly body: Uint8Array }) | null> {
  const row = await db
    .selectFrom('artifacts')
    .select([...columns, 'body'])
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? null : { ...toArtifact(row), body: row.body };
}

/** The newest artifact of a kind of a node, without its body; null when there is none. */
export async function newestArtifact(
  db: Db,
  { deploymentId, index, kind }: Pick<StoredArtifact, 'deploymentId' | 'index' | 'kind'>,
): Promise<StoredArtifact | null> {
  const row = await db
    .selectFrom('artifacts')
    .select(columns)
    .where('deployment_id', '=', deploymentId)
    .where('index', '=', index)
    .where('kind', '=', kind)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : toArtifact(row);
}
