import { formatProblem } from './index.ts';
import { makeProblemList } from './problems.ts';
import { read } from './read.ts';
import { addIssue, entries, list, mapping } from './schema.ts';
import { boolean, duration, flag, integer, oneOf, text } from './schema-values.ts';
import { quote } from './text.ts';
import { parseYaml } from './yaml-tree.ts';

/** A file of another sort, in as many lines as a schema needs. */
const bakery = mapping(
  {
    oven: oneOf(['gas', 'wood', 'electric']),
    open: flag.default(true),
    breads: entries(
      mapping(
        { flour: text(), bakes: duration(60, 7200), loaves: integer(1, 500).refine((n) => n !== 13, 'is unlucky') },
        { missing: { bakes: '; say how long, such as bakes: 45m' } },
      ),
      { naming: (key) => `bread ${quote(key)}` },
    ),
    days: list(text({ longest: 3 })).optional(),
    delivery: mapping({ free: boolean.optional(), radius: integer(1, 50).optional() }, {}, (fields, { issues }) => {
      if (fields.free === true && fields.radius === undefined)
        addIssue(issues, (name) => `${name} is free, and has no radius`, { path: ['free'], at: 'key', whole: true });
      return fields;
    }).optional(),
  },
  { naming: (key) => key, elsewhere: (key) => (key === 'staff' ? '; it belongs into staff.yml' : undefined) },
);

function readBakery(lines: readonly string[], variables?: Readonly<Record<string, string>>) {
  const problems = makeProblemList('b.yml');
  const tree = parseYaml(lines.join('\n'), problems);
  if (tree === null) throw new Error('no tree');
  const value = read(bakery, tree, { what: 'the bakery', problems, variables });
  return { value, printed: problems.sorted().map(formatProblem) };
}

const whole = [
  'oven: wood',
  'open: ${OPEN}',
  'breads:',
  '  "1 rye": {flour: "${KIND} flour", bakes: 1h15m, loaves: 20}',
  '  __proto__: {flour: 1.10, bakes: 60s, loaves: 1}',
  'days: [Mon, Tue]',
  'delivery:',
];

describe('a file that fits its schema', () => {
  it('is read with the values of variables, in its own order and words', () => {
    const { value, printed } = readBakery(whole, { OPEN: 'False', KIND: 'rye' });
    expect(printed).toEqual([]);
    expect(value).toEqual({
      oven: 'wood',
      open: false,
      breads: [
        { flour: 'rye flour', bakes: 4500, loaves: 20 },
        { flour: '1.10', bakes: 60, loaves: 1 },
      ],
      days: ['Mon', 'Tue'],
    });
  });

  it('stays open without variables', () => {
    const { value, printed } = readBakery(whole);
    expect(printed).toEqual([]);
    expect(value?.open).toBe(false);
    expect(value?.breads[0]?.flour).toBe('${KIND} flour');
  });
});

