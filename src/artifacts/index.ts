export { artifactKinds, createArtifacts, maxArtifactBytes } from './artifacts.ts';
export type { Artifact, ArtifactInfo, ArtifactKind, Artifacts, ArtifactsOptions, NewArtifact } from './artifacts.ts';
export { logChannel, readLog as readLogs } from '../store/index.ts';
export type { LogFilter } from '../store/index.ts';
