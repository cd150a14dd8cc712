import { createHash } from 'node:crypto';
import { newId, WindlassError } from '../model/index.ts';
import type { SecretBox } from '../access/index.ts';
import type { Database } from '../store/index.ts';

export const artifactKinds = ['plan', 'planText', 'planJson', 'flowVariables'] as const;
export type ArtifactKind = (typeof artifactKinds)[number];

/** Largest artifact, in bytes. */
export const maxArtifactBytes = 64 * 1024 ** 2;

export interface NewArtifact {
  readonly deploymentId: string;
  readonly index: number;
  readonly kind: ArtifactKind;
  readonly body: Uint8Array;
}

export interface ArtifactInfo {
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

export interface Artifact extends ArtifactInfo {
  readonly body: Uint8Array;
}

/** Plans and what belongs to them: encrypted, kept with the run, the same on every machine. */
export interface Artifacts {
  /** Answers the id. Throws `tooLarge` past 64 MiB. */
  put(artifact: NewArtifact): Promise<string>;
  /** Throws `notFound`, and `internal` when the content is not what was put. */
  get(id: string): Promise<Artifact>;
  /** The newest of its kind, without its content; null when there is none. */
  find(query: Pick<NewArtifact, 'deploymentId' | 'index' | 'kind'>): Promise<ArtifactInfo | null>;
}

export interface ArtifactsOptions {
  readonly db: Database;
  readonly secrets: Pick<SecretBox, 'sealBytes' | 'openBytes'>;
}

const columns = ['id', 'deployment_id', 'index', 'kind', 'sha256', 'size', 'created_at'] as const;

interface Row {
  readonly id: string;
  readonly deployment_id: string;
  readonly index: number;
  readonly kind: string;
  readonly sha256: string;
  readonly size: number;
  readonly created_at: Date;
}

function toInfo(row: Row): ArtifactInfo {
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

export function createArtifacts({ db: { sql: db }, secrets }: ArtifactsOptions): Artifacts {
  return {
    async put({ deploymentId, index, kind, body }) {
      if (body.byteLength > maxArtifactBytes) {
        throw new WindlassError(
          'tooLarge',
          `the ${kind} of node ${index} of ${deploymentId} is larger than 64 MiB and cannot be kept`,
          {
            hint: 'Split the stack into smaller ones.',
            class: 'definition',
          },
        );
      }
      const id = newId('plan');
      await db
        .insertInto('artifacts')
        .values({
          id,
          deployment_id: deploymentId,
          index,
          kind,
          sha256: createHash('sha256').update(body).digest('hex'),
          size: body.byteLength,
          body: secrets.sealBytes(body, id),
        })
        .execute();
      return id;
    },
    async get(id) {
      const row = await db
        .selectFrom('artifacts')
        .select([...columns, 'body'])
        .where('id', '=', id)
        .executeTakeFirst();
      if (!row) {
        throw new WindlassError('notFound', `there is no artifact ${id}`, { hint: 'Plan again.', class: 'stalePlan' });
      }
      const body = secrets.openBytes(row.body, id);
      if (createHash('sha256').update(body).digest('hex') !== row.sha256) {
        throw new WindlassError('internal', `artifact ${id} is not what was stored: its SHA-256 differs`, {
          hint: 'Plan again, and look at the storage of the database.',
          class: 'stalePlan',
        });
      }
      return { ...toInfo(row), body };
    },
    async find({ deploymentId, index, kind }) {
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
      return row ? toInfo(row) : null;
    },
  };
}
