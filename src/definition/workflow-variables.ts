/** `variables` and `inputs` of a node: what only windlass.workflow.yml has. */
import type {
  NodeInputBinding,
  NodeVariable,
  Position,
  VariableKind,
  VariableType,
  VariableValue,
} from '../model/index.ts';
import { variableNameSchema, variableTypeSchema } from '../model/index.ts';
import { makeBinding, parseInputTemplate } from './bindings.ts';
import type { TextPart } from './interpolation.ts';
import { splitText, valueOf } from './interpolation.ts';
import type { Issues, Naming, Part, Piece, Reading } from './schema.ts';
import { addIssue, addTypeIssue, chosen, derived, either, entries, guarded, inner, mapping, piece } from './schema.ts';
import { anything, boolean, oneOf, plainText, addUnresolvedIssue } from './schema-values.ts';
import { steersTools } from './steering-names.ts';
import { quote } from './text.ts';
import { readValue, typeOfValue } from './values.ts';
import { isAbsent, valueAt } from './yaml-tree.ts';
import type { YamlNode } from './yaml-tree.ts';

// The other way around than in the model: what is usual comes first.
const kind = oneOf<VariableKind>(['tool', 'environment']);
const type = oneOf(variableTypeSchema.options);
/** A specification's value goes by the name of the whole. */
const valueAsWhole: Naming = (key, name) => (key === 'value' ? name : `${key} of ${name}`);

/** A value of the file with its variables put in. */
interface Constant {
  readonly value: VariableValue;
  /** A sensitive variable is part of it. */
  readonly secret: boolean;
  /** Some variables are not known yet. */
  readonly open: boolean;
}

const constant: Piece<Constant> = piece(readConstant);

const specified = mapping(
  { value: anything, type: type.optional(), sensitive: boolean.optional(), kind: kind.optional() },
  {
    naming: valueAsWhole,
    missing: { value: '; a map that is the value itself is written {value: {…}, type: map}' },
  },
  (fields, { part, issues }): NodeVariable | undefined => {
    const read = fields.value && typedConstant(fields.value, fields.type, issues);
    if (read === undefined || issues.length > 0) return undefined;
    return {
      name: nameOf(part),
      kind: fields.kind ?? 'tool',
      type: fields.type ?? typeOfValue(read.value),
      value: read.value,
      sensitive: fields.sensitive === true || read.secret,
    };
  },
);

const bare = derived(constant, ({ value, secret }, part): NodeVariable => {
  return { name: nameOf(part), kind: 'tool', type: typeOfValue(value), value, sensitive: secret };
});
const empty = piece<NodeVariable>((_, issues) =>
  addIssue(issues, (name) => `${name} has no value; write "" for an empty text`, { at: 'key' }),
);

export const variables = entries(
  named(chosen((node) => (isSpecified(node) ? specified : isAbsent(node) ? empty : bare))),
  {
    naming: (key, _, node) => `variable ${quote(key)} of ${node}`,
  },
);

/** `{value, type…}` rather than a map that is the value itself: it has a value, or nothing but keys of a specification. */
function isSpecified(node: YamlNode): boolean {
  if (node.kind !== 'map') return false;
  const known = ['value', 'type', 'sensitive', 'kind'];
  return (
    valueAt(node, 'value') !== undefined ||
    (node.entries.length > 0 && node.entries.every((entry) => known.includes(entry.key)))
  );
}

function named<T>(schema: Piece<T>): Piece<T> {
  return guarded(schema, (part, issues) => {
    if (variableNameSchema.safeParse(nameOf(part)).success) return true;
    addIssue(
      issues,
      (name) =>
        `${name} needs another name: one of at most 200 characters that starts with a letter or _, then letters, digits, "_", "-" or "."`,
      { at: 'key' },
    );
    return false;
  });
}

function nameOf({ entry }: Part): string {
  return entry?.key ?? '';
}

function typedConstant(part: Part, wanted: VariableType | undefined, issues: Issues): Constant | undefined {
  const { node } = part;
  const path = ['value'];
  // `{value: 1.10, type: text}` means 1.10, not 1.1.
  const asText = wanted === 'text' && node.kind === 'scalar' && node.value !== null;
  const read = inner(constant, asText ? { ...part, node: { ...node, value: node.text } } : part, {
    issues,
    key: 'value',
  });
  if (read === undefined || asText || wanted === undefined || read.open) return read;
  const typed = readValue(wanted, read.value);
  if (typed.problem === null) return { ...read, value: typed.value };
  return addIssue(issues, (name) => `${name} ${typed.problem}`, { path });
}

