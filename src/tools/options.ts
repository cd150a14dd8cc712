import type { StopLadder } from '../process/index.ts';
import type { ToolLocator } from '../provision/index.ts';
import type { ToolPaths } from './tool.ts';

export interface RunnerOptions {
  readonly tools: ToolLocator;
  /** Kept between runs and shared by all of them on this machine, a directory in it for each tool. Safe to lose. */
  readonly cacheDirectory: string;
  /** How long a tool is asked nicely to stop. */
  readonly ladder?: StopLadder | undefined;
  /** Files of this machine that its operator names for tools. */
  readonly paths?: ToolPaths | undefined;
}
