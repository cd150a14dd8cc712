import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../../test/support/tools.ts';
import { makeWorkshop, startStateServer } from '../tools.fixture.ts';
import type { StateServer, Workshop } from '../tools.fixture.ts';

let directory: string;
let shop: Workshop;
let state: StateServer;
const kills = (): number =>
  existsSync(join(directory, 'killed')) ? readFileSync(join(directory, 'killed'), 'utf8').length : 0;

/** The real tool, of which the first calls of `init` are killed as the system does when memory runs out. */
function toolWithKills(times: number): string {
  const file = join(directory, 'tofu');
  const counter = join(directory, 'killed');
  const kill = `if [ "$(cat ${counter} 2>/dev/null | wc -c)" -lt ${times} ]; then printf x >> ${counter}; kill -9 $$; fi`;
  const text = `#!/bin/sh\ncase " $* " in *" init "*) ${kill} ;; esac\nexec ${toolPath('tofu')} "$@"\n`;
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windlass-init-'));
  state = await startStateServer();
});
afterEach(async () => {
  await state.close();
  shop.clean();
  rmSync(directory, { recursive: true, force: true });
});

const stack = 'resource "terraform_data" "this" { input = "made" }\n';

test('an init that many stacks share and that is killed is run again, and fails none of them', async () => {
  shop = makeWorkshop({ tool: toolWithKills(1) });
  const runner = shop.runners.get('opentofu');
  const source = shop.source('shared', { 'main.tf': stack });
  const runs = ['a', 'b', 'c'].map((environment) => shop.run({ source, environment, state: state.url }));
  await Promise.all(runs.map((run) => runner.prepare(run)));
  for (const run of runs) await runner.deploy(run);
  expect(kills()).toBe(1);
  expect(state.states.size).toBe(3);
});

test('an init of one stack that is killed is run again and says so, and one that is killed each time fails', async () => {
  shop = makeWorkshop({ tool: toolWithKills(4) });
  const runner = shop.runners.get('opentofu');
  const source = shop.source('own', { 'main.tf': 'module "part" { source = "./part" }\n', 'part/main.tf': stack });
  const failing = shop.run({ source, state: state.url });
  await expect(runner.prepare(failing)).rejects.toMatchObject({
    error: { message: expect.stringMatching(/signal 9/) },
  });
  expect(kills()).toBe(3);
  const run = shop.run({ source, state: state.url });
  await runner.prepare(run);
  await runner.deploy(run);
  expect(run.trace.text).toMatch(/init was killed from outside/);
  expect(kills()).toBe(4);
});
