import { withLock } from '../host/index.ts';
import { WindlassError, messageOf } from '../model/index.ts';
import { findCached, isDiskFull, lockOf, placeInCache } from './cache.ts';
import { findOnPath, isExecutable } from './programs.ts';
import type { Report } from './progress.ts';

/** One way of making a tool that is not on the machine. */
export interface ToolSource {
  /** For people: `download`, `build with Go`. */
  readonly name: string;
  /** What was done when it has worked: `downloaded`, `built`. */
  readonly done: string;
  /** Place in the cache: version and everything else that decides the content. */
  readonly key: string;
  readonly needsBytes: number;
  readonly make: (directory: string, report: Report) => Promise<void>;
}

export interface ToolRecipe {
  /** For people: `OpenTofu`. */
  readonly name: string;
  /** Version that is looked for; undefined when any will do. */
  readonly wanted: string | undefined;
  readonly program: string;
  /** Directory in the cache. */
  readonly cacheName: string;
  /** Environment variable that names the program. */
  readonly variable: string;
  /** Its value. */
  readonly named: string | null;
  /** Reads the version; throws when the program does not run. */
  readonly versionOf: (path: string) => Promise<string>;
  /** Why this version will not do; null when it will. */
  readonly refuse: (version: string) => string | null;
  readonly sources: readonly ToolSource[];
  /** What a person can do when nothing has worked. */
  readonly hint: string;
}

interface Attempt {
  readonly name: string;
  readonly reason: string;
}

/**
 * Finds a tool: named by its variable, on PATH, in the cache, or made by the first source that works.
 * Throws `toolMissing` with everything that was tried.
 */
export async function acquire(recipe: ToolRecipe, cacheDirectory: string, report: Report): Promise<string> {
  const tried: Attempt[] = [];
  report('looking', 'on this machine');
  const present = (await useNamed(recipe, report, tried)) ?? (await useFromPath(recipe, report, tried));
  if (present) return present;

  const cached = await useCached(recipe, cacheDirectory, report);
  if (cached) return cached;
  if (recipe.sources.length === 0) throw missing(recipe, tried);

  return withLock(
    lockOf(cacheDirectory, recipe.cacheName),
    async () => {
      // Another start may just have made it.
      const made = await useCached(recipe, cacheDirectory, report);
      return made ?? makeFromFirstWorking(recipe, cacheDirectory, report, tried);
    },
    {
      onWait: (owner) =>
        report('waiting', `for another start that is getting it${owner ? ` (process ${owner.pid})` : ''}`),
    },
  ).catch((error: unknown) => {
    throw explainCacheAccess(error, cacheDirectory);
  });
}

async function useNamed(recipe: ToolRecipe, report: Report, tried: Attempt[]): Promise<string | null> {
  const { named, variable } = recipe;
  if (!named) {
    tried.push({ name: variable, reason: 'not set' });
    return null;
  }
  if (!isExecutable(named)) {
    throw new WindlassError('toolMissing', `${variable} names ${named}, which is not a program that can be run`, {
      hint: `correct ${variable}, or unset it to let Windlass find ${recipe.name} itself`,
    });
  }
  return useWhenFit({ recipe, report, tried, path: named, name: variable, how: named });
}

async function useFromPath(recipe: ToolRecipe, report: Report, tried: Attempt[]): Promise<string | null> {
  const path = findOnPath(recipe.program);
  if (path) return useWhenFit({ recipe, report, tried, path, name: 'PATH', how: path });
  tried.push({ name: 'PATH', reason: `no ${recipe.program} on it` });
  return null;
}

interface Candidate {
  readonly recipe: ToolRecipe;
  readonly report: Report;
  readonly tried: Attempt[];
  readonly path: string;
  readonly name: string;
  /** How it was had. */
  readonly how: string;
}

async function useWhenFit({ recipe, report, tried, path, name, how }: Candidate): Promise<string | null> {
  try {
    const version = await recipe.versionOf(path);
    const refusal = recipe.refuse(version);
    if (refusal === null) {
      report('ready', how, version);
      return path;
    }
    tried.push({ name, reason: `${path} ${refusal}` });
  } catch (error) {
    tried.push({ name, reason: `${path} does not run: ${messageOf(error)}` });
  }
  return null;
}

async function useCached(recipe: ToolRecipe, cacheDirectory: string, report: Report): Promise<string | null> {
  for (const { key } of recipe.sources) {
    const path = await findCached(cacheDirectory, { tool: recipe.cacheName, key, program: recipe.program });
    const found = path && (await useWhenFit({ recipe, report, tried: [], path, name: 'cache', how: 'cached' }));
    if (found) return found;
  }
  return null;
}

async function makeFromFirstWorking(
  recipe: ToolRecipe,
  cacheDirectory: string,
  report: Report,
  tried: Attempt[],
): Promise<string> {
  for (const source of recipe.sources) {
    try {
      const path = await placeInCache(cacheDirectory, {
        tool: recipe.cacheName,
        key: source.key,
        program: recipe.program,
        needsBytes: source.needsBytes,
        make: (directory) => source.make(directory, report),
      });
      const used = await useWhenFit({ recipe, report, tried, path, name: source.name, how: source.done });
      if (used) return used;
    } catch (error) {
      if (isDiskFull(error)) throw error;
      const hint = error instanceof WindlassError && error.hint ? ` (${error.hint})` : '';
      tried.push({ name: source.name, reason: `${messageOf(error)}${hint}` });
    }
  }
  throw missing(recipe, tried);
}

function titleOf({ name, wanted }: ToolRecipe): string {
  return wanted === undefined ? name : `${name} ${wanted}`;
}

function missing(recipe: ToolRecipe, tried: readonly Attempt[]): WindlassError {
  const lines = tried.map(({ name, reason }) => `  ${name}: ${reason.replaceAll('\n', '\n    ')}`);
  return new WindlassError(
    'toolMissing',
    [`${titleOf(recipe)} is not here, and could not be had:`, ...lines].join('\n'),
    {
      hint: recipe.hint,
    },
  );
}

/** The lock is the first thing written into the cache, so it meets what is wrong with the directory. */
function explainCacheAccess(error: unknown, cacheDirectory: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof WindlassError || code === undefined || !/^E[A-Z]+$/.test(code)) return error;
  return new WindlassError('unavailable', `cannot use the cache directory ${cacheDirectory}: ${messageOf(error)}`, {
    hint: 'make it a directory this user may write to, or set WINDLASS_CACHE to another one',
    cause: error,
  });
}
