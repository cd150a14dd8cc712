import type { Config } from '../../config.ts';
import { assertNever } from '../../model/index.ts';
import type { ToolRecipe } from './acquire.ts';
import { acquire } from './acquire.ts';
import { terraformRecipe, tofuRecipe } from './opentofu.ts';
import type { OnToolProgress } from './progress.ts';
import { reporter } from './progress.ts';
import { temporalRecipe } from './temporal.ts';
import { parseWanted } from './versions.ts';

export type LocatedTool = 'tofu' | 'terraform' | 'temporal';

export interface ToolLocator {
  /**
   * Absolute path of the program, got first if it is missing. `version` is exact (`1.12.6`) or a line (`1.12`).
   * Throws `toolMissing` with everything that was tried, or `invalidInput` for a version that is none.
   */
  find(tool: LocatedTool, version?: string): Promise<string>;
}

function recipeOf(tool: LocatedTool, tools: Config['tools'], version: string | undefined): ToolRecipe {
  switch (tool) {
    case 'tofu':
      return tofuRecipe(tools.tofu, version);
    case 'terraform':
      return terraformRecipe(tools.terraform, version);
    case 'temporal':
      return temporalRecipe(tools.temporal);
    default:
      return assertNever(tool, 'tool');
  }
}

/** Finds each tool once and remembers it; a search that failed is made again the next time. */
export function createToolLocator(
  config: Pick<Config, 'tools' | 'cacheDirectory'>,
  onProgress: OnToolProgress = () => undefined,
): ToolLocator {
  const searches = new Map<string, Promise<string>>();
  return {
    async find(tool, version) {
      const wanted = version === undefined ? undefined : parseWanted(version);
      const key = `${tool} ${wanted ?? ''}`;
      const known = searches.get(key);
      if (known) return known;
      const recipe = recipeOf(tool, config.tools, wanted);
      const search = acquire(recipe, config.cacheDirectory, reporter(recipe.name, recipe.wanted, onProgress));
      searches.set(key, search);
      search.catch(() => searches.delete(key));
      return search;
    },
  };
}
