export { nodeKeyOf, takesDown } from './call.ts';
export type { NodeDeps } from './call.ts';
export { callerOf, createRunActivities } from './activity.ts';
export type { PerformNode } from './kinds/kind.ts';
export { forHistory, historyMessage } from './history.ts';
export type {
  BegunCall,
  BoundsVerdict,
  Caller,
  NodeHost,
  NodeRecords,
  NodeValues,
  Opening,
  WorkerIdentity,
  WorkerSigns,
} from './host.ts';
