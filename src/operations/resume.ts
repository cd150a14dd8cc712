import type { Deployment } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { listNodeRuns } from '../store/index.ts';
import type { Context } from './context.ts';
import type { SourceChange } from './dry-run.ts';

export interface ResumeChoice {
  /** Read the file again instead of the snapshot. */
  readonly refresh: boolean;
  /** What whoever resumes should know. */
  readonly warning: string | null;
}

/** Whether a run can be resumed with the file read again: one that did what the file said. */
function mayRefresh({ type, request }: Deployment): boolean {
  return (
    type === 'deploy' && request.partial?.operation !== 'single-node-destroy' && request.restoreNodes === undefined
  );
}

const describe = ({ what, was, now }: SourceChange): string => `${what} (${short(was)} → ${short(now)})`;
const short = (commit: string): string => commit.replace(/^local:/, '').slice(0, 8);

/**
 * What a resume goes on with when nobody has said it: the snapshot. When the code was at fault and has been changed since,
 * the snapshot would fail again, so whoever asks has to choose.
 */
export async function chooseResume(
  context: Context,
  deployment: Deployment,
  asked: boolean | undefined,
): Promise<ResumeChoice> {
  if (asked !== undefined || !mayRefresh(deployment)) return { refresh: asked ?? false, warning: null };
  // It ended before it knew its nodes, so there is no snapshot to go on with.
  if (deployment.counts.total === 0) return { refresh: true, warning: null };
  const changes = (await context.resolver?.changedSince(deployment.id)) ?? [];
  if (changes.length === 0) return { refresh: false, warning: null };
  const { number, environmentName: name } = deployment;
  const quoted = /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
  const changed = `the source has changed since deployment ${number}: ${changes.map(describe).join(', ')}`;
  const nodes = await listNodeRuns(context.db.sql, deployment.id);
  const failed = nodes.filter(
    ({ error, status }) => status !== 'succeeded' && (error?.class === 'tool' || error?.class === 'definition'),
  );
  if (failed.length === 0)
    return {
      refresh: false,
      warning: `${changed}; this goes on with what was taken then. --refresh takes it as it is now`,
    };
  throw new WindlassError(
    'conflict',
    `${changed}, and "${failed[0]?.name ?? ''}" failed in the code that was taken then`,
    {
      hint: `with the code as it is now: windlass resume ${quoted} --refresh\nwith the code as it was: windlass resume ${quoted} --as-it-was`,
    },
  );
}
