import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { complete } from './complete.ts';
import type { CommandShape } from './complete.ts';
import { knownServer, namesOf } from './names.ts';

/** Word by which the scripts ask. Not a command: words of a half-typed line would be taken for options. */
export const completionWord = '__complete';

/** Where the build writes down what the commands are, beside the compiled code. */
export const shapeFile = join(__dirname, 'commands.json');

/** null in a tree that was not built. */
export function readShape(): CommandShape | null {
  try {
    // Written by the build of this very program.
    return JSON.parse(readFileSync(shapeFile, 'utf8')) as CommandShape;
  } catch {
    return null;
  }
}

/** Lines that may stand where the last of the words is being typed. Is quick, starts nothing and never fails. */
export async function answerCompletion(
  program: CommandShape,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string[]> {
  const { candidates, wants } = complete(program, words);
  const names = wants === null ? [] : await namesOf(knownServer(env), wants, words.at(-1) ?? '');
  return [...candidates, ...names];
}
