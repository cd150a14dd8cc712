export { forgetOutput } from './forget-output.ts';
export { createRunners, runnableTypes } from './registry.ts';
export type { RunnerRegistry } from './registry.ts';
export type { RunnerOptions } from './options.ts';
export type { ToolLocator, ToolName } from './find-tool.ts';
export { changeWorkTree, runHook, stopLeftHooks } from './hooks.ts';
export type { Hook } from './hooks.ts';
export { declaredVariables } from './declared-variables.ts';
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
