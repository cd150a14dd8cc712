import type { SelectableNode } from './run-selection.ts';
import { asPlan, selectForDeploy, selectForDestroy, selectForPlan } from './run-selection.ts';

/** `a b:a c:a,b` → nodes in that order, all deployed. */
function graph(text: string, over: Readonly<Record<string, Partial<SelectableNode>>> = {}): SelectableNode[] {
  return text.split(' ').map((part) => {
    const [alias = '', needs = ''] = part.split(':');
    return { alias, needs: needs === '' ? [] : needs.split(','), disabled: false, live: true, ...over[alias] };
  });
}

test('what is gone already still holds the order of a destroy', () => {
  const nodes = selectForDestroy(graph('a c:b d:c'), graph('b:a'));
  expect(nodes.map(({ alias, needs }) => [alias, needs])).toEqual([
    ['a', [1]],
    ['c', [2]],
    ['d', []],
  ]);
});

test('removed nodes are destroyed in the order they need each other through nodes that stay', () => {
  const { nodes } = selectForDeploy(graph('b'), {
    removed: graph('a c:b'),
    others: graph('a b:a c:b'),
  });
  expect(nodes.filter((node) => node.last === true).map(({ alias, needs }) => [alias, needs])).toEqual([
    ['a', [2]],
    ['c', []],
  ]);
});

test('a node is not destroyed alone while something needs it through one that is gone', () => {
  const nodes = graph('a b:a c:b', { b: { live: false } });
  const { problems } = selectForDeploy(nodes, {
    partial: { operation: 'single-node-destroy', node: 'a', force: false },
  });
  expect(problems).toEqual([{ message: expect.stringContaining('"a" is needed by "c"') }]);
});

test('a node that trickles remembers what it reads through others', () => {
  const { nodes } = selectForDeploy(graph('a b:a c:b', { c: { reads: ['a', 'b'] } }), {
    partial: { operation: 'single-node-deploy', node: 'a', trickleDown: 'changed-outputs' },
  });
  expect(nodes[2]).toMatchObject({ onlyOnChange: true, needs: [1], reads: [0] });
});

describe('a workflow of the graph, asked for by its name', () => {
  const within = ['net'];
  const nodes = graph('a net/vpc:a net/subnets:net/vpc net/off:net/vpc db:net/subnets', {
    'net/vpc': { within },
    'net/subnets': { within },
    'net/off': { within, live: false, disabled: true },
  });
  const actions = (partial: Parameters<typeof selectForDeploy>[1]['partial']) =>
    selectForDeploy(nodes, { partial }).nodes.map(({ alias, action, needs }) => [alias, action, needs]);

  test('is deployed with what is enabled in it, and so is what follows', () => {
    expect(actions({ operation: 'run-from-here', node: 'net' })).toEqual([
      ['a', 'keep', []],
      ['net/vpc', 'deploy', [0]],
      ['net/subnets', 'deploy', [1]],
      ['net/off', 'keep', [1]],
      ['db', 'deploy', [2]],
    ]);
  });

  test('is destroyed in reverse, unless something needs it that stands', () => {
    const partial = { operation: 'single-node-destroy', node: 'net', force: true } as const;
    expect(actions(partial)).toEqual([
      ['a', 'keep', []],
      ['net/vpc', 'destroy', [2, 3]],
      ['net/subnets', 'destroy', []],
      ['net/off', 'destroy', []],
      ['db', 'keep', []],
    ]);
    const { problems } = selectForDeploy(nodes, { partial: { ...partial, force: false } });
    expect(problems).toEqual([{ message: expect.stringContaining('"net" is needed by "db"') }]);
  });

  test('is not there when no node is in it', () => {
    const { problems } = selectForDeploy(nodes, { partial: { operation: 'run-from-here', node: 'ne' } });
    expect(problems).toHaveLength(1);
  });
});

test('a plan begins with what a deploy would take away, and keeps the needs of the rest', () => {
  const nodes = selectForPlan(graph('a b:a'), { removed: graph('c'), detached: graph('d') });
  expect(nodes.map(({ alias, action, removal, needs }) => [alias, action, removal, needs])).toEqual([
    ['c', 'plan', 'destroy', []],
    ['d', 'keep', 'detach', []],
    ['a', 'plan', undefined, []],
    ['b', 'plan', undefined, [2]],
  ]);
});

test('the plan of a rollback takes away first, too', () => {
  const { nodes } = selectForDeploy(graph('a b:a'), { removed: graph('c') });
  expect(asPlan(nodes).map(({ alias, action, removal, last, needs }) => [alias, action, removal, last, needs])).toEqual(
    [
      ['c', 'plan', 'destroy', undefined, []],
      ['a', 'plan', undefined, undefined, []],
      ['b', 'plan', undefined, undefined, [1]],
    ],
  );
});
