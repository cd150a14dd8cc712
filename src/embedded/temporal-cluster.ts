import { join } from 'node:path';
import { withLock } from '../host/index.ts';
import { buildInModule, findCached, lockOf, placeInCache, reporter } from '../provision/index.ts';
import type { OnToolProgress, Report } from '../provision/index.ts';

/** The last version that builds with Go 1.26; it is the server inside the CLI that is built where no wheel fits. */
const version = '1.29.1';
const programs = { 'temporal-server': 'cmd/server', 'temporal-sql-tool': 'cmd/tools/sql' } as const;

async function build(directory: string, report: Report): Promise<void> {
  for (const [program, directoryOfMain] of Object.entries(programs)) {
    const module = { module: 'go.temporal.io/server', version: `v${version}`, package: directoryOfMain, program };
    await buildInModule(
      { ...module, ldflags: '-s -w', duration: 'about 4 minutes, only this once' },
      directory,
      report,
    );
  }
}

/**
 * The programs of a Temporal cluster (`temporal-server`, `temporal-sql-tool`), on which the tests run each service as a
 * process of its own. Answers their directory.
 */
export async function findTemporalCluster(cacheDirectory: string, onProgress: OnToolProgress): Promise<string> {
  const report = reporter('Temporal cluster', version, onProgress);
  const entry = { tool: 'temporal-cluster', key: `${version}-go`, program: 'temporal-sql-tool' };
  report('looking', 'in the cache');
  return withLock(lockOf(cacheDirectory, entry.tool), async () => {
    const cached = await findCached(cacheDirectory, entry);
    const program =
      cached ??
      (await placeInCache(cacheDirectory, {
        ...entry,
        needsBytes: 3e9,
        make: (directory) => build(directory, report),
      }));
    report('ready', cached ? 'cached' : 'built');
    return join(program, '..');
  });
}
