export { removeToolOutput } from './tool-output.ts';
export { createRunners, declaredVariables, programRecipes, runnableTypes, toolCaches } from './registry.ts';
export type { RunnerRegistry } from './registry.ts';
export type { RunnerOptions } from './options.ts';
export { programsAtStart } from './catalogue.ts';
export { findProviderMirror } from './opentofu/provider-mirror.ts';
export type { Tool, ToolPaths } from './tool.ts';
export { changeWorkTree, runHook, stopLeftHooks } from './hooks.ts';
export type { Hook } from './hooks.ts';
export { ToolError } from './runner.ts';
export type {
  ApplyResult,
  CrashEvidence,
  Drift,
  HeldLock,
  ManagedState,
  Output,
  Outputs,
  PlanResult,
  Recovery,
  StackRun,
  StackRunner,
  ToolVariable,
} from './runner.ts';
export { clearCall, followCall, recoverCall, startCall } from './calls.ts';
export type { Call, Follower } from './calls.ts';
export { describeFailure } from './failures.ts';
export { sandboxOf } from './sandbox.ts';
export { buildWorkTree, stackDirectory } from './work-tree.ts';
