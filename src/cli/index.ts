export { exitCodes } from './exit.ts';
export { processIo } from './io.ts';
export type { Io, Output } from './io.ts';
export { runCli } from './program.ts';
export type { SessionDependencies } from './session.ts';
export type { RunningServer, StartProgress } from './startup.ts';
