import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tryLock, withLock } from './file-lock.ts';
import { identify, identifySelf, livenessOf } from './placed-process.ts';

const root = join(__dirname, '..', '..');

function lockFile(): string {
  return join(mkdtempSync(join(tmpdir(), 'windlass-lock-')), 'deep', 'a.lock');
}

/** A process of its own that takes the lock and keeps it until it is killed. */
async function holderOf(file: string) {
  const script = `
    const { tryLock } = require('./src/host/file-lock.ts');
    console.log(tryLock(process.argv[1]).held ? 'held' : 'refused');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-r', './scripts/register-typescript.cjs', '-e', script, file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [answer] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, answer: answer.toString().trim(), ended: once(child, 'exit') };
}

it('is held by one at a time, and free again afterwards', () => {
  const file = lockFile();
  const first = tryLock(file);
  expect(first.held).toBe(true);
  expect(tryLock(file)).toMatchObject({ held: false, owner: { pid: process.pid } });
  if (first.held) first.lock.release();
  expect(readdirSync(join(file, '..'))).toEqual([]);
  expect(tryLock(file).held).toBe(true);
});

it('is refused while another process has it, and freed by kill -9 of that process', async () => {
  const file = lockFile();
  const holder = await holderOf(file);
  expect(holder.answer).toBe('held');
  expect(tryLock(file)).toMatchObject({ held: false, owner: { pid: holder.child.pid } });
  holder.child.kill('SIGKILL');
  await holder.ended;
  expect(existsSync(file)).toBe(true);
  expect(tryLock(file).held).toBe(true);
});

it('is not believed when its number now belongs to another process', () => {
  const file = lockFile();
  expect(tryLock(file).held).toBe(true);
  const content = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...content, startTime: '1' }));
  expect(tryLock(file).held).toBe(true);
});

it('of a process that cannot be seen from here is respected as long as it shows life', () => {
  const file = lockFile();
  expect(tryLock(file).held).toBe(true);
  const content = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...content, where: 'other-host/boot/pid:[1]' }));
  expect(tryLock(file).held).toBe(false);
  const longAgo = new Date(Date.now() - 3_600_000);
  utimesSync(file, longAgo, longAgo);
  expect(tryLock(file).held).toBe(true);
});

it('lets work through one after the other', async () => {
  const file = lockFile();
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside++;
    most = Math.max(most, inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all(Array.from({ length: 5 }, () => withLock(file, work)));
  expect(most).toBe(1);
});

it('is freed when the work fails', async () => {
  const file = lockFile();
  await expect(withLock(file, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(tryLock(file).held).toBe(true);
});

describe('the identity of a process', () => {
  it('tells a living process from one that has ended', async () => {
    const child = spawn('sleep', ['60']);
    const identity = identify(child.pid ?? 0);
    if (!identity) throw new Error('the process is not there');
    expect(livenessOf(identity)).toBe('alive');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(livenessOf(identity)).toBe('dead');
  });

  it('knows nothing of another host, and that nothing survives a reboot', () => {
    const self = identifySelf();
    const [host, , space] = self.where.split('/');
    expect(livenessOf({ ...self, where: `elsewhere/boot/${space}` })).toBe('unknown');
    expect(livenessOf({ ...self, where: `${host}/an-earlier-boot/${space}` })).toBe('dead');
  });
});
