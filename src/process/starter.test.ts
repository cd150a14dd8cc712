import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesOf } from '../../test/support/processes.ts';
import { until } from '../../test/support/until.ts';
import { startTool, StartUnknownError } from './starter.ts';

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
/** Asked again, unless it was refused for a reason. */
const whileUnknown = (error: unknown): null => {
  if (error instanceof StartUnknownError) return null;
  throw error;
};
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
  // Until its end is noticed here, nobody can know whether it was told anything.
  const next = await until(() => startTool(call('echo next', 'next')).catch(whileUnknown));
  await next.over;
  expect(readFileSync(join(root, 'next.out'), 'utf8')).toBe('next\n');
  expect(ended).toBe(false);
  writeFileSync(join(root, 'go'), '');
  await over;
  expect(readFileSync(join(root, 'tool.out'), 'utf8')).toBe('begun\ndone\n');
});

test('a starter that is killed before it answers leaves open whether the tool was started', async () => {
  await startTool(call('true', 'first'));
  const pid = starters()[0]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  const unanswered = startTool(call('true', 'unanswered'));
  process.kill(pid, 'SIGKILL');
  await expect(unanswered).rejects.toBeInstanceOf(StartUnknownError);
  await until(() => startTool(call('true', 'next')).catch(whileUnknown));
});

test('what cannot be started says why', async () => {
  await expect(startTool({ ...call('true'), cwd: join(root, 'gone') })).rejects.toThrow(/ENOENT/);
  await startTool(call('true', 'once'));
  await expect(startTool(call('true', 'once'))).rejects.toThrow(/EEXIST/);
});
