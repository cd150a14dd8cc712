import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { WindlassError } from '../../model/index.ts';
import {
  buildInModule,
  downloadText,
  downloadVerified,
  extractFile,
  isAtLeast,
  isExact,
  lastLines,
  megabytes,
  runProgram,
  satisfies,
} from '../../provision/index.ts';
import type { ProgramRecipes, Report, ToolRecipe } from '../../provision/index.ts';
import type { ToolPaths } from '../tool.ts';

const defaultVersion = '1.12.6';
/** JSON output of `apply`, on which the runner relies. */
const oldestVersion = '1.6.0';

const versionSchema = z.object({ terraform_version: z.string() });

/** Version of OpenTofu or Terraform, asked without the user's CLI configuration and without a look at the internet. */
export async function tofuVersionOf(path: string): Promise<string> {
  const environment = { ...process.env, CHECKPOINT_DISABLE: '1', TF_CLI_CONFIG_FILE: '/dev/null' };
  const end = await runProgram({ command: path, args: ['version', '-json'], environment, timeoutMs: 20_000 });
  if (end.code === 0) {
    try {
      return versionSchema.parse(JSON.parse(end.stdout)).terraform_version;
    } catch {
      // Not the program its name promises; what it said is in the message below.
    }
  }
  throw new WindlassError('unavailable', `version answered: ${lastLines(end.stderr || end.stdout, 3) || 'nothing'}`);
}

function refuseTofu(version: string, wanted: string | undefined): string | null {
  if (wanted !== undefined) return satisfies(version, wanted) ? null : `is version ${version}; ${wanted} is wanted`;
  return isAtLeast(version, oldestVersion) ? null : `is version ${version}; ${oldestVersion} or later is needed`;
}

const archName: Partial<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

async function downloadRelease(version: string, directory: string, report: Report): Promise<void> {
  const name = `tofu_${version}_${process.platform}_${archName[process.arch] ?? process.arch}.zip`;
  const base = `https://github.com/opentofu/opentofu/releases/download/v${version}`;
  report('downloading', 'asking for the official release');
  const sums = await downloadText(`${base}/tofu_${version}_SHA256SUMS`);
  const line = sums.split('\n').find((candidate) => candidate.trim().endsWith(` ${name}`));
  const sha256 = line?.trim().split(/\s+/)[0]?.toLowerCase();
  if (!sha256 || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new WindlassError('unavailable', `the release ${version} has no ${name}`);
  }
  const file = join(directory, name);
  let saidMs = 0;
  await downloadVerified({
    url: `${base}/${name}`,
    file,
    sha256,
    onBytes(received, total) {
      const nowMs = performance.now();
      if (nowMs - saidMs < 250) return;
      saidMs = nowMs;
      report(
        'downloading',
        total === null ? `${megabytes(received)} MB` : `${megabytes(received)} of ${megabytes(total)} MB`,
      );
    },
  });
  report('unpacking', name);
  await extractFile(file, 'tofu', join(directory, 'tofu'));
  await rm(file);
}

/** OpenTofu in the wanted version, or in the one Windlass is tested with. */
function tofuRecipe(named: string | null, wanted: string | undefined): ToolRecipe {
  const version = wanted === undefined || satisfies(defaultVersion, wanted) ? defaultVersion : wanted;
  return {
    name: 'OpenTofu',
    wanted: version,
    program: 'tofu',
    cacheName: 'opentofu',
    variable: 'WINDLASS_TOFU',
    named,
    versionOf: tofuVersionOf,
    refuse: (found) => refuseTofu(found, wanted),
    // Only a full version names something that can be downloaded or built.
    sources: isExact(version)
      ? [
          {
            name: 'official release',
            done: 'downloaded',
            key: `${version}-release-${process.platform}-${process.arch}`,
            needsBytes: 250e6,
            make: (directory, report) => downloadRelease(version, directory, report),
          },
          {
            name: 'build with Go',
            done: 'built',
            key: `${version}-go-${process.platform}-${process.arch}`,
            needsBytes: 3e9,
            make: (directory, report) =>
              buildInModule(
                {
                  module: 'github.com/opentofu/opentofu',
                  version: `v${version}`,
                  package: 'cmd/tofu',
                  program: 'tofu',
                  // Without it the version ends in -dev, and stacks that require a version refuse it.
                  ldflags: '-s -w -X github.com/opentofu/opentofu/version.dev=no',
                  duration: 'about 5 minutes, only this once',
                },
                directory,
                report,
              ),
          },
        ]
      : [],
    hint: `one of these is enough: install OpenTofu${wanted ? ` ${wanted}` : ''} and put it on PATH; set WINDLASS_TOFU to it; install Go, and start again`,
  };
}

/** Terraform is only ever found: its licence does not let everybody pass it on. */
function terraformRecipe(named: string | null, wanted: string | undefined): ToolRecipe {
  return {
    name: 'Terraform',
    wanted,
    program: 'terraform',
    cacheName: 'terraform',
    variable: 'WINDLASS_TERRAFORM',
    named,
    versionOf: tofuVersionOf,
    refuse: (found) =>
      wanted === undefined || satisfies(found, wanted) ? null : `is version ${found}; ${wanted} is wanted`,
    sources: [],
    hint: `install Terraform${wanted ? ` ${wanted}` : ''} and put it on PATH, or set WINDLASS_TERRAFORM to it; a template of type opentofu needs neither`,
  };
}

export function programRecipes(paths: ToolPaths): ProgramRecipes {
  return {
    tofu: (wanted) => tofuRecipe(paths['WINDLASS_TOFU'] ?? null, wanted),
    terraform: (wanted) => terraformRecipe(paths['WINDLASS_TERRAFORM'] ?? null, wanted),
  };
}
