// `node record.cjs CLONE FILE`: records the data directory of an older version, from a clone of it that is built, into an
// archive. The tools come from the environment, as in the tests (WINDLASS_TOFU, WINDLASS_TEMPORAL).
// How it is read: test/opened-by-a-newer-version.test.ts.
'use strict';
const { execFileSync } = require('node:child_process');
const { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join, resolve } = require('node:path');

const [clone, file] = process.argv.slice(2).map((path) => resolve(path));
const { freePort, startUp } = require(join(clone, 'dist/test/support/processes.js'));

/** Templates name their directories by full paths, so the sources have to be at the same place when it is read. */
const sources = '/tmp/windlass-recorded';
const minuteMs = 60_000;
const yearsMs = 10 * 365 * 1440 * minuteMs;

async function main() {
  rmSync(sources, { recursive: true, force: true });
  cpSync(join(__dirname, 'sources'), sources, { recursive: true });
  const root = mkdtempSync(join(tmpdir(), 'windlass-record-'));
  const dataDirectory = join(root, 'data');
  mkdirSync(dataDirectory);
  const up = await startUp({ dataDirectory, port: await freePort() });
  const { client } = up;
  try {
    for (const name of ['shop', 'preview']) {
      const directory = join(sources, name);
      await client.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory } });
    }
    const at = (ms) => ({ kind: 'date', at: new Date(Date.now() + ms).toISOString() });
    // Its time is up in the meantime.
    const preview = await client.createEnvironment({
      name: 'preview',
      template: 'preview',
      settings: { ttl: at(5 * minuteMs) },
    });
    // Its time is not up for years.
    const shop = await client.createEnvironment({
      name: 'shop',
      template: 'shop',
      settings: { ttl: at(yearsMs), approvalExpirySeconds: 365 * 86_400 },
    });
    const { status } = await client.run(preview.id);
    if (status !== 'succeeded') throw new Error(`preview ended ${status}`);
    const waits = async (run) => {
      const found = () => client.nodes(run.id).then((nodes) => nodes.find(({ approvalId }) => approvalId !== null));
      return (await client.until(found)).approvalId;
    };
    const app = join(sources, 'shop/stacks/app/main.tf');
    const text = readFileSync(app, 'utf8');
    writeFileSync(app, text.replace('"app"', '"as it was before"'));
    const first = await client.start(shop.id);
    await client.request('POST', `/approvals/${await waits(first)}/approve`, {});
    await client.ended(first.id);
    writeFileSync(app, text);
    await waits(await client.start(shop.id));
    console.log({ shop: await client.environment(shop.id), preview: await client.environment(preview.id) });
  } finally {
    await up.stop();
  }
  for (const unneeded of ['logs', 'up.log']) rmSync(join(dataDirectory, unneeded), { recursive: true, force: true });
  execFileSync('tar', ['--sort=name', '--owner=0', '--group=0', '-cJf', file, '-C', root, 'data'], {
    env: { ...process.env, XZ_OPT: '-9e' },
  });
  execFileSync('du', ['-sh', dataDirectory, file], { stdio: 'inherit' });
  rmSync(root, { recursive: true, force: true });
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
