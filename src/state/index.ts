export { createStateStore } from './state-store.ts';
export type { StateStoreOptions } from './state-store.ts';
export { stateRouter } from './router.ts';
export type { StateRouterOptions } from './router.ts';
export type { StateDiff } from './state-file.ts';
export type {
  Grant,
  GrantRequest,
  LockInfo,
  RunReference,
  StateBody,
  StateLock,
  StateProtocol,
  StateStore,
} from './types.ts';
