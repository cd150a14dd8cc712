import fc from 'fast-check';
import type { VariableLevel } from '../model/index.ts';
import { variableLevels } from '../model/index.ts';
import type { LevelVariable, VariableLayer } from './variables.ts';
import { resolveVariables } from './variables.ts';

function at(level: VariableLevel, ...variables: (Partial<LevelVariable> & { name: string })[]): VariableLayer {
  return { level, variables: variables.map((variable) => ({ kind: 'tool', type: 'text', ...variable })) };
}

function messagesOf(...layers: VariableLayer[]): string[] {
  return resolveVariables(layers).problems.map((problem) => problem.message);
}

describe('inheritance', () => {
  it('lets the nearest value win, whatever order the levels are given in', () => {
    const layers = [
      at('node', { name: 'a', value: 'near' }),
      at('organization', { name: 'a', value: 'far' }),
      at('project', { name: 'a', value: 'middle' }),
    ];
    expect(resolveVariables(layers).effective).toEqual([
      {
        name: 'a',
        kind: 'tool',
        type: 'text',
        value: 'near',
        sensitive: false,
        level: 'node',
        overrides: ['organization', 'project'],
      },
    ]);
  });

  it('keeps environment and tool variables of one name apart', () => {
    const { effective } = resolveVariables([
      at('project', { name: 'A', value: 'tool' }, { name: 'A', kind: 'environment', value: 'env' }),
    ]);
    expect(effective.map((variable) => [variable.kind, variable.value])).toEqual([
      ['environment', 'env'],
      ['tool', 'tool'],
    ]);
  });

  it('leaves out what has no value', () => {
    expect(resolveVariables([at('template', { name: 'a' })])).toEqual({ effective: [], problems: [] });
  });

  it('survives names of Object.prototype', () => {
    const { effective } = resolveVariables([
      at('project', { name: '__proto__', value: 'x' }, { name: 'constructor', value: 'y' }),
    ]);
    expect(effective.map((variable) => variable.name)).toEqual(['__proto__', 'constructor']);
  });
});

describe('rules', () => {
  const cases: readonly (readonly [string, readonly VariableLayer[], readonly string[]])[] = [
    [
      'a level changes the type',
      [
        at('project', { name: 'size', type: 'number', value: 3 }),
        at('node', { name: 'size', type: 'list', value: [3] }),
      ],
      ['variable "size" is a number at the project level; the node level may change its value, not make it a list'],
    ],
    [
      'a number for a text, which would lose its zeros',
      [at('template', { name: 'version' }), at('node', { name: 'version', type: 'number', value: 1.1 })],
      ['variable "version" is text at the template level; the node level may change its value, not make it a number'],
    ],
    [
      'text that is no number',
      [at('project', { name: 'size', type: 'number', value: 'three' })],
      ['variable "size" has to be a number, but is other text (set at the project level)'],
    ],
    [
      'text that is no list',
      [at('project', { name: 'zones', type: 'list', value: '{"a":1}' })],
      ['variable "zones" has to be a list: a JSON array, but is other text (set at the project level)'],
    ],
    [
      'a read-only value changed',
      [
        at('organization', { name: 'REGION', kind: 'environment', value: 'eu', readOnly: true }),
        at('deployment', { name: 'REGION', kind: 'environment', value: 'us' }),
      ],
      [
        'environment variable "REGION" is read-only at the organization level; the deployment level may not change its value',
      ],
    ],
    [
      'a required value missing',
      [at('template', { name: 'owner', required: true })],
      [
        'variable "owner" is required (template level) and has no value at any level; set it with windlass variable set owner',
      ],
    ],
    [
      'a required value empty',
      [at('template', { name: 'owner', required: true }), at('node', { name: 'owner', value: '' })],
      [
        'variable "owner" is required (template level) and has no value at any level; set it with windlass variable set owner',
      ],
    ],
    [
      'a pattern not met',
      [at('template', { name: 'name', regex: '^[a-z]+(-[a-z]+)*$' }), at('node', { name: 'name', value: 'Shop' })],
      ['variable "name" does not fit: the value "Shop" has to match "^[a-z]+(-[a-z]+)*$" (template level)'],
    ],
    [
      'a pattern of repetitions inside repetitions',
      [at('template', { name: 'name', regex: '^(a+)+$', value: `${'a'.repeat(60)}!` })],
      [`variable "name" does not fit: the value "${'a'.repeat(60)}!" has to match "^(a+)+$" (template level)`],
    ],
    [
      'a pattern that is none',
      [at('template', { name: 'name', regex: '[', value: 'x' })],
      ['variable "name" cannot be checked: "[" is not a regular expression: missing closing ] (template level)'],
    ],
    [
      'a value that is not allowed',
      [
        at('project', { name: 'size', type: 'number', allowed: [1, 2, 3] }),
        at('node', { name: 'size', type: 'text', value: '4' }),
      ],
      ['variable "size" does not fit: the value "4" has to be "1", "2" or "3" (project level)'],
    ],
    [
      'a secret that does not fit is not told',
      [
        at('project', { name: 'pin', sensitive: true, regex: '^[0-9]+$', allowed: ['1234'] }),
        at('node', { name: 'pin', value: 'hunter2' }),
      ],
      [
        'variable "pin" does not fit: its value has to match "^[0-9]+$" (project level)',
        'variable "pin" does not fit: its value has to be one of the allowed values (project level)',
      ],
    ],
  ];
  it.each(cases)('%s', (_, layers, expected) => {
    expect(messagesOf(...layers)).toEqual(expected);
    expect(resolveVariables(layers).effective).toEqual([]);
  });

  it('take text that reads as the declared type', () => {
    const { effective, problems } = resolveVariables([
      at(
        'project',
        { name: 'size', type: 'number' },
        { name: 'on', type: 'boolean' },
        { name: 'zones', type: 'list' },
        { name: 'tags', type: 'map' },
      ),
      at(
        'deployment',
        { name: 'size', value: '3' },
        { name: 'on', value: 'true' },
        { name: 'zones', value: '["a"]' },
        { name: 'tags', value: '{"a":1}' },
      ),
    ]);
    expect(problems).toEqual([]);
    expect(effective.map(({ name, type, value }) => [name, type, value])).toEqual([
      ['on', 'boolean', true],
      ['size', 'number', 3],
      ['tags', 'map', { a: 1 }],
      ['zones', 'list', ['a']],
    ]);
  });

  it('let a read-only value be repeated, and set where it was only declared', () => {
    expect(
      messagesOf(
        at('project', { name: 'a', type: 'map', value: { x: 1, y: 2 }, readOnly: true }),
        at('node', { name: 'a', type: 'map', value: { y: 2, x: 1 } }),
      ),
    ).toEqual([]);
    expect(messagesOf(at('project', { name: 'a', readOnly: true }), at('node', { name: 'a', value: 'x' }))).toEqual([]);
  });

  it('name the field for machines', () => {
    expect(resolveVariables([at('template', { name: 'owner', required: true })]).problems[0]?.path).toBe(
      'variables.owner',
    );
  });
});

