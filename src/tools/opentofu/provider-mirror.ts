import { cp, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../../host/index.ts';
import { findCached, goInstall, lockOf, placeInCache, reporter } from '../../provision/index.ts';
import type { OnToolProgress } from '../../provision/index.ts';

const provider = { name: 'local', version: '1.4.0' };
const goArch: Partial<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * A `filesystem_mirror` with one small real provider (`hashicorp/local`), so that tests see real drift without any
 * download by the tool. Answers the mirror's directory.
 */
export async function findProviderMirror(cacheDirectory: string, onProgress: OnToolProgress): Promise<string> {
  const report = reporter('provider "local"', provider.version, onProgress);
  const file = `terraform-provider-${provider.name}_v${provider.version}`;
  const inside = `registry.opentofu.org/hashicorp/${provider.name}/${provider.version}/${process.platform}_${goArch[process.arch] ?? process.arch}`;
  const entry = { tool: 'provider-mirror', key: `local-${provider.version}-go-both`, program: join(inside, file) };
  const mirrorOf = (program: string): string => program.slice(0, -entry.program.length - 1);
  report('looking', 'in the cache');
  return withLock(lockOf(cacheDirectory, entry.tool), async () => {
    const cached = await findCached(cacheDirectory, entry);
    const program =
      cached ??
      (await placeInCache(cacheDirectory, {
        ...entry,
        needsBytes: 500e6,
        async make(directory) {
          const module = `github.com/terraform-providers/terraform-provider-${provider.name}`;
          const build = {
            module,
            version: `v${provider.version}`,
            package: '.',
            program: `terraform-provider-${provider.name}`,
            ldflags: '-s -w',
            duration: 'about half a minute, only this once',
          };
          await goInstall(build, directory, report);
          await mkdir(join(directory, inside), { recursive: true });
          await rename(join(directory, build.program), join(directory, inside, file));
          // Each tool looks under the name of its own registry.
          await cp(join(directory, 'registry.opentofu.org'), join(directory, 'registry.terraform.io'), {
            recursive: true,
          });
        },
      }));
    report('ready', cached ? 'cached' : 'built');
    return mirrorOf(program);
  });
}
