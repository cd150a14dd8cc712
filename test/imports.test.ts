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

/** What the check says of a repository with these files. */
function check(files: Readonly<Record<string, string>>): { status: number | null; found: string[]; said: string } {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const script = join(__dirname, '..', 'scripts', 'check-imports.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  return { status, found: stderr.split('\n\n')[0]?.split('\n').filter(Boolean) ?? [], said: stdout + stderr };
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
  expect(check({ ...doors, ...good })).toMatchObject({ status: 0, found: [] });
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

describe('all SQL is in the store', () => {
  test.each([
    ['an import of the query builder', "import { sql } from 'kysely';\n", 'imports kysely'],
    ['an import of its types', "import type { Kysely } from 'kysely';\n", 'imports kysely'],
    [
      'a statement',
      'const { rows } = await sql<{ id: string }>`SELECT id FROM events`.execute(db);\n',
      'asks the database',
    ],
    ['a built query', "await db\n  .selectFrom('events').selectAll().execute();\n", 'asks the database'],
    ['a built change', "await tx.updateTable('events').set({}).execute();\n", 'asks the database'],
  ])('%s elsewhere is refused', (_what, text, complaint) => {
    const { status, said } = check({ 'src/operations/firings.ts': `export const one = 1;\n${text}` });
    expect(said).toContain('src/operations/firings.ts:');
    expect(said).toContain(complaint);
    expect(status).toBe(1);
  });

  test('the store and tests may', () => {
    const text = "import { sql } from 'kysely';\nexport const one = sql`SELECT 1`;\n";
    const { status, said } = check({ 'src/store/events.ts': text, 'src/operations/firings.test.ts': text });
    expect(said).toContain('imports of 2 files are as');
    expect(status).toBe(0);
  });
});

test('a room is entered by its door, and imports point down', () => {
  const { status, said } = check({
    'src/store/index.ts': 'export const one = 1;\n',
    'src/store/events.ts': "import { two } from '../operations/index.ts';\nexport const three = two;\n",
    'src/operations/index.ts': "import { three } from '../store/events.ts';\nexport const two = three;\n",
  });
  expect(said).toContain('src/operations/index.ts:1: reaches into store; import src/store/index.ts');
  expect(said).toContain('src/store/events.ts:1: store imports operations, which does not stand below it');
  expect(status).toBe(1);
});

describe('no tool is named outside its folder', () => {
  const helm = {
    'src/tools/helm/definition.ts': "export const helm = { name: 'helm', types: ['helm', 'chart'] };\n",
    'src/tools/shell/definition.ts': "export const shell = { name: 'shell', types: ['shell'] };\n",
  };

  test.each([
    ['a text', "export const type = 'helm';\n", 'helm'],
    ['a word in a text', "export const hint = 'install helm first';\n", 'helm'],
    ['an identifier', 'export const helmVersion = 3;\n', 'helm'],
    ['a variable of the environment', "export const variable = 'WINDLASS_HELM';\n", 'helm'],
    ['a type that is not called as its tool', "export const isChart = (type: string) => type === 'chart';\n", 'chart'],
    ['a usual word that is a type', "export const isShell = (type: string) => type === 'shell';\n", 'shell'],
  ])('%s is refused', (_what, text, name) => {
    const { status, said } = check({ ...helm, 'src/node/kinds/stack.ts': `export const one = 1;\n${text}` });
    expect(said).toContain(`src/node/kinds/stack.ts:2: names the tool ${name};`);
    expect(status).toBe(1);
  });

  test('comments, tests, other meanings of a usual word and its own folder are left alone', () => {
    const { status, said } = check({
      ...helm,
      'src/tools/helm/runner.ts': "export const program = 'helm';\n",
      'src/tools/catalogue.ts': "import { helm } from './helm/definition.ts';\nexport const tools = [helm];\n",
      'src/cli/text.ts': "/** As helm does. */\nexport const shellQuote = 'for a shell'; // not helm's\n",
      'src/cli/text.test.ts': "it('quotes for helm', () => undefined);\n",
    });
    expect(said).not.toContain('names the tool');
    expect(status).toBe(0);
  });
});
