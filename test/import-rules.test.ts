import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const script = join(__dirname, '..', 'scripts', 'check-imports.mjs');
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-imports-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** What the check says of a repository with these files. */
function check(files: Record<string, string>): { code: number | null; said: string } {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  return { code: status, said: stdout + stderr };
}

describe('all SQL is in the store', () => {
  it.each([
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
    const { code, said } = check({ 'src/operations/firings.ts': `export const one = 1;\n${text}` });
    expect(said).toContain('src/operations/firings.ts:');
    expect(said).toContain(complaint);
    expect(code).toBe(1);
  });

  it('the store and tests may', () => {
    const text = "import { sql } from 'kysely';\nexport const one = sql`SELECT 1`;\n";
    const { code, said } = check({ 'src/store/events.ts': text, 'src/operations/firings.test.ts': text });
    expect(said).toContain('imports of 2 files are as');
    expect(code).toBe(0);
  });
});

it('a room is entered by its door, and imports point down', () => {
  const { code, said } = check({
    'src/store/index.ts': 'export const one = 1;\n',
    'src/store/events.ts': "import { two } from '../operations/index.ts';\nexport const three = two;\n",
    'src/operations/index.ts': "import { three } from '../store/events.ts';\nexport const two = three;\n",
  });
  expect(said).toContain('src/operations/index.ts:1: reaches into store; import src/store/index.ts');
  expect(said).toContain('src/store/events.ts:1: store imports operations, which does not stand below it');
  expect(code).toBe(1);
});

describe('no tool is named outside its folder', () => {
  const helm = {
    'src/tools/helm/definition.ts': "export const helm = { name: 'helm', types: ['helm', 'chart'] };\n",
    'src/tools/shell/definition.ts': "export const shell = { name: 'shell', types: ['shell'] };\n",
  };

  it.each([
    ['a text', "export const type = 'helm';\n", 'helm'],
    ['a word in a text', "export const hint = 'install helm first';\n", 'helm'],
    ['an identifier', 'export const helmVersion = 3;\n', 'helm'],
    ['a variable of the environment', "export const variable = 'WINDLASS_HELM';\n", 'helm'],
    ['a type that is not called as its tool', "export const isChart = (type: string) => type === 'chart';\n", 'chart'],
    ['a usual word that is a type', "export const isShell = (type: string) => type === 'shell';\n", 'shell'],
  ])('%s is refused', (_what, text, name) => {
    const { code, said } = check({ ...helm, 'src/node/kinds/stack.ts': `export const one = 1;\n${text}` });
    expect(said).toContain(`src/node/kinds/stack.ts:2: names the tool ${name};`);
    expect(code).toBe(1);
  });

  it('comments, tests, other meanings of a usual word and its own folder are left alone', () => {
    const { code, said } = check({
      ...helm,
      'src/tools/helm/runner.ts': "export const program = 'helm';\n",
      'src/tools/catalogue.ts': "import { helm } from './helm/definition.ts';\nexport const tools = [helm];\n",
      'src/cli/text.ts': "/** As helm does. */\nexport const shellQuote = 'for a shell'; // not helm's\n",
      'src/cli/text.test.ts': "it('quotes for helm', () => undefined);\n",
    });
    expect(said).not.toContain('names the tool');
    expect(code).toBe(0);
  });
});
