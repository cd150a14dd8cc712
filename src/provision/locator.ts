import { WindlassError } from '../model/index.ts';
import type { ToolRecipe } from './acquire.ts';
import { acquire } from './acquire.ts';
import type { OnToolProgress } from './progress.ts';
import { reporter, sentenceOf } from './progress.ts';
import { parseWanted } from './versions.ts';

/** How each program is found or got, by its name. `wanted`: a version, exact or a line; undefined when any will do. */
export type ProgramRecipes = Readonly<Record<string, (wanted: string | undefined) => ToolRecipe>>;

export interface ToolLocator {
  /**
   * Absolute path of the program, got first if it is missing. `version` is exact (`1.12.6`) or a line (`1.12`).
   * `onProgress` hears in words what is done to get one that is not here, such as `building, 2 min 10 s of about 5`.
   * Throws `toolMissing` with everything that was tried, or `invalidInput` for a version that is none.
   */
  find(program: string, version?: string, onProgress?: (text: string) => void): Promise<string>;
}

/** Finds each tool once and remembers it; a search that failed is made again the next time. */
export function createToolLocator(
  { recipes, cacheDirectory }: { readonly recipes: ProgramRecipes; readonly cacheDirectory: string },
  onProgress: OnToolProgress = () => undefined,
): ToolLocator {
  interface Search {
    readonly path: Promise<string>;
    /** Those who wait for it. */
    readonly listeners: Set<(text: string) => void>;
  }
  const searches = new Map<string, Search>();

  function begin(program: string, wanted: string | undefined, key: string): Search {
    const listeners: Search['listeners'] = new Set();
    const recipe = recipes[program]?.(wanted);
    if (recipe === undefined) throw new WindlassError('internal', `nobody knows how to come by ${program}`);
    const report = reporter(recipe.name, recipe.wanted, (progress) => {
      onProgress(progress);
      const sentence = sentenceOf(progress);
      if (sentence !== null) for (const listener of listeners) listener(sentence);
    });
    const search = { path: acquire(recipe, cacheDirectory, report), listeners };
    searches.set(key, search);
    search.path.catch(() => searches.delete(key));
    return search;
  }

  return {
    async find(program, version, listener) {
      const wanted = version === undefined ? undefined : parseWanted(version);
      const key = `${program} ${wanted ?? ''}`;
      const search = searches.get(key) ?? begin(program, wanted, key);
      if (listener === undefined) return search.path;
      search.listeners.add(listener);
      return search.path.finally(() => search.listeners.delete(listener));
    },
  };
}
