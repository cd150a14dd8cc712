/** Planted violations of what docs/architecture.md says about imports are found, each by its file and line. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-imports-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function check(files: Readonly<Record<string, string>>): { status: number | null; found: string[] } {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const script = join(__dirname, '..', 'scripts', 'check-imports.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  return { status, found: stderr.split('\n\n')[0]?.split('\n').filter(Boolean) ?? [] };
}

const door = 'export const x = 1;\n';
const doors = Object.fromEntries(
  ['model', 'contract', 'client', 'definition', 'store', 'api', 'cli'].map((room) => [`src/${room}/index.ts`, door]),
);

test('imports downwards and through doors pass', () => {
  const good = {
    'src/contract/keys.ts': "import { x } from '../model/index.ts';\n",
    'src/client/call.ts': "import { x } from '../contract/index.ts';\nimport { y } from '../model/index.ts';\n",
    'src/cli/main.ts': "import { x } from '../client/index.ts';\nimport { y } from '../definition/index.ts';\n",
    'src/api/app.ts': "import { x } from '../contract/index.ts';\nimport { y } from '../store/index.ts';\n",
  };
  expect(check({ ...doors, ...good })).toEqual({ status: 0, found: [] });
});

test.each([
  ['src/contract/keys.ts', '../definition/index.ts', 'contract imports definition, which does not stand below it'],
  ['src/contract/keys.ts', '../store/index.ts', 'contract imports store; it stands on model alone'],
  ['src/client/call.ts', '../definition/index.ts', 'client imports definition; it stands on contract and model alone'],
  ['src/client/call.ts', '../api/index.ts', 'client imports api, which does not stand below it'],
  ['src/cli/main.ts', '../api/index.ts', 'cli imports api; it goes through the client'],
  ['src/model/keys.ts', '../contract/index.ts', 'model imports contract, which does not stand below it'],
  [
    'src/api/app.ts',
    '../contract/keys.ts',
    'reaches into contract; import src/contract/index.ts instead of src/contract/keys.ts',
  ],
  ['src/contract/keys.ts', '../../scripts/build.mjs', 'imports scripts/build.mjs; only tests reach outside src/'],
])('%s may not import %s', (file, from, problem) => {
  const { status, found } = check({ ...doors, [file]: `// planted\nimport { x } from '${from}';\n` });
  expect(status).toBe(1);
  expect(found).toContain(`${file}:2: ${problem}`);
});
