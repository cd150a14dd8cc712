import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What stacks of tests write outside of their work directory, such as journals, lies here, which their sandbox shows them. */
const shown = join(tmpdir(), 'windlass-shown');

/** A new directory that the stacks of tests can use. */
export function shownDirectory(prefix: string): string {
  mkdirSync(shown, { recursive: true });
  return mkdtempSync(join(shown, `${prefix}-`));
}

/** For WINDLASS_STACK_PATHS. */
export function stackPaths(...more: readonly string[]): string {
  mkdirSync(shown, { recursive: true });
  return [shown, ...more].join(':');
}
