import { createHash } from 'node:crypto';
import { newId, WindlassError } from '../model/index.ts';
import type { SecretBox } from '../access/index.ts';
import { findArtifact, insertArtifact, newestArtifact } from '../store/index.ts';
import type { Database, StoredArtifact } from '../store/index.ts';

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

export type ArtifactInfo = StoredArtifact;

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
      await insertArtifact(db, {
        id,
        deploymentId,
        index,
        kind,
        sha256: createHash('sha256').update(body).digest('hex'),
        size: body.byteLength,
        body: secrets.sealBytes(body, id),
      });
      return id;
    },
    async get(id) {
      const row = await findArtifact(db, id);
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
      return { ...row, body };
    },
    find: (query) => newestArtifact(db, query),
  };
}
