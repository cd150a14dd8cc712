// Records histories into test/histories/<today>/; see docs/versioning.md. Needs the tools of `./windlass test`.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
for (const args of [
  [join(root, 'scripts', 'build.mjs')],
  [join(root, 'dist', 'test', 'support', 'record-histories.js')],
]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
