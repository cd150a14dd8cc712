import type { Position, Problem } from '../model/index.ts';
import { counted, nearest, quote } from './text.ts';

const mostProblems = 200;
/** One file may have any number of problems; what is kept is bounded, but not by the order they are found in. */
const mostKept = 2000;
/** Letters compared for suggestions in one file; a hostile file must not buy minutes of comparing. */
const comparisonBudget = 300_000;

/** Gathers the problems of one file. */
export interface ProblemList {
  add(position: Position | undefined, message: string): void;
  /** The known word most like a mistyped one. */
  readonly nearest: (word: string, known: Iterable<string>) => string | undefined;
  /** `; did you mean "eks"?`, or nothing. */
  readonly suggest: (word: string, known: Iterable<string>) => string;
  readonly count: number;
  /** Further ones are only counted, by `pass`, so that nobody needs to word them. */
  readonly isFull: boolean;
  readonly pass: (more: number) => void;
  /** In the order of the file; a long list ends with how many more there are. */
  sorted(): Problem[];
}

export function makeProblemList(file: string): ProblemList {
  const problems: Problem[] = [];
  let left = comparisonBudget;
  let count = 0;
  const nearestOf = (word: string, known: Iterable<string>): string | undefined => {
    const candidates: string[] = [];
    for (const candidate of known) {
      left -= Math.min(word.length, candidate.length);
      if (left < 0) break;
      candidates.push(candidate);
    }
    return nearest(word, candidates)[0];
  };
  return {
    get count() {
      return count;
    },
    get isFull() {
      return problems.length === mostKept;
    },
    pass: (more) => {
      count += more;
    },
    add(position, message) {
      count++;
      if (problems.length < mostKept) problems.push({ message, file, line: position?.line, column: position?.column });
    },
    nearest: nearestOf,
    suggest: (word, known) => {
      const best = nearestOf(word, known);
      return best === undefined ? '' : `; did you mean ${quote(best)}?`;
    },
    sorted() {
      const inOrder = problems
        .map((problem, index) => ({ problem, index }))
        .sort((a, b) => comparePositions(a.problem, b.problem) || a.index - b.index)
        .map((entry) => entry.problem);
      if (count <= mostProblems) return inOrder;
      return [
        ...inOrder.slice(0, mostProblems),
        { message: `and ${counted(count - mostProblems, 'more problem')}`, file },
      ];
    },
  };
}

function comparePositions(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

/** `shop.workflow.yml:12:11  error  unknown key "need"`. */
export function formatProblem(problem: Problem): string {
  return [placeOf(problem), 'error', problem.message].filter((part) => part !== '').join('  ');
}

/** Each problem on a line, the messages in one column. */
export function formatProblems(problems: readonly Problem[]): string[] {
  const width = Math.max(0, ...problems.map((problem) => placeOf(problem).length));
  return problems.map((problem) => `${placeOf(problem).padEnd(width)}  error  ${problem.message}`.trimStart());
}

function placeOf(problem: Problem): string {
  const parts = problem.file === undefined || problem.file === '' ? [] : [problem.file];
  if (problem.line !== undefined) parts.push(String(problem.line));
  if (problem.line !== undefined && problem.column !== undefined) parts.push(String(problem.column));
  return parts.length > 0 ? parts.join(':') : (problem.path ?? '');
}
