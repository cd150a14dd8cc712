import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../test/support/tools.ts';
import { createToolLocator } from './tool-locator.ts';

it('answers the named programs of tools, and the named Temporal', async () => {
  const found = createToolLocator({
    toolPaths: { WINDLASS_TOFU: toolPath('tofu') },
    temporalProgram: toolPath('temporal'),
    cacheDirectory: mkdtempSync(join(tmpdir(), 'windlass-tools-')),
  });
  expect(await found.find('tofu')).toBe(toolPath('tofu'));
  expect(await found.find('temporal')).toBe(toolPath('temporal'));
});
