// Runs a compiled program with the tools of the tests: `node scripts/with-tools.mjs test/chaos/index.js --seed 7`.
// Packages, the build and the tools are made ready first, so it works on a fresh clone.
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [program, ...args] = process.argv.slice(2);

const ready = spawnSync(join(root, 'windlass'), ['--version'], { stdio: ['ignore', 'ignore', 'inherit'] });
if (ready.status !== 0) process.exit(ready.status ?? 1);

const { findTools, testEnvironment } = await import('./test-tools.mjs');
let environment;
try {
  environment = testEnvironment(await findTools({ chromium: false, temporalCluster: args.includes('cluster') }));
} catch (error) {
  console.error([error.message, error.hint].filter(Boolean).join('\n  '));
  process.exit(1);
}
const child = spawn(process.execPath, [join(root, 'dist', program), ...args], { env: environment, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) {
  // The child gets a Ctrl-C of its own from the terminal; this one only waits for its end.
  process.on(signal, () => (signal === 'SIGTERM' ? child.kill(signal) : undefined));
}
child.once('exit', (code) => process.exit(code ?? 1));
