export { findRunning } from './instance-lock.ts';
export type { RunningInstance } from './instance-lock.ts';
export { startEmbedded } from './start.ts';
export type { AppParts, EmbeddedOptions, EmbeddedServer, RunningApp } from './start.ts';
export { startTemporalServer } from './temporal-server.ts';
export type { TemporalServer, TemporalServerOptions } from './temporal-server.ts';
export { findTestServer } from './test-server.ts';
export { createToolLocator } from './tool-locator.ts';
export { dynamicConfig, sqlitePragmas } from './temporal-settings.ts';
