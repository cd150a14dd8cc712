export { recordArrival } from './arrival.ts';
export { openTarget } from './target.ts';
export { readBackup, restoreRecords } from './restore.ts';
export type { CheckedBackup } from './restore.ts';
export { writeBackup } from './write.ts';
export type { BackupOptions } from './write.ts';
