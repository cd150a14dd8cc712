import fc from 'fast-check';
import type { OutputValue, ResolvableBinding } from './bindings.ts';
import { parseInputTemplate, resolveBinding } from './bindings.ts';

const outputs: Record<string, Record<string, OutputValue>> = {
  vpc: {
    id: { value: 'vpc-1', type: 'text', sensitive: false },
    count: { value: 3, type: 'number', sensitive: false },
    public: { value: true, type: 'boolean', sensitive: false },
    zones: { value: ['a', 'b'], type: 'list', sensitive: false },
    tags: { value: { team: 'shop' }, type: 'map', sensitive: false },
    none: { value: null, type: 'text', sensitive: false },
    trap: { value: '${environments.db.outputs.password}', type: 'text', sensitive: false },
  },
  'a.b "c"': { id: { value: 'odd', type: 'text', sensitive: false } },
  db: { password: { value: 'hunter2', type: 'text', sensitive: true } },
};
const outputOf = (alias: string, output: string): OutputValue | undefined =>
  Object.hasOwn(outputs, alias) ? outputs[alias]?.[output] : undefined;

function resolve(text: string, type?: ResolvableBinding['type']) {
  const { template } = parseInputTemplate(text, {
    STAGE: 'prod',
    TRAP: '${environments.db.outputs.password}',
    DOLLAR: '$',
  });
  return resolveBinding({ name: 'x', type, template, position: { line: 3, column: 9 } }, outputOf);
}

describe('a whole reference', () => {
  it.each([
    ['id', 'vpc-1', 'text'],
    ['count', 3, 'number'],
    ['public', true, 'boolean'],
    ['zones', ['a', 'b'], 'list'],
    ['tags', { team: 'shop' }, 'map'],
    ['none', null, 'text'],
  ])('keeps the type of %s', (output, value, type) => {
    expect(resolve(`\${environments.vpc.outputs.${output}}`).value).toEqual({ value, type, sensitive: false });
  });

  it('may have spaces around it', () => {
    expect(resolve('  ${ environments.vpc.outputs.count }\n').value?.value).toBe(3);
  });

  it('may quote an alias of any letters', () => {
    expect(resolve('${environments["a.b \\"c\\""].outputs.id}').value?.value).toBe('odd');
    expect(resolve(`\${environments['vpc'].outputs["id"]}`).value?.value).toBe('vpc-1');
  });

  it('becomes the declared type when nothing is lost', () => {
    expect(resolve('${environments.vpc.outputs.count}', 'text').value).toEqual({
      value: '3',
      type: 'text',
      sensitive: false,
    });
    expect(resolve('${environments.vpc.outputs.zones}', 'text').value?.value).toBe('["a","b"]');
  });

  it('is refused when it is not of the declared type', () => {
    expect(resolve('${environments.vpc.outputs.zones}', 'map').problems).toEqual([
      { message: 'input "x" is declared as a map, and what it reads, a list, is none', line: 3, column: 9 },
    ]);
  });
});

describe('a text', () => {
  it('has its outputs written into it', () => {
    expect(
      resolve(
        '${environments.vpc.outputs.id}/${environments.vpc.outputs.count}-${environments.vpc.outputs.public}-${STAGE}',
      ).value?.value,
    ).toBe('vpc-1/3-true-prod');
    expect(
      resolve(
        'z=${environments.vpc.outputs.zones} t=${environments.vpc.outputs.tags} n=${environments.vpc.outputs.none}',
      ).value?.value,
    ).toBe('z=["a","b"] t={"team":"shop"} n=');
  });

  it('is read as the declared type', () => {
    expect(resolve('${environments.vpc.outputs.count}0', 'number').value?.value).toBe(30);
    expect(resolve('["x", "${environments.vpc.outputs.id}"]', 'list').value?.value).toEqual(['x', 'vpc-1']);
    expect(resolve('${environments.vpc.outputs.id}0', 'number').problems[0]?.message).toBe(
      'input "x" is declared as a number, and its text is none',
    );
  });

  it('is sensitive as soon as one part is', () => {
    expect(resolve('u:${environments.db.outputs.password}@${environments.vpc.outputs.id}').value).toEqual({
      value: 'u:hunter2@vpc-1',
      type: 'text',
      sensitive: true,
    });
  });

  it('never reads what a value says', () => {
    expect(resolve('${environments.vpc.outputs.trap}!').value).toMatchObject({
      value: '${environments.db.outputs.password}!',
      sensitive: false,
    });
    expect(resolve('${environments.vpc.outputs.id}${TRAP}').value).toMatchObject({
      value: 'vpc-1${environments.db.outputs.password}',
      sensitive: false,
    });
    expect(resolve('${environments.vpc.outputs.id}${DOLLAR}{environments.db.outputs.password}').value).toMatchObject({
      value: 'vpc-1${environments.db.outputs.password}',
      sensitive: false,
    });
  });

  it('names every output that is missing', () => {
    expect(
      resolve(
        '${environments.vpc.outputs.arn} ${environments.gone.outputs.id} ${environments.constructor.outputs.name}',
      ).problems.map((problem) => problem.message),
    ).toEqual([
      'input "x" reads the output "arn" of "vpc", which has no such output',
      'input "x" reads the output "id" of "gone", which has no such output',
      'input "x" reads the output "name" of "constructor", which has no such output',
    ]);
  });

  it('never repeats a secret in a problem', () => {
    expect(JSON.stringify(resolve('${environments.db.outputs.password}', 'number').problems)).not.toContain('hunter2');
  });
});

it('any text comes out as it went in, whatever its dollars and braces', () => {
  const piece = fc.constantFrom('$', '{', '}', '${', '$${', 'a', ' ', 'environments', '.outputs.', 'STAGE');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const value = pieces.join('');
      const { template, problems } = parseInputTemplate('<${V}>', { V: value });
      expect(problems).toEqual([]);
      expect(resolveBinding({ name: 'x', template }, () => undefined).value?.value).toBe(`<${value}>`);
    }),
  );
});
