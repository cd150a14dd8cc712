import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesOf } from '../../test/support/processes.ts';
import { until } from '../../test/support/until.ts';
import { startTool } from './starter.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-starter-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const starters = () => processesOf('starter-process.cjs').filter(({ parent }) => parent === process.pid);

function call(script: string, name = 'tool') {
  return {
    command: '/bin/sh',
    args: ['-c', script],
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '' },
    stdout: join(root, `${name}.out`),
    stderr: join(root, `${name}.err`),
  };
}
const waitsForGo = 'echo begun; while [ -d . ] && [ ! -e go ]; do sleep 0.02; done; echo done';

test('the process that starts tools has nothing of the environment of this one', async () => {
  const { over } = await startTool(call('true'));
  await over;
  const [starter] = starters();
  expect(readFileSync(`/proc/${starter?.pid}/environ`, 'utf8')).not.toContain('PATH=');
});

test('a tool whose starter is killed goes on, its end is noticed, and the next one is started anew', async () => {
  const { over } = await startTool(call(waitsForGo));
  let ended = false;
  void over.then(() => (ended = true));
  for (const { pid } of starters()) process.kill(pid, 'SIGKILL');
  await until(() => starters().length === 0);
  const next = await startTool(call('echo next', 'next'));
  await next.over;
  expect(readFileSync(join(root, 'next.out'), 'utf8')).toBe('next\n');
  expect(ended).toBe(false);
  writeFileSync(join(root, 'go'), '');
  await over;
  expect(readFileSync(join(root, 'tool.out'), 'utf8')).toBe('begun\ndone\n');
});

test('what cannot be started says why', async () => {
  await expect(startTool({ ...call('true'), cwd: join(root, 'gone') })).rejects.toThrow(/ENOENT/);
  await startTool(call('true', 'once'));
  await expect(startTool(call('true', 'once'))).rejects.toThrow(/EEXIST/);
});
