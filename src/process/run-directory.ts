import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { parseIdentity, processHome } from '../host/index.ts';
import type { ProcessIdentity } from '../host/index.ts';
import type { ProcessNamespace } from './namespace.ts';
import type { IsolationWay } from './isolation/index.ts';

/** What is written down before a tool starts, so that another worker can tell whose run this is. */
const launchRecordSchema = z.object({
  /** The caller's name for the run. */
  id: z.string(),
  /** Stands in the wrapper's arguments, so that it can be found before it has written itself down. */
  token: z.string(),
  host: z.string(),
  boot: z.string(),
  namespace: z.string(),
  startedAtMs: z.number(),
  isolation: z.enum(['bubblewrap', 'user', 'off']).default('off'),
});
export type LaunchRecord = z.infer<typeof launchRecordSchema>;

export function runFiles(directory: string) {
  return {
    record: join(directory, 'record.json'),
    /** Identity of the wrapper, written by itself. */
    wrapper: join(directory, 'wrapper'),
    /** Identity of the tool. */
    tool: join(directory, 'tool'),
    /** What bwrap says of the namespaces it made. */
    sandbox: join(directory, 'sandbox'),
    environment: join(directory, 'environment'),
    temporary: join(directory, 'tmp'),
    /** The tool's exit code and a line feed; without the line feed it is not finished. */
    exit: join(directory, 'exit'),
    /** Is there when the tool was told to stop. */
    stopped: join(directory, 'stopped'),
    stdout: join(directory, 'stdout'),
    stderr: join(directory, 'stderr'),
    /** How far the output was handed on: `<stdout bytes> <stderr bytes>`. */
    handled: join(directory, 'handled'),
  };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/**
 * Makes a private, empty directory with its record. Throws when there is one already. It need not survive a crash of the
 * machine, since that ends the tool too and the new boot tells.
 */
export function createRunDirectory(directory: string, id: string, isolation: IsolationWay = 'off'): LaunchRecord {
  mkdirSync(directory, { mode: 0o700 });
  if (isolation !== 'off') mkdirSync(runFiles(directory).temporary, { mode: 0o700 });
  const token = `windlass-${randomUUID()}`;
  const record = { id, token, host: hostname(), ...processHome(), startedAtMs: Date.now(), isolation };
  const file = openSync(runFiles(directory).record, 'wx', 0o600);
  try {
    writeSync(file, JSON.stringify(record));
  } finally {
    closeSync(file);
  }
  return record;
}

export function readRecord(directory: string): LaunchRecord | null {
  const text = readText(runFiles(directory).record);
  if (text === null) return null;
  try {
    return launchRecordSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export function readIdentity(directory: string, which: 'wrapper' | 'tool'): ProcessIdentity | null {
  const text = readText(runFiles(directory)[which]);
  return text === null ? null : parseIdentity(text);
}

const namespacesSchema = z.object({ 'child-pid': z.number().int().positive(), 'pid-namespace': z.number() });

/** The first process of the tool's own process namespace; null when it has none, or not yet. */
export function readNamespace(directory: string): ProcessNamespace | null {
  const text = readText(runFiles(directory).sandbox);
  if (text === null) return null;
  try {
    const found = namespacesSchema.parse(JSON.parse(text));
    return { first: found['child-pid'], inode: found['pid-namespace'] };
  } catch {
    return null;
  }
}

/** The exit code the wrapper wrote down; null while there is none. */
export function readExitCode(directory: string): number | null {
  const match = /^(\d+)\n$/.exec(readText(runFiles(directory).exit) ?? '');
  return match?.[1] === undefined ? null : Number(match[1]);
}

export function readHandled(directory: string): { readonly stdout: number; readonly stderr: number } {
  const match = /^(\d+) (\d+)\s*$/.exec(readText(runFiles(directory).handled) ?? '');
  return { stdout: Number(match?.[1] ?? 0), stderr: Number(match?.[2] ?? 0) };
}

/** Removes everything about a run. Its processes must be over. */
export async function removeRunDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}
