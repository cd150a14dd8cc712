// Checks what docs/architecture.md promises: imports point down, a room is entered by its door (index.ts) alone, all SQL is
// in the store, no tool is named outside its folder, the workflow bundle carries neither zod nor Node, and no file grows past
// what one can read.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkToolNames } from './tool-names.mjs';

const root = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..');
const longestFile = 450;
/** Tests are lists of cases, which one reads in parts. */
const longestTest = 1000;

/** A room may import rooms that stand on a lower level, and the ones named below. */
const levels = {
  catalogue: -1,
  model: 0,
  host: 1,
  contract: 1,
  view: 1,
  definition: 1,
  metrics: 1,
  tracing: 1,
  client: 2,
  masking: 1,
  process: 2,
  provision: 2,
  store: 2,
  access: 2,
  artifacts: 3,
  state: 3,
  sources: 3,
  tools: 3,
  notify: 3,
  node: 3.1,
  pools: 3.2,
  backup: 3,
  targets: 3,
  operations: 4,
  workflows: 5,
  activities: 5,
  api: 5,
  embedded: 5,
  cli: 6,
};

/** Single files in src/ and the level they stand on. */
const files = {
  'config-temporal.ts': 3.1,
  'config-trust.ts': 3.1,
  'config.ts': 3.2,
  'key-file.ts': 3.3,
  'temporal-connection.ts': 3.3,
  'failure-converter.ts': 3.2,
  'payload-codec.ts': 3.3,
  'log.ts': 3.4,
  'undo-stack.ts': 3.4,
  'rooms.ts': 3.5,
  'worker.ts': 5.4,
  'pool-worker.ts': 5.5,
  'system-schedules.ts': 3.4,
  'server-process.ts': 5.45,
  'server.ts': 5.5,
  'moving.ts': 5.5,
};

/** Sideways, by name. Keys and the audit are records, so `access` keeps them in `store`. */
const sideways = new Set(['access -> store']);

/** What files and schemas have to know of kinds of nodes that need no tool. */
const kinds = 'src/node/kinds/catalogue.ts';

/** What can be said of tools without running them: a room below all others, in the folders of the tools. */
const catalogue = /^src\/tools\/((catalogue|definition|accounts)|[^/]+\/definition)\.ts$/;

/** Rooms that are used without the rest of the code, and all that they may import. */
const standsOn = { contract: ['model'], view: ['model'], client: ['contract', 'model'] };

/** Who must not know of whom, although it stands below: the command line speaks to servers through the client. */
const strangers = new Set(['cli -> api']);
/** Rooms that stand below and are closed all the same: whoever runs a node may have no database. */
const closed = { node: new Set(['store', 'access', 'artifacts', 'state']) };

/** What may be imported by file, and by whom: the doors bring zod, which the workflow bundle must not carry. */
const byFileAllowed = {
  workflows: /^src\/(model|definition)\/[^/]+\.ts$/,
  definition: /^src\/model\/[^/]+\.ts$/,
  tools: catalogue,
};

/** Packages that may be in the workflow bundle. */
const bundlePackages = new Set(['@temporalio/workflow', '@temporalio/common']);

const problems = [];

