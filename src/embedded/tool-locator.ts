import type { Config } from '../config.ts';
import { createToolLocator as createLocator } from '../provision/index.ts';
import type { OnToolProgress, ToolLocator } from '../provision/index.ts';
import { programRecipes } from '../tools/index.ts';
import { temporalRecipe } from './temporal-program.ts';

/** Finds the programs of all tools, and the one that Temporal runs in when nobody else runs it. */
export function createToolLocator(
  { toolPaths, temporalProgram, cacheDirectory }: Pick<Config, 'toolPaths' | 'temporalProgram' | 'cacheDirectory'>,
  onProgress?: OnToolProgress,
): ToolLocator {
  const recipes = { ...programRecipes(toolPaths), temporal: () => temporalRecipe(temporalProgram) };
  return createLocator({ recipes, cacheDirectory }, onProgress);
}
