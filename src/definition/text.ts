/** Words of messages: quoting what users wrote, lists, and the nearest known word. */

// Control, line-separating and text-direction characters would let a file's own text rewrite the terminal it is shown on.
const unsafeCharacters = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
const longestShown = 80;

/** What a user wrote, cut to a readable length and without characters that a terminal obeys. */
export function shown(text: string, longest = longestShown): string {
  const letters = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return letters.replace(unsafeCharacters, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The same in double quotes. */
export function quote(text: string): string {
  return `"${shown(text).replaceAll('"', '\\"')}"`;
}

/** `a, b or c`. */
export function listed(words: readonly string[], last = 'or', most = 12): string {
  const few = words.length > most ? [...words.slice(0, most - 1), `${words.length - most + 1} more`] : words;
  if (few.length < 2) return few[0] ?? '';
  return `${few.slice(0, -1).join(', ')} ${last} ${few[few.length - 1] ?? ''}`;
}

/** `1 problem`, `2 problems`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/**
 * The known words most like a mistyped one, best first; empty when none is near.
 * Letter case counts as half a difference, and the beginning of a known word is near it.
 */
export function nearest(word: string, known: Iterable<string>, most = 1): string[] {
  const limit = Math.max(1, Math.min(3, Math.floor(word.length / 3)));
  const found: { readonly word: string; readonly distance: number }[] = [];
  for (const candidate of known) {
    const prefix = word.length >= 3 && candidate.length > word.length && candidate.startsWith(word);
    const distance = prefix ? limit : editDistance(word, candidate, limit);
    if (distance <= limit && distance < word.length && candidate !== word) found.push({ word: candidate, distance });
  }
  return found
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map((entry) => entry.word);
}

/** `; did you mean "eks"?`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const [best] = nearest(word, known);
  return best === undefined ? '' : `; did you mean ${quote(best)}?`;
}

/** Levenshtein distance with swapped neighbours as one step; more than `limit` when it is not near. */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) > limit) return limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= to.length; j++) {
      let cost = (last[j - 1] ?? 0) + differenceOf(from[i - 1] ?? '', to[j - 1] ?? '');
      cost = Math.min(cost, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
      if (cost < least) least = cost;
    }
    if (least > limit) return limit + 1;
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? limit + 1;
}

function differenceOf(a: string, b: string): number {
  if (a === b) return 0;
  return a.toLowerCase() === b.toLowerCase() ? 0.5 : 1;
}
