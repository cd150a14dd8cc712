import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identifySelf, livenessOf, placedProcessSchema, tryLock } from '../host/index.ts';
import type { PlacedProcess } from '../host/index.ts';
import { WindlassError } from '../model/index.ts';

const instanceSchema = placedProcessSchema.extend({
  /** null while it is still starting. */
  url: z.string().nullable(),
  temporalUrl: z.string().nullable(),
  startedAt: z.iso.datetime(),
});

/** The embedded server that has a data directory. */
export interface RunningInstance {
  readonly pid: number;
  /** Address of the API; null while it is still starting. */
  readonly url: string | null;
  /** Temporal Web UI. */
  readonly temporalUrl: string | null;
  /** ISO 8601. */
  readonly startedAt: string;
}

export interface InstanceLock {
  /** Writes down where the server can be reached, for commands that come later. */
  announce(addresses: { readonly url: string; readonly temporalUrl: string | null }): void;
  release(): void;
}

const recordFile = (dataDirectory: string): string => join(dataDirectory, 'server.json');

/** The server that uses this data directory now; null when there is none. */
export function findRunning(dataDirectory: string): RunningInstance | null {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(recordFile(dataDirectory), 'utf8'));
  } catch {
    return null;
  }
  const parsed = instanceSchema.safeParse(raw);
  if (!parsed.success || livenessOf(parsed.data) !== 'alive') return null;
  const { pid, url, temporalUrl, startedAt } = parsed.data;
  return { pid, url, temporalUrl, startedAt };
}

/** Two embedded servers on one directory would ruin its database. Throws `conflict` with the other's pid and address. */
export function lockInstance(dataDirectory: string): InstanceLock {
  const attempt = tryLock(join(dataDirectory, 'instance.lock'));
  if (!attempt.held) throw alreadyRunning(dataDirectory, attempt.owner);

  const startedAt = new Date().toISOString();
  const record = recordFile(dataDirectory);
  const write = (addresses: { url: string | null; temporalUrl: string | null }): void => {
    const draft = `${record}.${process.pid}`;
    rmSync(draft, { force: true });
    writeFileSync(draft, `${JSON.stringify({ ...identifySelf(), ...addresses, startedAt }, null, 2)}\n`, {
      mode: 0o600,
    });
    renameSync(draft, record);
  };
  write({ url: null, temporalUrl: null });
  return {
    announce: write,
    release() {
      rmSync(record, { force: true });
      attempt.lock.release();
    },
  };
}

function alreadyRunning(dataDirectory: string, owner: PlacedProcess | null): WindlassError {
  const hint = 'for a second, separate one set WINDLASS_DATA to another directory';
  if (!owner || livenessOf(owner) !== 'alive') {
    const message = `Windlass already runs on ${dataDirectory}, on another machine or in another container`;
    return new WindlassError('conflict', message, { hint: `stop that one first; ${hint}` });
  }
  const url = findRunning(dataDirectory)?.url;
  const state = url ? `at ${url}` : 'and is still starting';
  return new WindlassError('conflict', `Windlass already runs on ${dataDirectory} (process ${owner.pid}) ${state}`, {
    hint: `use that one, or stop it with: kill ${owner.pid}; ${hint}`,
  });
}
