import type { StopLadder } from '../process/index.ts';
import type { ToolLocator } from './find-tool.ts';

export interface RunnerOptions {
  readonly tools: ToolLocator;
  /** Kept between runs and shared by all of them on this machine: providers, and what `init` writes. Safe to lose. */
  readonly cacheDirectory: string;
  /** How long a tool is asked nicely to stop. */
  readonly ladder?: StopLadder | undefined;
  /** CLI configuration file of OpenTofu and Terraform to use instead of ours, for mirrors and registry credentials. */
  readonly cliConfig?: string | null | undefined;
}
