import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress } from './git-address.ts';
import { everySource, isOwnAddress, refuseDirectory, refuseLocalGit } from './policy.ts';
import { fresh } from './testing.ts';

const strict = { localDirectories: [], localGit: false, own: [] };

test.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['0.0.0.0', true],
  ['169.254.169.254', true],
  ['::1', true],
  ['::', true],
  ['fe80::1%eth0', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:169.254.1.1', true],
  ['10.0.0.1', false],
  ['192.0.2.7', false],
  ['2001:db8::1', false],
])('%s is of this machine or its link: %s', (address, expected) => {
  expect(isOwnAddress(address)).toBe(expected);
});

test.each([
  'http://localhost:3000/x.git',
  'http://127.1/x.git',
  'http://0x7f000001/x.git',
  'https://[::ffff:7f00:1]/x.git',
  'ssh://git@169.254.169.254/x.git',
  'ssh://git@0x7f000001/x.git',
  'git@127.0.0.1:x.git',
  '/srv/x.git',
])('%s is refused where git may not ask this machine', async (repository) => {
  const address = parseAddress(repository);
  await expect(refuseLocalGit(strict, address)).rejects.toMatchObject({ code: 'invalidInput', class: 'definition' });
  expect(await refuseLocalGit(everySource, address)).toEqual([]);
});

test('an address elsewhere is asked without redirects, which could lead here', async () => {
  expect(await refuseLocalGit(strict, parseAddress('https://192.0.2.7/x.git'))).toContainEqual([
    'http.followRedirects',
    'false',
  ]);
});

test('directories are judged by where they really are', async () => {
  const allowed = fresh('allowed');
  const elsewhere = fresh('elsewhere');
  mkdirSync(join(allowed, 'code'));
  symlinkSync(elsewhere, join(allowed, 'link'));
  const policy = { ...strict, localDirectories: [allowed] };
  await expect(refuseDirectory(policy, join(allowed, 'code'))).resolves.toBeUndefined();
  await expect(refuseDirectory(policy, join(allowed, 'not-there-yet'))).resolves.toBeUndefined();
  for (const directory of [elsewhere, join(allowed, 'link'), join(allowed, '..'), `${allowed}-more`])
    await expect(refuseDirectory(policy, directory)).rejects.toThrow(/may not be a source/);
  await expect(refuseDirectory(strict, allowed)).rejects.toThrow(/may not be a source/);
  await expect(refuseDirectory({ ...everySource, own: [allowed] }, join(allowed, 'code'))).rejects.toThrow(/own/);
});
