import { parseAssignment, readVariables } from './variables-input.ts';

const secrets = (values: Record<string, string>) => async (names: readonly string[]) =>
  names.map((name) => values[name] ?? '');

test('NAME=VALUE is text, whatever it looks like', () => {
  expect(parseAssignment('version=1.10', '--var')).toEqual({
    alias: undefined,
    name: 'version',
    type: 'text',
    value: '1.10',
  });
  expect(parseAssignment('url=a=b', '--var')).toMatchObject({ name: 'url', value: 'a=b' });
  expect(parseAssignment('empty=', '--var')).toMatchObject({ value: '' });
});

test.each([
  ['n:=3', 'number', 3],
  ['b:=true', 'boolean', true],
  ['l:=["a"]', 'list', ['a']],
  ['m:={"a":1}', 'map', { a: 1 }],
])('NAME:=JSON keeps its type: %s', (text, type, value) => {
  expect(parseAssignment(text, '--var')).toMatchObject({ type, value });
});

test('a node before the slash, also one with slashes and spaces in its alias', () => {
  expect(parseAssignment('eks/size=3', '--var')).toMatchObject({ alias: 'eks', name: 'size' });
  expect(parseAssignment('my node/a/size=x/y', '--var')).toMatchObject({
    alias: 'my node/a',
    name: 'size',
    value: 'x/y',
  });
});

test.each(['novalue', '=x', '1abc=x', 'a b=c', 'n:={', 'eks/=x'])(
  '%s is refused with the flag it came with',
  (text) => {
    expect(() => parseAssignment(text, '--var')).toThrow(/--var/);
  },
);

test('variables of one run: kinds, nodes, and secrets whose values are not arguments', async () => {
  const flags = { var: ['size=3', 'db/tier=big'], env: ['REGION=eu'], secret: ['password'], secretEnv: ['db/TOKEN'] };
  const variables = await readVariables(flags, 'eks', secrets({ password: 'p', TOKEN: 't' }));
  expect(variables).toMatchObject([
    { name: 'size', kind: 'tool', alias: 'eks', sensitive: false },
    { name: 'tier', kind: 'tool', alias: 'db' },
    { name: 'REGION', kind: 'environment', alias: 'eks' },
    { name: 'password', kind: 'tool', sensitive: true, value: 'p', alias: 'eks' },
    { name: 'TOKEN', kind: 'environment', sensitive: true, value: 't', alias: 'db' },
  ]);
});

test('a secret with its value in the arguments is refused without repeating it', async () => {
  const attempt = readVariables({ secret: ['password=hunter2'] }, undefined, secrets({}));
  await expect(attempt).rejects.toThrow(/takes a name alone/);
  await expect(attempt).rejects.not.toThrow(/hunter2/);
});
