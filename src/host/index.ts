export { tryLock, withLock } from './file-lock.ts';
export type { HeldLock, LockAttempt, LockWait } from './file-lock.ts';
export { releaseLockFile, takeLockFile } from './lock-file.ts';
export { identify, identifySelf, livenessOf, placedProcessSchema } from './placed-process.ts';
export type { Liveness, PlacedProcess } from './placed-process.ts';
export {
  anyProcessNames,
  isRunning,
  ownIdentity,
  parseIdentity,
  parseStat,
  processHome,
  startOf,
} from './processes.ts';
export type { ProcessHome, ProcessIdentity } from './processes.ts';
