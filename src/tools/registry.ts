import { join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import type { NodeType, TemplateType } from '../model/index.ts';
import type { ProgramRecipes } from '../provision/index.ts';
import { addedTools } from './catalogue.ts';
import type { AddedTool } from './catalogue.ts';
import { opentofuTool } from './opentofu/tool.ts';
import type { RunnerOptions } from './options.ts';
import type { StackRunner } from './runner.ts';
import { shellTool } from './shell/tool.ts';
import type { Tool, ToolPaths } from './tool.ts';

/** Tools that can be run, each a line here and one in the catalogue. */
const listed: readonly Tool[] = [opentofuTool, shellTool];

function allTools(): readonly Tool[] {
  return [
    ...listed,
    ...addedTools().map((tool) => {
      if (isTool(tool)) return tool;
      throw new WindlassError('internal', `the tool ${tool.definition.name} has no runner`);
    }),
  ];
}

const isTool = (tool: AddedTool): tool is Tool => 'createRunner' in tool && typeof tool.createRunner === 'function';

export interface RunnerRegistry {
  /** The runner of a type. Throws a WindlassError of class `definition` that lists the supported types. */
  get(type: NodeType): StackRunner;
  supported(): readonly TemplateType[];
}

/** Types that this version can run; what asks for another is refused before anything runs. */
export function runnableTypes(): readonly TemplateType[] {
  return allTools().flatMap(({ definition }) => definition.types);
}

export function createRunners(options: RunnerOptions): RunnerRegistry {
  const runners = new Map<NodeType, StackRunner>();
  for (const { definition, createRunner } of allTools()) {
    const runner = createRunner(options);
    for (const type of definition.types) runners.set(type, runner);
  }
  return {
    get(type) {
      const runner = runners.get(type);
      if (runner) return runner;
      throw new WindlassError(
        'invalidDefinition',
        `templates of type "${type}" cannot be run by this version of Windlass`,
        {
          class: 'definition',
          hint: `It runs ${runnableTypes().join(', ')}.`,
        },
      );
    },
    supported: runnableTypes,
  };
}

/** How the programs of all tools are found or got. */
export function programRecipes(paths: ToolPaths): ProgramRecipes {
  return Object.assign({}, ...allTools().map(({ recipes }) => recipes?.(paths) ?? {})) as ProgramRecipes;
}

/** Names of the variables that a stack's code declares; null when its tool takes any, or it cannot be told. */
export function declaredVariables(type: NodeType, directory: string): ReadonlySet<string> | null {
  const tool = allTools().find(({ definition }) => definition.types.includes(type));
  return tool?.declaredVariables?.(type, directory) ?? null;
}

/** Where tools keep what their runs share, below the cache directory. */
export function toolCaches(cacheDirectory: string): string[] {
  return allTools().flatMap(({ definition: { cache } }) => (cache === null ? [] : [join(cacheDirectory, cache)]));
}