function readConstant({ node, reading }: Part, issues: Issues): Constant | undefined {
  const found = { secret: false, open: false };
  const value = jsonOf(node, issues, (text, position) => {
    const parts = splitText(text).map((part) => putIn(part, { reading, issues, position, found }));
    return parts.join('');
  });
  return issues.length > 0 ? undefined : { value, ...found };
}

/** A value as JSON, with every text in it as `put` gives it. Keys such as `__proto__` become plain own properties. */
export function jsonOf(
  node: YamlNode,
  issues: Issues,
  put: (text: string, position: Position) => string,
): VariableValue {
  switch (node.kind) {
    case 'scalar':
      if (
        typeof node.value === 'number' &&
        (!Number.isFinite(node.value) || (Number.isInteger(node.value) && !Number.isSafeInteger(node.value)))
      )
        addIssue(
          issues,
          (name) => `${name} holds the number ${node.text}, which cannot be kept exactly; put it in quotes`,
          {
            position: node.position,
          },
        );
      return typeof node.value === 'string' ? put(node.value, node.position) : node.value;
    case 'list':
      return node.items.map((item) => jsonOf(item, issues, put));
    case 'map':
      return Object.fromEntries(node.entries.map((entry) => [entry.key, jsonOf(entry.value, issues, put)]));
  }
}

interface Putting {
  readonly reading: Reading;
  readonly issues: Issues;
  readonly position: Position;
  readonly found: { secret: boolean; open: boolean };
}

function putIn(part: TextPart, { reading, issues, position, found }: Putting): string {
  switch (part.kind) {
    case 'literal':
      return part.text;
    case 'variable': {
      const hidden = valueOf(reading.secrets, part.name);
      const value = valueOf(reading.variables, part.name) ?? hidden;
      if (hidden !== undefined) found.secret = true;
      if (value === undefined && reading.variables === undefined) found.open = true;
      else if (value === undefined) addUnresolvedIssue(issues, part.name, { ...reading, position });
      return value ?? part.source;
    }
    case 'output':
      addIssue(issues, (name) => `${name} reads an output of another sub-environment; move it to inputs`, { position });
      return '';
    case 'broken':
      addIssue(issues, (name) => `${name}: ${part.problem}`, { position });
      return '';
  }
}

const templateText = derived(plainText, (plain, { node, reading }, issues) => {
  const parsed = parseInputTemplate(plain, reading.variables);
  for (const problem of parsed.problems) addIssue(issues, (name) => `${name}: ${problem}`);
  if (parsed.problems.length > 0) return undefined;
  if (parsed.references.length === 0)
    return addIssue(issues, (name) => `${name} reads no output; a constant belongs under variables`);
  return { parsed, position: node.position };
});

const noTemplate = piece<never>(({ node }, issues) =>
  addTypeIssue(issues, node, 'a text such as ${environments.<alias>.outputs.<name>}'),
);
const template = chosen((node) => (node.kind !== 'scalar' || isAbsent(node) ? noTemplate : templateText));

const specifiedInput = mapping(
  { value: template, type: type.optional(), kind: kind.optional() },
  { naming: valueAsWhole, missing: { value: '; write ${environments.<alias>.outputs.<name>}' } },
  (fields, { part, issues }): NodeInputBinding | undefined =>
    fields.value === undefined || issues.length > 0
      ? undefined
      : makeBinding({ name: nameOf(part), kind: fields.kind ?? 'tool', type: fields.type, ...fields.value }),
);

const bareInput = derived(template, (read, part) =>
  makeBinding({ name: nameOf(part), kind: 'tool', type: undefined, ...read }),
);

export const inputs = entries(named(either(specifiedInput, bareInput)), {
  naming: (key, _, node) => `input ${quote(key)} of ${node}`,
});

type Given = Pick<NodeVariable, 'name' | 'kind'>;

/**
 * Whoever writes the file writes the code of a node with `vcs`, and may say there what tools run. The template of another
 * node belongs to the project, and its secrets to what the project lets it run.
 */
export function steering<T extends Given>(given: readonly T[]): T[] {
  return given.filter(({ kind: of, name }) => of === 'environment' && steersTools(name));
}

/** An input and a variable of the same kind and name would each claim the value. */
export function collisions(node: { readonly inputs: readonly Given[]; readonly variables: readonly Given[] }): Given[] {
  const keyOf = (given: Given): string => JSON.stringify([given.kind, given.name]);
  const taken = new Set(node.variables.map(keyOf));
  return node.inputs.filter((input) => taken.has(keyOf(input)));
}
