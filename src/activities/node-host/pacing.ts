import { createHash } from 'node:crypto';
import type { NodeSnapshot, RunError } from '../../model/index.ts';
import { readPaces, recordThrottle } from '../../store/index.ts';
import type { Database } from '../../store/index.ts';
import type { NodeValues } from '../../node/index.ts';
import { toolOfType } from '../../tools/catalogue.ts';

const rule = { firstMs: 5000, longestMs: 600_000, resetAfterMs: 600_000 };
const mostStrikes = 10;
/** How long this worker believes what it has read, so that large runs do not ask for each node. */
const believedMs = 1000;

/** Whom a node's calls are counted for. */
export interface Pacer {
  /** Tells it from others; the account itself cannot be read from it. */
  readonly key: string;
  /** For people. */
  readonly account: string;
}

/** The account of a node, or, when nothing names one, all stacks of its source in the project. */
export function pacerOf(
  projectId: string,
  snapshot: Pick<NodeSnapshot, 'source' | 'type'>,
  values: Pick<NodeValues, 'variables'>,
): Pacer {
  const environment = new Map(
    values.variables.filter(({ kind }) => kind === 'environment').map((variable) => [variable.name, variable]),
  );
  const accounts = toolOfType(snapshot.type)?.accounts ?? [];
  const named = accounts.flatMap(({ name, shown }) => {
    const variable = environment.get(name);
    return typeof variable?.value === 'string'
      ? [{ name, value: variable.value, shown: shown && !variable.sensitive }]
      : [];
  })[0];
  const { source } = snapshot;
  const parts =
    named === undefined ? [source.kind === 'git' ? source.repository : source.directory] : [named.name, named.value];
  const key = createHash('sha256')
    .update(JSON.stringify([projectId, ...parts]))
    .digest('hex');
  if (named === undefined) return { key, account: 'the account of its source' };
  return { key, account: named.shown ? `the account ${named.name}=${named.value}` : `the account of ${named.name}` };
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
  const { waitMs, strikes } = await recordThrottle(db.sql, key, rule);
  return { afterMs: spread(waitMs), tooOften: strikes > mostStrikes };
}

/** Not all at once when the wait is over: up to a quarter longer. */
function spread(waitMs: number): number {
  return Math.round(Math.max(waitMs, 0) * (1 + Math.random() / 4));
}