describe('a file that does not', () => {
  it.each<readonly [string, readonly string[], readonly string[]]>([
    [
      'has its mistyped keys told, and not what is missing for them',
      ['ovn: gas', 'breads: {rye: {flour: a, bake: 1h, loaves: 1}}'],
      [
        'b.yml:1:1  error  unknown key "ovn" in the bakery; did you mean "oven"?',
        'b.yml:2:26  error  unknown key "bake" in bread "rye"; did you mean "bakes"?',
      ],
    ],
    [
      'has unknown keys told, with those that there are, or where they belong',
      ['oven: gas', 'staff: 3', 'breads: {}', 'delivery: {toString: 1}'],
      [
        'b.yml:2:1  error  unknown key "staff" in the bakery; it belongs into staff.yml',
        'b.yml:4:12  error  unknown key "toString" in delivery; known are free and radius',
      ],
    ],
    [
      'has missing keys told: at the key of what was named, and at the beginning of the rest',
      ['breads:', '  rye: {flour: a, bakes: , loaves: 1}', '  oat:'],
      [
        'b.yml:1:1  error  the bakery has no oven',
        'b.yml:2:3  error  bread "rye" has no bakes; say how long, such as bakes: 45m',
        'b.yml:3:7  error  bread "oat" has to be a mapping, not nothing',
      ],
    ],
    [
      'has wrong values told at their places',
      [
        'oven: coal',
        'open: perhaps',
        'breads:',
        '  rye: {flour: true, bakes: 45, loaves: [1]}',
        '  oat: {flour: "", bakes: 3h, loaves: 501}',
        'days: [Monday, {}]',
        'delivery: free',
      ],
      [
        'b.yml:1:7  error  oven is "coal"; it has to be gas, wood or electric',
        'b.yml:2:7  error  open is "perhaps"; it has to be true, false or a ${VARIABLE} that is one of them',
        'b.yml:4:16  error  flour of bread "rye" has to be text; put quotes around true',
        'b.yml:4:29  error  bakes of bread "rye": "45" is not a duration: add a unit, such as 45s or 45m',
        'b.yml:4:41  error  loaves of bread "rye" has to be a whole number, not a list',
        'b.yml:5:16  error  flour of bread "oat" is empty',
        'b.yml:5:27  error  bakes of bread "oat" is 3h; at most 2h are allowed',
        'b.yml:5:39  error  loaves of bread "oat" is 501; it has to be between 1 and 500',
        'b.yml:6:8  error  an item of days has 6 characters; at most 3 are allowed',
        'b.yml:6:16  error  an item of days has to be text, not a mapping',
        'b.yml:7:11  error  delivery has to be a mapping, not text',
      ],
    ],
    [
      "has checks across keys and zod's own told like all others",
      ['oven: gas', 'breads: {rye: {flour: a, bakes: 1m, loaves: 13}}', 'delivery: {fre: 1, free: true}'],
      [
        'b.yml:2:45  error  loaves of bread "rye": is unlucky',
        'b.yml:3:12  error  unknown key "fre" in delivery; did you mean "free"?',
        'b.yml:3:20  error  delivery is free, and has no radius',
      ],
    ],
    ['has to be a mapping', ['- oven'], ['b.yml:1:1  error  the bakery has to be a mapping, not a list']],
  ])('%s', (_, lines, expected) => {
    const { value, printed } = readBakery(lines);
    expect(printed).toEqual(expected);
    expect(value).toBeUndefined();
  });

  it('has variables told that have no value', () => {
    const { printed } = readBakery(['oven: gas', 'open: ${OPE}', 'breads: {rye: {flour: "${a-b}"}}'], { OPEN: 'true' });
    expect(printed).toEqual([
      'b.yml:2:7  error  open: ${OPE} has no value; did you mean "OPEN"?',
      'b.yml:3:10  error  bread "rye" has no bakes; say how long, such as bakes: 45m',
      'b.yml:3:10  error  bread "rye" has no loaves',
      'b.yml:3:23  error  flour of bread "rye": "${a-b}" is not the name of a variable; write $${ for the characters themselves',
    ]);
  });

  it('has the problems of a repeated value told once for each place, and no more than one can read', () => {
    const { printed } = readBakery(['oven: gas', 'breads:', '  rye: &r {flour: a, bakes: 1m, loaves: 0}', '  oat: *r']);
    expect(printed).toEqual([
      'b.yml:3:41  error  loaves of bread "rye" is 0; it has to be between 1 and 500',
      'b.yml:3:41  error  loaves of bread "oat" is 0; it has to be between 1 and 500',
    ]);
    const many = Array.from({ length: 200_000 }, () => '{}').join();
    expect(readBakery(['oven: gas', 'breads: {}', `days: [${many}]`]).printed.at(-1)).toBe(
      'b.yml  error  and 199800 more problems',
    );
  });
});
