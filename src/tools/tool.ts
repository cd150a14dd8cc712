import type { TemplateType } from '../model/index.ts';
import type { ProgramRecipes } from '../provision/index.ts';
import type { ToolDefinition } from './definition.ts';
import type { RunnerOptions } from './options.ts';
import type { StackRunner } from './runner.ts';

/** Files of this machine by the environment variables that name them; see ToolDefinition. */
export type ToolPaths = Readonly<Record<string, string | undefined>>;

/** A tool that can be run: its definition with what needs a machine. */
export interface Tool {
  readonly definition: ToolDefinition;
  readonly createRunner: (options: RunnerOptions) => StackRunner;
  /** How its programs are found or got, by their names; none when it brings everything along. */
  readonly recipes?: (paths: ToolPaths) => ProgramRecipes;
  /** Names of the variables that a stack's code declares; null when it takes any, or it cannot be told. */
  readonly declaredVariables?: (type: TemplateType, directory: string) => ReadonlySet<string> | null;
}
