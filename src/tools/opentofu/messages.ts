/** What single messages of the tools say. */
import type { Failure } from '../failures.ts';

/** The tool refuses because `init` has not been run for what is there now. */
export function needsInit(failure: Pick<Failure, 'diagnostics' | 'text'>): boolean {
  const pattern =
    /backend initialization required|initialization required|required plugins are not installed|inconsistent dependency lock file|module not installed|please run "?(tofu|terraform) init|plugin reinitialization required|could not load plugin|unavailable provider|provider requirements cannot be satisfied by locked|missing required provider|module source has changed|module version requirements have changed/i;
  const { diagnostics, text } = failure;
  return (
    diagnostics.some((d) => d.severity === 'error' && (pattern.test(d.summary) || pattern.test(d.detail))) ||
    pattern.test(text)
  );
}

export interface LockHolder {
  readonly id: string;
  /** Null when the tool shows its own try instead of the holder. */
  readonly who: string | null;
  readonly createdAtMs: number | null;
}

/** Who holds the lock, out of the message of a tool that could not get it. */
export function parseLock(message: string): LockHolder | null {
  const listed = /^\W*ID:\s+(\S+)/m.exec(message)?.[1];
  const named = /already locked:\s+ID=(\S+)/.exec(message)?.[1];
  const id = named ?? listed;
  if (id === undefined) return null;
  // Terraform's http backend names the holder in the sentence and lists its own try below it.
  if (named !== undefined && listed !== undefined && named !== listed) return { id, who: null, createdAtMs: null };
  const who = /^\W*Who:\s+(\S+)/m.exec(message)?.[1] ?? null;
  const created = /^\W*Created:\s+(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,3})?)/m.exec(message);
  const createdAtMs = created ? Date.parse(`${created[1]}T${created[2]}Z`) : null;
  return { id, who, createdAtMs };
}