function sourcesIn(directory) {
  const path = join(root, directory);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|cjs|js)$/.test(entry.name) && !entry.name.endsWith('.d.ts'))
    .map((entry) =>
      relative(root, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .filter((file) => !file.includes('/static/') && !file.includes('node_modules/') && !file.includes('/results/'));
}

const statement = /^[ \t]*(?:import|export)\b(?<clause>[^'"`;]*?)(?:\bfrom\s*)?['"](?<from>[^'"\n]+)['"]/gm;
const call = /\b(?:import|require)\(\s*['"](?<from>[^'"\n]+)['"]/g;

/** `import type`, and braces in which each name is a type: the compiler leaves nothing of them. */
function isTypeOnly(clause) {
  const text = clause.trim();
  if (/^type\s+[\w{*]/.test(text)) return true;
  const braces = /^\{(?<names>[^}]*)\}$/.exec(text);
  if (!braces) return false;
  const names = braces.groups.names.split(',').map((name) => name.trim());
  return names.filter(Boolean).every((name) => name.startsWith('type '));
}

function importsOf(text) {
  const found = [];
  const lineOf = (index) => text.slice(0, index).split('\n').length;
  for (const match of text.matchAll(statement)) {
    // `export const x = 'y'` is no import: an import has no name between the keyword and an equals sign.
    if (/[=(]/.test(match.groups.clause)) continue;
    const line = lineOf(match.index + match[0].length);
    found.push({ from: match.groups.from, line, typeOnly: isTypeOnly(match.groups.clause) });
  }
  for (const match of text.matchAll(call)) {
    const lineStart = text.lastIndexOf('\n', match.index) + 1;
    if (/^\s*(\/\/|\*)/.test(text.slice(lineStart, match.index))) continue;
    found.push({ from: match.groups.from, line: lineOf(match.index), typeOnly: false });
  }
  return found;
}

const isTest = (file) => !file.startsWith('src/') || /(\.test|\.test-support|\.fixture|\/testing)\.ts$/.test(file);

/** How queries are written, by hand and with the query builder. Tests may plant what the store would not write. */
const query =
  /\bsql(?:<[^`;]*>)?`|\bsql\.(?:raw|ref|table|lit|join)\(|\.(?:selectFrom|insertInto|updateTable|deleteFrom|mergeInto)\(/g;

function checkQueries(file, text) {
  if (isTest(file) || file.startsWith('src/store/')) return;
  for (const { index } of text.matchAll(query)) {
    const line = text.slice(0, index).split('\n').length;
    problems.push(`${file}:${line}: asks the database by itself; all SQL is in src/store/`);
  }
}

const modules = new Map();
const texts = new Map();
for (const file of ['src', 'test', 'bench'].flatMap(sourcesIn)) {
  const text = readFileSync(join(root, file), 'utf8');
  const lines = text.split('\n').length - 1;
  const longest = file.endsWith('.test.ts') ? longestTest : longestFile;
  if (lines > longest) problems.push(`${file}: ${lines} lines; more than ${longest} is several things in one file`);
  if (!file.endsWith('.ts')) continue;
  modules.set(file, importsOf(text));
  texts.set(file, text);
  checkQueries(file, text);
}

/** Path of a relative import from the root of the repository; null for a package. */
function target(file, from) {
  if (!from.startsWith('.')) return null;
  return join(dirname(file), from).split(sep).join('/');
}

/** The room a file belongs to; a single file in src/ is a room of its own. */
function roomOf(file) {
  const [top, room, ...rest] = file.split('/');
  if (top !== 'src') return null;
  if (file === kinds) return { name: 'kinds', level: levels.catalogue, door: kinds };
  if (catalogue.test(file)) return { name: 'catalogue', level: levels.catalogue, door: 'src/tools/catalogue.ts' };
  return rest.length === 0
    ? { name: room, level: files[room], door: file }
    : { name: room, level: levels[room], door: `src/${room}/index.ts` };
}

function checkImport(file, { from, line }) {
  const to = target(file, from);
  const here = `${file}:${line}`;
  if (to === null) {
    if (from.startsWith('/')) problems.push(`${here}: imports an absolute path, ${from}`);
    if (/^kysely(\/|$)/.test(from) && !isTest(file) && !file.startsWith('src/store/'))
      problems.push(`${here}: imports ${from}; all SQL is in src/store/`);
    return;
  }
  if (!to.startsWith('src/')) {
    if (to.startsWith('..')) problems.push(`${here}: imports ${to}, which is outside the repository`);
    else if (!isTest(file) && to !== 'package.json')
      problems.push(`${here}: imports ${to}; only tests reach outside src/`);
    return;
  }
  const own = roomOf(file);
  const other = roomOf(to);
  if (other.level === undefined)
    return problems.push(`${here}: ${other.name} has no level in scripts/check-imports.mjs`);
  if (own?.name === other.name) return;

  const byFile = byFileAllowed[own?.name]?.test(to) ?? false;
  // What a room keeps for tests is its second door, for tests alone.
  const byDoor = to === other.door || (isTest(file) && isTest(to));
  if (!byDoor && !byFile) problems.push(`${here}: reaches into ${other.name}; import ${other.door} instead of ${to}`);
  // Tests put rooms together as they need them.
  if (isTest(file) || own === null) return;
  if (closed[own.name]?.has(other.name)) problems.push(`${here}: ${own.name} is closed to ${other.name}`);
  if (other.level >= own.level && !sideways.has(`${own.name} -> ${other.name}`)) {
    problems.push(`${here}: ${own.name} imports ${other.name}, which does not stand below it`);
  }
  const only = standsOn[own.name];
  if (only && !only.includes(other.name)) {
    problems.push(`${here}: ${own.name} imports ${other.name}; it stands on ${only.join(' and ')} alone`);
  }
  if (strangers.has(`${own.name} -> ${other.name}`)) {
    problems.push(`${here}: ${own.name} imports ${other.name}; it goes through the client`);
  }
}

/** Follows what workflow code needs at run time; everything it reaches ends up in the bundle. */
function checkWorkflowBundle() {
  const entry = 'src/workflows/index.ts';
  if (!modules.has(entry)) return;
  const queue = [[entry]];
  const seen = new Set([entry]);
  while (queue.length > 0) {
    const chain = queue.shift();
    const file = chain[chain.length - 1];
    for (const { from, line, typeOnly } of modules.get(file) ?? []) {
      if (typeOnly) continue;
      const to = target(file, from);
      if (to === null) {
        const name = from
          .split('/')
          .slice(0, from.startsWith('@') ? 2 : 1)
          .join('/');
        if (bundlePackages.has(name)) continue;
        problems.push(`${file}:${line}: brings ${from} into the workflow bundle (${[...chain, from].join(' -> ')})`);
      } else if (!seen.has(to)) {
        seen.add(to);
        queue.push([...chain, to]);
      }
    }
  }
}

checkWorkflowBundle();
problems.push(...checkToolNames(texts, isTest));
for (const [file, imports] of modules) for (const found of imports) checkImport(file, found);

if (problems.length > 0) {
  console.error(problems.sort().join('\n'));
  console.error(`\n${problems.length} ${problems.length === 1 ? 'problem' : 'problems'} with imports and files`);
  process.exit(1);
}
console.log(`imports of ${modules.size} files are as docs/architecture.md says`);
