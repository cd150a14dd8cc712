import { WindlassError } from '../model/index.ts';

/** Something that a reference may mean. */
export interface Candidate {
  readonly id: string;
  /** As a person would write it to mean just this one. */
  readonly label: string;
}

const mostListed = 10;

function list(candidates: readonly Candidate[]): string {
  const shown = candidates.slice(0, mostListed).map(({ id, label }) => `"${label}" (${id})`);
  const more = candidates.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** `%`, `_` and `\` of a text that is matched literally with LIKE. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (character) => `\\${character}`);
}

/** Error for a name or id that means several things. */
export function ambiguous(what: string, reference: string, candidates: readonly Candidate[]): WindlassError {
  return new WindlassError('ambiguous', `"${reference}" means more than one ${what}: ${list(candidates)}`, {
    hint: `use the id, or more of it`,
  });
}

/** Error for a name or id that means nothing here, with what there is. */
export function missing(what: string, reference: string, candidates: readonly Candidate[]): WindlassError {
  return new WindlassError('notFound', `there is no ${what} "${reference}"`, {
    hint:
      candidates.length === 0
        ? `there is no ${what} at all yet`
        : `there are: ${list(nearestFirst(reference, candidates))}`,
  });
}

/** Those that share letters with the reference come first: they are shown when not all can be. */
function nearestFirst(reference: string, candidates: readonly Candidate[]): Candidate[] {
  const wanted = pairsOf(reference);
  const scored = candidates.map((candidate) => {
    const pairs = pairsOf(candidate.label);
    let common = 0;
    for (const pair of pairs) if (wanted.has(pair)) common++;
    return { candidate, score: (2 * common) / Math.max(1, pairs.size + wanted.size) };
  });
  return scored.sort((a, b) => b.score - a.score).map(({ candidate }) => candidate);
}

function pairsOf(text: string): Set<string> {
  const lower = text.toLowerCase();
  const pairs = new Set<string>();
  for (let i = 0; i + 1 < lower.length; i++) pairs.add(lower.slice(i, i + 2));
  return pairs;
}

/** The best-ranked match, when it is the only one of its rank. Lower ranks are better. */
export function pickBest<T extends Candidate & { readonly rank: number }>(
  what: string,
  reference: string,
  matches: readonly T[],
): T | null {
  const best = Math.min(...matches.map((match) => match.rank));
  const equal = matches.filter((match) => match.rank === best);
  if (equal.length > 1) throw ambiguous(what, reference, equal);
  return equal[0] ?? null;
}

/** An id or the beginning of one that is long enough to be meant as such. */
export function looksLikeId(reference: string, prefix: string): boolean {
  return new RegExp(`^${prefix}_[0-9a-z]{4,}$`).test(reference);
}
