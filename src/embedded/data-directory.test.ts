import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareDataDirectory } from './data-directory.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

function directory(): string {
  return mkdtempSync(join(tmpdir(), 'windlass-data-'));
}

test('a data directory that others could read is closed to them with its files, and that is said', async () => {
  const path = directory();
  for (const file of ['encryption.key', 'windlass.log']) writeFileSync(join(path, file), '', { mode: 0o644 });
  mkdirSync(join(path, 'database'));
  chmodSync(path, 0o755);
  const said: string[] = [];
  await prepareDataDirectory(path, (message) => said.push(message));
  expect([modeOf(path), modeOf(join(path, 'encryption.key')), modeOf(join(path, 'windlass.log'))]).toEqual([
    0o700, 0o600, 0o600,
  ]);
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/mode 755.*could read encryption\.key, windlass\.log.*windlass key rotate-encryption/);
  await prepareDataDirectory(path, (message) => said.push(message));
  expect(said).toHaveLength(1);
});

test('a data directory that cannot be written is refused with what to do, not with a stack', () => {
  const path = directory();
  chmodSync(path, 0o500);
  // Nobody may write there but the administrator, who may write anywhere. Another user may be kept from this code, so that
  // is loaded first.
  const asAdministrator = process.getuid?.() === 0;
  const becomeOther = 'process.setgroups([]); process.setgid(65_534); process.setuid(65_534);';
  if (asAdministrator) chownSync(path, 65_534, 65_534);
  const script = `const { prepareDataDirectory } = require('./src/embedded/data-directory.ts');
    ${asAdministrator ? becomeOther : ''}
    prepareDataDirectory(${JSON.stringify(path)})
      .catch((error) => console.log(JSON.stringify({ code: error.code, message: error.message, hint: error.hint })));`;
  const { stdout } = spawnSync(process.execPath, ['-r', './scripts/register-typescript.cjs', '-e', script], {
    encoding: 'utf8',
  });
  expect(JSON.parse(stdout)).toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining(`cannot use the data directory ${path}: EACCES`),
    hint: expect.stringContaining('WINDLASS_DATA'),
  });
});

test('a file in the place of a data directory is refused with what to do', async () => {
  const path = join(directory(), 'file');
  writeFileSync(path, '');
  await expect(prepareDataDirectory(path)).rejects.toMatchObject({
    code: 'unavailable',
    hint: expect.stringContaining('WINDLASS_DATA'),
  });
});
