export { createSources, nameOfSource } from './sources.ts';
export type { CheckoutOptions, ResolveOptions, Sources, SourcesOptions } from './sources.ts';
export type { GitCredentials } from './git-credentials.ts';
export { readTextFile, resolvePath } from './inside.ts';
export type { SourceLimits } from './limits.ts';
export type { PruneOptions, PruneReport } from './prune.ts';
export { elapsed, watchedSources } from './watched.ts';
export { credentialsOf } from './credentials-of.ts';
