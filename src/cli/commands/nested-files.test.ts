import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatProblem } from '../../definition/index.ts';
import { readLocalGraph } from './nested-files.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windlass-nested-files-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (directory: string, environments: Record<string, unknown>): string => {
  const file = join(root, directory, 'windlass.workflow.yml');
  mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(file, JSON.stringify({ environments }));
  return file;
};
const workflow = (path: string) => ({ vcs: { type: 'workflow', path } });
const shell = { vcs: { type: 'shell' } };
const read = (file: string) => readLocalGraph(file, (each) => each.slice(root.length + 1).replace(/\/[^/]*$/, ''));

it('reads the files that lie beside a file', () => {
  write('network', { vpc: shell });
  const file = write('shop', { network: workflow('../network'), db: { ...shell, needs: ['network'] } });
  const { nodes, groups, problems } = read(file);
  expect(problems).toEqual([]);
  expect(groups.map(({ definition }) => definition.alias)).toEqual(['network']);
  expect(nodes.map(({ definition: { alias, needs } }) => [alias, needs])).toEqual([
    ['network/vpc', []],
    ['db', ['network/vpc']],
  ]);
});

it('finds problems in any of them', () => {
  write('network', { vpc: { ...shell, needs: ['vcp'] } });
  const { problems } = read(write('shop', { network: workflow('../network') }));
  expect(problems.map(formatProblem)).toEqual([expect.stringContaining('network/windlass.workflow.yml:1:')]);
});

it('refuses a workflow that contains itself, with the way back', () => {
  const a = write('a', { b: workflow('../b') });
  write('b', { back: workflow('../a') });
  const [problem, ...others] = read(a).problems.map(formatProblem);
  expect(others).toEqual([]);
  expect(problem).toMatch(/b\/windlass\.workflow\.yml:1:\d+ {2}error {2}a workflow contains itself: /);
  expect(problem).toMatch(
    /a\/windlass\.workflow\.yml" → "[^"]*b\/windlass\.workflow\.yml" \(b\) → "[^"]*" \(b\/back\)$/,
  );
});

it('refuses what is too deep', () => {
  for (let level = 1; level < 6; level++) write(`l${level}`, { inner: workflow(`../l${level + 1}`) });
  write('l6', { vpc: shell });
  expect(read(join(root, 'l1/windlass.workflow.yml')).problems.map(({ message }) => message)).toEqual([
    '"inner/inner/inner/inner/inner" is a workflow at level 6; at most 5 levels are allowed',
  ]);
  expect(read(join(root, 'l2/windlass.workflow.yml')).problems).toEqual([]);
});
