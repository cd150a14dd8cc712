import { join } from 'node:path';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import type { Report } from './progress.ts';
import { reportWhile } from './progress.ts';
import { findOnPath, isExecutable, lastLines, runProgram } from './programs.ts';

const buildTimeoutMs = 40 * 60_000;

/** The Go command; null when there is none. */
export function findGo(): string | null {
  const usual = '/usr/local/go/bin/go';
  return findOnPath('go') ?? (isExecutable(usual) ? usual : null);
}

function requireGo(): string {
  const go = findGo();
  if (go) return go;
  throw new WindlassError('toolMissing', 'Go is not installed', { hint: 'install Go 1.25 or later' });
}

const environment = (extra: Record<string, string>): NodeJS.ProcessEnv => ({
  ...process.env,
  CGO_ENABLED: '0',
  GO111MODULE: 'on',
  GOWORK: 'off',
  ...extra,
});

interface GoCall {
  readonly args: readonly string[];
  readonly directory: string;
  readonly environment?: Record<string, string>;
}

async function go(call: GoCall): Promise<string> {
  const end = await runProgram({
    command: requireGo(),
    args: call.args,
    directory: call.directory,
    environment: environment(call.environment ?? {}),
    timeoutMs: buildTimeoutMs,
  });
  if (end.code === 0) return end.stdout;
  const reason = end.timedOut ? 'it took more than 40 minutes' : lastLines(end.stderr || end.stdout);
  throw new WindlassError('unavailable', `go ${call.args[0]} failed: ${reason}`);
}

export interface GoBuild {
  readonly module: string;
  /** With its `v`. */
  readonly version: string;
  /** Directory of the main package inside the module. */
  readonly package: string;
  readonly program: string;
  readonly ldflags: string;
  /** For people: `about 5 minutes, only this once`. */
  readonly duration: string;
}

const downloadedModuleSchema = z.object({ Dir: z.string() });

/**
 * Builds a program inside its own module, as its authors do: their `replace` lines and their checksums of everything
 * it needs hold, which they do not for `go install` of somebody else's module.
 */
export async function buildInModule(build: GoBuild, directory: string, report: Report): Promise<void> {
  requireGo();
  const say = (): void => report('building', build.duration);
  const described = await reportWhile(
    say,
    go({ args: ['mod', 'download', '-json', `${build.module}@${build.version}`], directory }),
  );
  const source = downloadedModuleSchema.parse(JSON.parse(described)).Dir;
  const output = join(directory, build.program);
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags', build.ldflags, '-o', output, `./${build.package}`];
  await reportWhile(say, go({ args, directory: source }));
}

/** Builds a program whose module has no `replace` lines. */
export async function goInstall(build: GoBuild, directory: string, report: Report): Promise<void> {
  requireGo();
  const target = `${build.module}/${build.package}`.replace(/\/\.$/, '');
  await reportWhile(
    () => report('building', build.duration),
    go({
      args: ['install', '-trimpath', '-ldflags', build.ldflags, `${target}@${build.version}`],
      directory,
      environment: { GOBIN: directory },
    }),
  );
}
