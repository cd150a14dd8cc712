/** Regular expressions that users write, run so that a catastrophic one cannot hold the process. */
import { createContext, Script } from 'node:vm';
import { messageOf } from '../model/index.ts';
import { counted, quote } from './text.ts';

const longestPattern = 500;
const longestText = 10_000;
/** The second try is for a machine that was too busy to give the first one its time. */
const timeoutsMs = [100, 1000];

// Which patterns are catastrophic cannot be told from their looks without refusing many good ones (`^[a-z]+(-[a-z]+)*$`),
// so the engine is interrupted instead. The context holds nothing but the two texts.
const test = new Script('new RegExp(pattern).test(text)');

export type PatternAnswer =
  { readonly matches: boolean; readonly problem: null } | { readonly matches: null; readonly problem: string };

/** Why this cannot be used as a pattern; null when it can. */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > longestPattern)
    return `a pattern may have ${longestPattern} characters, this one has ${pattern.length}`;
  try {
    new RegExp(pattern);
    return null;
  } catch (error) {
    return `${quote(pattern)} is not a regular expression: ${messageOf(error).replace(/^Invalid regular expression: (\/.*\/\w*: )?/s, '')}`;
  }
}

/** Whether the text matches anywhere. Never takes longer than about a second, and never repeats the text. */
export function matchPattern(pattern: string, text: string): PatternAnswer {
  const problem = patternProblem(pattern);
  if (problem !== null) return { matches: null, problem };
  if (text.length > longestText) {
    return {
      matches: null,
      problem: `a text of ${counted(text.length, 'character')} is too long for a pattern (${longestText})`,
    };
  }
  const context = createContext(Object.assign(Object.create(null) as object, { pattern, text }), {
    codeGeneration: { strings: false, wasm: false },
  });
  for (const timeout of timeoutsMs) {
    try {
      return { matches: test.runInContext(context, { timeout }) === true, problem: null };
    } catch {
      // Interrupted; nothing else can go wrong with a pattern that was compiled before.
    }
  }
  return {
    matches: null,
    problem: `the pattern ${quote(pattern)} takes too long; write it without repetitions inside repetitions`,
  };
}
