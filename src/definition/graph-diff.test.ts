import fc from 'fast-check';
import { diffGraphs } from './graph-diff.ts';

const node = fc.record({
  alias: fc.constantFrom('a', 'b', 'c', 'd', 'e', '__proto__', 'constructor'),
  template: fc.constantFrom('T', 'U'),
  workspace: fc.constantFrom(undefined, null, 'x'),
});
const graph = fc.uniqueArray(node, { selector: (one) => one.alias });

it('says which nodes came, went and stayed', () => {
  fc.assert(
    fc.property(graph, graph, (before, after) => {
      const diff = diffGraphs(before, after);
      expect([...diff.kept, ...diff.added].sort()).toEqual(after.map((one) => one.alias).sort());
      expect([...diff.kept, ...diff.removed].sort()).toEqual(before.map((one) => one.alias).sort());
      for (const rename of diff.renames) {
        expect(diff.removed).toContain(rename.from);
        for (const to of rename.to) expect(diff.added).toContain(to);
      }
    }),
  );
});

it('takes a new alias with the same template and workspace for a rename', () => {
  const before = [
    { alias: 'db', template: 'Database', workspace: 'main' },
    { alias: 'eks', template: 'EKS' },
  ];
  const after = [
    { alias: 'database', template: 'Database', workspace: 'main' },
    { alias: 'cluster', template: 'EKS', workspace: 'other' },
  ];
  expect(diffGraphs(before, after).renames).toEqual([{ from: 'db', to: ['database'] }]);
});

it('names every alias a node may have become', () => {
  const service = (alias: string) => ({ alias, template: 'Service' });
  expect(diffGraphs([service('one')], [service('two'), service('three')]).renames).toEqual([
    { from: 'one', to: ['two', 'three'] },
  ]);
});
