import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../../test/support/tools.ts';
import { createToolLocator } from '../../provision/index.ts';
import { programRecipes, tofuVersionOf } from './provision.ts';

const originalPath = process.env['PATH'];
const tofu = toolPath('tofu');
const locator = () =>
  createToolLocator({
    recipes: programRecipes({ WINDLASS_TOFU: tofu }),
    cacheDirectory: mkdtempSync(join(tmpdir(), 'windlass-tools-')),
  });

afterEach(() => {
  process.env['PATH'] = originalPath;
});

it('answers the named OpenTofu, in each version that it is', async () => {
  const found = locator();
  expect(await found.find('tofu')).toBe(tofu);
  const version = await tofuVersionOf(tofu);
  expect(await found.find('tofu', version)).toBe(tofu);
  expect(await found.find('tofu', version.split('.').slice(0, 2).join('.'))).toBe(tofu);
});

it('says which version is there when another one is wanted and cannot be got', async () => {
  await expect(locator().find('tofu', '0.1')).rejects.toMatchObject({
    code: 'toolMissing',
    message: expect.stringContaining('0.1 is wanted') as string,
  });
});

it('says how to come by Terraform, which is never downloaded', async () => {
  process.env['PATH'] = '/nowhere';
  await expect(locator().find('terraform')).rejects.toMatchObject({
    hint: expect.stringContaining('WINDLASS_TERRAFORM') as string,
  });
});
