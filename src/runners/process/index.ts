export { adopt, launch, LeftRunningError, readOutput, stopRun } from './launch.ts';
export type { LaunchOptions, OutputStream, ProcessEnd, WatchOptions } from './launch.ts';
export { hasRun, inspect } from './inspect.ts';
export type { Inspection } from './inspect.ts';
export { defaultLadder } from './ladder.ts';
export type { SignalScope, StopLadder } from './ladder.ts';
export { isRunning, ownIdentity, parseIdentity, processHome } from './identity.ts';
export type { ProcessHome, ProcessIdentity } from './identity.ts';
export { readRecord, removeRunDirectory } from './run-directory.ts';
