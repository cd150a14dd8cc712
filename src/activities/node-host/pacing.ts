import { createHash } from 'node:crypto';
import type { NodeSnapshot, RunError } from '../../model/index.ts';
import { readPaces, strikePace } from '../../store/index.ts';
import type { Database } from '../../store/index.ts';
import type { NodeValues } from '../../node/index.ts';

/** Environment variables that say which account a tool works in; the first that is set counts. */
const accountVariables = [
  'AWS_PROFILE',
  'AWS_ACCESS_KEY_ID',
  'ARM_SUBSCRIPTION_ID',
  'GOOGLE_PROJECT',
  'GOOGLE_CLOUD_PROJECT',
  'DIGITALOCEAN_TOKEN',
];
const rule = { firstMs: 5000, longestMs: 600_000, calmMs: 600_000 };
const mostStrikes = 10;
/** How long this worker believes what it has read, so that large runs do not ask for each node. */
const believedMs = 1000;

/** Whom a node's calls are counted for: its account, or, when nothing names one, all stacks of its source in the project. */
export function paceKey(
  projectId: string,
  snapshot: Pick<NodeSnapshot, 'source'>,
  values: Pick<NodeValues, 'variables'>,
): string {
  const environment = new Map(
    values.variables.filter(({ kind }) => kind === 'environment').map(({ name, value }) => [name, value]),
  );
  const name = accountVariables.find((candidate) => typeof environment.get(candidate) === 'string');
  const { source } = snapshot;
  const account =
    name === undefined ? [source.kind === 'git' ? source.repository : source.directory] : [name, environment.get(name)];
  return createHash('sha256')
    .update(JSON.stringify([projectId, ...account]))
    .digest('hex');
}

interface Known {
  readonly atMs: number;
  readonly paces: Promise<Map<string, number>>;
}
const known = new WeakMap<Database, Known>();

/** How long a node has to wait before it starts, because its account is being waited for; 0 when nothing is in its way. */
export async function paceLeftMs(db: Database, key: string): Promise<number> {
  let last = known.get(db);
  if (last === undefined || Date.now() - last.atMs > believedMs) {
    last = { atMs: Date.now(), paces: readPaces(db.sql) };
    last.paces.catch(() => known.delete(db));
    known.set(db, last);
  }
  const waitMs = ((await last.paces).get(key) ?? 0) - (Date.now() - last.atMs);
  return waitMs <= 0 ? 0 : spread(waitMs);
}

/** A service that asks for slower calls passes by itself; a quota that is used up does not. */
export function isThrottle({ class: kind, message }: RunError): boolean {
  return (
    kind === 'quota' &&
    /throttl|\brate\b|slow ?down|too ?many ?requests|\b429\b|request ?limit|per (second|minute|\d+ seconds)/i.test(
      message,
    )
  );
}

/** How long a throttled node waits before it tries again, and whether its account has asked too often by now. */
export async function backOff(
  db: Database,
  key: string,
): Promise<{ readonly afterMs: number; readonly tooOften: boolean }> {
  known.delete(db);
  const { waitMs, strikes } = await strikePace(db.sql, key, rule);
  return { afterMs: spread(waitMs), tooOften: strikes > mostStrikes };
}

/** Not all at once when the wait is over: up to a quarter longer. */
function spread(waitMs: number): number {
  return Math.round(Math.max(waitMs, 0) * (1 + Math.random() / 4));
}
