export { createHttpHost } from './http-host.ts';
export type { HttpHost, HttpHostOptions } from './http-host.ts';
export { nodeHostPath } from './protocol.ts';
export { nodeHostRouter } from './router.ts';
export type { PoolAccess } from './router.ts';
