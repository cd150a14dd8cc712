export { artifactKinds, createArtifacts, maxArtifactBytes } from './artifacts.ts';
export type { Artifact, ArtifactInfo, ArtifactKind, Artifacts, ArtifactsOptions, NewArtifact } from './artifacts.ts';
export { logChannel, openLog } from './log-writer.ts';
export type { LogLimits, LogOptions, LogWriter } from './log-writer.ts';
export { readLogs } from './read-logs.ts';
export type { LogQuery } from './read-logs.ts';
