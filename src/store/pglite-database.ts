import { execFile } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import { messageOf, WindlassError } from '../model/index.ts';
import { lockDirectory } from './directory-lock.ts';

/**
 * PGlite's own parameters and ours. It never calls fsync: what is written survives the end of this process in any way,
 * but not a power cut. `synchronous_commit` stays on, since nothing else would hand a commit to the operating system.
 * Less shared memory than the default 128 MB, and no compiler for queries that take a tenth of a millisecond.
 */
const startParams = [...PGlite.defaultStartParams, '-c', 'shared_buffers=32MB', '-c', 'jit=off'];

const clusterName = 'pgdata';

export interface OpenedPGlite {
  readonly pg: PGlite;
  /** Gives the directory back. */
  readonly release: () => void;
}

/** Opens the database of a directory, making it when there is none; null keeps it in memory. */
export async function openPGlite(directory: string | null): Promise<OpenedPGlite> {
  if (directory === null) return { pg: await openInMemory(), release: () => undefined };
  const release = lockDirectory(directory);
  try {
    const cluster = join(directory, clusterName);
    if (!existsSync(cluster)) await createCluster(directory, cluster);
    return { pg: await PGlite.create({ dataDir: cluster, startParams }), release };
  } catch (error) {
    release();
    throw new WindlassError('unavailable', `the embedded database in ${directory} does not open: ${messageOf(error)}`, {
      hint: 'check the space and the permissions there; a copy of the directory is a backup while Windlass is stopped',
      cause: error,
    });
  }
}

/** An empty cluster, made once a process: making one takes seconds, loading it a fraction of one. */
let emptyCluster: Promise<Blob> | null = null;

async function openInMemory(): Promise<PGlite> {
  emptyCluster ??= PGlite.create({ startParams }).then(async (pg) => {
    const dump = await pg.dumpDataDir('none');
    await pg.close();
    return dump;
  });
  return PGlite.create({ loadDataDir: await emptyCluster, startParams });
}

/**
 * Makes the files in a process of their own: the several hundred megabytes that this takes would stay with ours, and
 * its event loop would stand still. The directory gets its name last, so that a half-made one is never opened.
 */
async function createCluster(directory: string, cluster: string): Promise<void> {
  const prefix = `${clusterName}.new-`;
  for (const name of readdirSync(directory)) {
    if (name.startsWith(prefix)) rmSync(join(directory, name), { recursive: true, force: true });
  }
  const unfinished = join(directory, `${prefix}${process.pid}`);
  const script = `
    const { PGlite } = require(${JSON.stringify(require.resolve('@electric-sql/pglite'))});
    PGlite.create({ dataDir: ${JSON.stringify(unfinished)} }).then((pg) => pg.close()).catch((error) => {
      process.stderr.write(String(error && error.message));
      process.exitCode = 1;
    });`;
  try {
    await promisify(execFile)(process.execPath, ['-e', script], { env: {}, timeout: 300_000 });
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    const said = (error as { stderr?: unknown }).stderr;
    throw new Error(typeof said === 'string' && said !== '' ? said.trim() : messageOf(error), { cause: error });
  }
  renameSync(unfinished, cluster);
}
