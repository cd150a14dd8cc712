import type { Config } from '../../config.ts';
import { assertNever } from '../../model/index.ts';
import type { ToolRecipe } from './acquire.ts';
import { acquire } from './acquire.ts';
import { terraformRecipe, tofuRecipe } from './opentofu.ts';
import type { OnToolProgress } from './progress.ts';
import { reporter, sentenceOf } from './progress.ts';
import { temporalRecipe } from './temporal.ts';
import { parseWanted } from './versions.ts';

export type LocatedTool = 'tofu' | 'terraform' | 'temporal';

export interface ToolLocator {
  /**
   * Absolute path of the program, got first if it is missing. `version` is exact (`1.12.6`) or a line (`1.12`).
   * `onProgress` hears in words what is done to get one that is not here.
   * Throws `toolMissing` with everything that was tried, or `invalidInput` for a version that is none.
   */
  find(tool: LocatedTool, version?: string, onProgress?: (text: string) => void): Promise<string>;
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
  interface Search {
    readonly path: Promise<string>;
    /** Those who wait for it. */
    readonly listeners: Set<(text: string) => void>;
  }
  const searches = new Map<string, Search>();

  function begin(tool: LocatedTool, wanted: string | undefined, key: string): Search {
    const listeners: Search['listeners'] = new Set();
    const recipe = recipeOf(tool, config.tools, wanted);
    const report = reporter(recipe.name, recipe.wanted, (progress) => {
      onProgress(progress);
      const sentence = sentenceOf(progress);
      if (sentence !== null) for (const listener of listeners) listener(sentence);
    });
    const search = { path: acquire(recipe, config.cacheDirectory, report), listeners };
    searches.set(key, search);
    search.path.catch(() => searches.delete(key));
    return search;
  }

  return {
    async find(tool, version, listener) {
      const wanted = version === undefined ? undefined : parseWanted(version);
      const key = `${tool} ${wanted ?? ''}`;
      const search = searches.get(key) ?? begin(tool, wanted, key);
      if (listener === undefined) return search.path;
      search.listeners.add(listener);
      return search.path.finally(() => search.listeners.delete(listener));
    },
  };
}
