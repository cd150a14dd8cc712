/** Regular expressions that users write, run by a matcher whose time grows with the text alone and never explodes. */
import { RE2JS, RE2JSException, RE2JSSyntaxException } from 're2js';
import { messageOf } from '../model/index.ts';
import { counted, quote } from './text.ts';

const longestPattern = 500;
const longestText = 10_000;
/** States of the matcher times characters of the text, for patterns that repetitions such as `{500}` have blown up. */
const mostSteps = 1_000_000;

export type PatternAnswer =
  { readonly matches: boolean; readonly problem: null } | { readonly matches: null; readonly problem: string };

type Compiled =
  { readonly program: RE2JS; readonly problem: null } | { readonly program: null; readonly problem: string };

/** What JavaScript's own expressions have and a linear-time matcher cannot have. */
const unsupported: readonly (readonly [RegExp, string, string])[] = [
  [/\(\?=/y, 'a look-ahead', 'write out what may follow, or list the values with "allowed"'],
  [/\(\?!/y, 'a negative look-ahead', 'write out what is possible, or list the values with "allowed"'],
  [/\(\?<=/y, 'a look-behind', 'write what comes before as a part of the pattern'],
  [/\(\?<!/y, 'a negative look-behind', 'write out what may come before as a part of the pattern'],
  [/\\[1-9]/y, 'a back reference', 'write out what may repeat'],
  [/\\k</y, 'a back reference', 'write out what may repeat'],
];

/** Finds the first of them outside character classes. */
function unsupportedIn(pattern: string): string | null {
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    for (const [form, what, hint] of inClass ? [] : unsupported) {
      form.lastIndex = at;
      const found = form.exec(pattern)?.[0];
      if (found === undefined) continue;
      return `${quote(pattern)} has ${what}, ${quote(found)}, at character ${at + 1}: patterns run in linear time (RE2), which has none; ${hint}`;
    }
    const character = pattern[at];
    if (character === '\\') at++;
    else if (character === '[') inClass = true;
    else if (character === ']') inClass = false;
  }
  return null;
}

/** `: at character 3, "a{1001}": invalid repeat count`. The matcher names the part, which is where it stands first. */
function syntaxProblem(pattern: string, error: RE2JSException): string {
  if (!(error instanceof RE2JSSyntaxException)) return messageOf(error);
  const part = error.input;
  const at = part === null || part === '' || part === pattern ? -1 : pattern.indexOf(part);
  return at < 0 ? error.error : `${error.error} ${quote(part ?? '')} at character ${at + 1}`;
}

function compile(pattern: string): Compiled {
  const no = (problem: string): Compiled => ({ program: null, problem });
  if (pattern.length > longestPattern)
    return no(`a pattern may have ${longestPattern} characters, this one has ${pattern.length}`);
  const lacking = unsupportedIn(pattern);
  if (lacking !== null) return no(lacking);
  try {
    return { program: RE2JS.compile(RE2JS.translateRegExp(pattern)), problem: null };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return no(`${quote(pattern)} is not a regular expression: ${syntaxProblem(pattern, error)}`);
  }
}

/** Why this cannot be used as a pattern, with the place and a way out; null when it can. */
export function patternProblem(pattern: string): string | null {
  return compile(pattern).problem;
}

/** Whether the text matches anywhere. Its time grows with the text, whatever the pattern. Never repeats the text. */
export function matchPattern(pattern: string, text: string): PatternAnswer {
  const { program, problem } = compile(pattern);
  if (program === null) return { matches: null, problem };
  if (text.length > longestText) {
    return {
      matches: null,
      problem: `a text of ${counted(text.length, 'character')} is too long for a pattern (${longestText})`,
    };
  }
  const states = program.programSize();
  if (states > pattern.length && states * text.length > mostSteps) {
    return {
      matches: null,
      problem: `the repetitions of ${quote(pattern)} make ${counted(states, 'state')}, too many for a text of ${counted(text.length, 'character')}; write fewer repetitions`,
    };
  }
  return { matches: program.test(text), problem: null };
}
