import { execFile } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import { messageOf, WindlassError } from '../model/index.ts';
import { lockDirectory } from './directory-lock.ts';
import { findDamagedFiles, wasClosed } from './page-check.ts';
import type { DamagedFile } from './page-check.ts';

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

/** Pages whose checksum is wrong are read all the same, as far as they make sense. */
const ignoringDamage = [...startParams, '-c', 'ignore_checksum_failure=on'];

/** Opens the database of a directory, making it when there is none; null keeps it in memory. */
export async function openPGlite(directory: string | null, { ignoreDamage = false } = {}): Promise<OpenedPGlite> {
  if (directory === null) return { pg: await openInMemory(), release: () => undefined };
  const release = lockOf(directory);
  try {
    const cluster = join(directory, clusterName);
    if (!existsSync(cluster)) await createCluster(directory, cluster);
    const pg = ignoreDamage
      ? await PGlite.create({ dataDir: cluster, startParams: ignoringDamage })
      : await openChecked(cluster);
    return { pg, release };
  } catch (error) {
    release();
    if (error instanceof WindlassError) throw error;
    throw new WindlassError('unavailable', `the embedded database in ${directory} does not open: ${messageOf(error)}`, {
      hint: `check the space and the permissions there. If its files are damaged: ${waysBack}`,
      cause: error,
    });
  }
}

function lockOf(directory: string): () => void {
  try {
    return lockDirectory(directory);
  } catch (error) {
    if (error instanceof WindlassError) throw error;
    throw new WindlassError('unavailable', `cannot write in ${directory}: ${messageOf(error)}`, {
      hint: 'make it a directory this user may write to, or set WINDLASS_DATA to another one',
      cause: error,
    });
  }
}

const waysBack =
  'restore the last backup (windlass restore FILE --force keeps the present files aside), or go on with what can still be read (windlass up --ignore-damage) and take a backup of that at once';

/**
 * Opens a cluster whose pages all fit their checksums, and refuses another. The pages of one that was not closed fit only
 * after its write-ahead log was replayed, so it is opened, closed, looked at, and opened again.
 */
async function openChecked(cluster: string): Promise<PGlite> {
  if (!(await wasClosed(cluster))) await (await PGlite.create({ dataDir: cluster, startParams })).close();
  const damaged = await findDamagedFiles(cluster);
  if (damaged.length === 0) return PGlite.create({ dataDir: cluster, startParams });
  const names = await namesOf(cluster, damaged).catch(() => new Map<number, string>());
  const list = damaged.map(({ file, fileNode, blocks }) => {
    const name = names.get(fileNode);
    return `${name === undefined ? '' : `${name}: `}${join(cluster, file)}, ${blocks.length === 1 ? 'page' : 'pages'} ${blocks.join(', ')}`;
  });
  throw new WindlassError(
    'unavailable',
    ['files of the embedded database are damaged: their content does not fit their checksums', ...list].join('\n  '),
    { hint: waysBack },
  );
}

/** What the damaged files hold, as far as the catalogue of the database can still be read. */
async function namesOf(cluster: string, damaged: readonly DamagedFile[]): Promise<Map<number, string>> {
  const pg = await PGlite.create({ dataDir: cluster, startParams: ignoringDamage });
  try {
    const { rows } = await pg.query<{ node: number; name: string }>(
      `SELECT pg_relation_filenode(c.oid)::int AS node, CASE c.relkind WHEN 'i' THEN 'index ' WHEN 't' THEN 'large values of table ' ELSE 'table ' END
         || coalesce(owner.relname, c.relname) AS name
       FROM pg_class c LEFT JOIN pg_class owner ON owner.reltoastrelid = c.oid WHERE pg_relation_filenode(c.oid) = ANY($1)`,
      [damaged.map(({ fileNode }) => fileNode)],
    );
    return new Map(rows.map(({ node, name }) => [node, name]));
  } finally {
    await pg.close();
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
