export { createApi, readVersion } from './app.ts';
export type { ApiOptions } from './app.ts';
export type { ReadinessCheck } from './health.ts';
