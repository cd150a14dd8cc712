import { unknownAliases } from './request-aliases.ts';

const variable = {
  name: 'size',
  kind: 'tool',
  type: 'text',
  sensitive: false,
  readOnly: false,
  required: false,
} as const;

test('every alias that no node has is a problem, with the nearest one', () => {
  const problems = unknownAliases(
    {
      variables: [variable, { ...variable, alias: 'db' }, { ...variable, alias: 'esk' }],
      nodeApprovals: { vpc: true, q: false },
    },
    { known: ['vpc', 'db', 'eks'], of: 'shop' },
  );
  expect(problems).toEqual([
    { path: 'variables[2].alias', message: '"shop" has no node "esk"; did you mean "eks"?' },
    { path: 'nodeApprovals.q', message: '"shop" has no node "q"; it has "vpc", "db" and "eks"' },
  ]);
});

test('the names of built-in properties are aliases like others', () => {
  const request = { variables: [{ ...variable, alias: 'constructor' }] };
  expect(unknownAliases(request, { known: ['constructor'], of: 'shop' })).toEqual([]);
  expect(unknownAliases(request, { known: [], of: 'shop' })[0]?.message).toBe(
    '"shop" has no node "constructor"; it has no nodes yet',
  );
});
