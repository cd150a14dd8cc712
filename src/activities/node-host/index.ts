export { createDirectHost } from './direct-host.ts';
export { createPoolAccess } from './pool-access.ts';
export type { HostDeps } from './records.ts';