describe('always', () => {
  const secret = 'S3CR3T-VALUE';
  const variable = fc.record({
    name: fc.constantFrom('a', 'b', '__proto__'),
    kind: fc.constantFrom('tool' as const, 'environment' as const),
    type: fc.constantFrom('text' as const, 'number' as const, 'boolean' as const, 'list' as const, 'map' as const),
    value: fc.constantFrom(undefined, secret, '7', 7, true, [secret], { key: secret }, ''),
    sensitive: fc.boolean(),
    readOnly: fc.boolean(),
    required: fc.boolean(),
    regex: fc.constantFrom(undefined, '^x', '.'),
    allowed: fc.constantFrom<(string | number)[] | undefined>(undefined, ['other'], [secret, 7]),
  });
  const layers = fc.array(
    fc.record({
      level: fc.constantFrom(...variableLevels),
      variables: fc.uniqueArray(variable, { maxLength: 4, selector: (one) => one.kind + one.name }),
    }),
    {
      maxLength: 6,
    },
  );

  it('a variable is sensitive when any level says so, and never shown then', () => {
    fc.assert(
      fc.property(layers, (given) => {
        const { effective, problems } = resolveVariables(given);
        const sayings = given.flatMap((layer) => layer.variables);
        for (const one of effective) {
          expect(one.sensitive).toBe(
            sayings.some((said) => said.kind === one.kind && said.name === one.name && said.sensitive),
          );
        }
        const closed = given.map((layer) => ({
          ...layer,
          variables: layer.variables.map((said) => ({ ...said, sensitive: true })),
        }));
        expect(JSON.stringify(resolveVariables(closed).problems)).not.toContain(secret);
        // Whether a value is secret changes what is said, never what is decided.
        expect(resolveVariables(closed).problems).toHaveLength(problems.length);
      }),
      { numRuns: 200 },
    );
  });

  it('the value in force is one that the nearest level with a value gave', () => {
    fc.assert(
      fc.property(layers, (given) => {
        for (const one of resolveVariables(given).effective) {
          const levels = given
            .filter((layer) =>
              layer.variables.some(
                (said) => said.kind === one.kind && said.name === one.name && said.value !== undefined,
              ),
            )
            .map((layer) => variableLevels.indexOf(layer.level));
          expect(variableLevels.indexOf(one.level)).toBe(Math.max(...levels));
        }
      }),
      { numRuns: 200 },
    );
  });
});
