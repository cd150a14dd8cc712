export { groupRun, groupStatus } from './groups.ts';
export { createView, indexByAlias, isBlockedByApproval, reduceRun, waitsFor } from './run-view.ts';
export type { Change, DriftFound, Progress, RunMessage, RunView, Snapshot, Step } from './run-view.ts';
