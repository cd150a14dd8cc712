import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { endedBefore, lockUnusedEnvironment } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

const dayMs = 86_400_000;
/** How long each stays on the disk of a worker after its last use; docs/operating.md says so too. */
export const keptOnDiskDays = { checkouts: 30, workDirectories: 7 } as const;

/** Begins the names of directories that are being removed. */
const goneMark = 'gone-';

export interface PrunedDisk {
  readonly checkouts: number;
  readonly workDirectories: number;
  /** Of the checkouts. */
  readonly freedBytes: number;
}

type Deps = Pick<ActivityDeps, 'db' | 'sources' | 'workDirectory'>;

/**
 * Removes what this machine can make again: checkouts of git commits, and work directories of environments that are gone
 * and of reads that a crash has left behind. Each worker does so by itself, since nobody else sees its disk.
 */
export async function pruneDisk(deps: Deps): Promise<PrunedDisk> {
  const { removed, freedBytes } = await deps.sources.prune({ unusedForMs: keptOnDiskDays.checkouts * dayMs });
  return { checkouts: removed, workDirectories: await pruneWorkDirectories(deps), freedBytes };
}

async function pruneWorkDirectories({ db, workDirectory }: Deps): Promise<number> {
  await mkdir(workDirectory, { recursive: true });
  const before = new Date(Date.now() - keptOnDiskDays.workDirectories * dayMs);
  let removed = 0;
  for (const name of await readdir(workDirectory)) {
    const path = join(workDirectory, name);
    // A state that no backend would take lies there for a person.
    if (existsSync(join(path, 'rescued'))) continue;
    const aside = join(workDirectory, `${goneMark}${name}`);
    if (name.startsWith(goneMark)) {
      // A removal that was cut off.
      await rm(path, { recursive: true, force: true });
    } else if (await moveAside(db, { name, path, aside, before })) {
      await rm(aside, { recursive: true, force: true });
      removed++;
    }
  }
  return removed;
}

interface Candidate {
  /** The id of an environment, for a read with that of its deployment behind a dot. */
  readonly name: string;
  readonly path: string;
  readonly aside: string;
  /** What was used since stays. */
  readonly before: Date;
}

/** Moves a directory away that nobody will come back to; false when somebody may. */
async function moveAside(db: Deps['db'], { name, path, aside, before }: Candidate): Promise<boolean> {
  const [environmentId = '', deploymentId] = name.split('.');
  if (deploymentId !== undefined) {
    if (!(await endedBefore(db.sql, deploymentId, before))) return false;
    await rename(path, aside);
    return true;
  }
  return db.transaction(async (tx) => {
    if (!(await lockUnusedEnvironment(tx, environmentId, before))) return false;
    await rename(path, aside);
    return true;
  });
}
