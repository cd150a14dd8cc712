export { createDirectHost } from './direct-host.ts';
