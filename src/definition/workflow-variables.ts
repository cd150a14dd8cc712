/** `variables` and `inputs` of a node: what only windlass.workflow.yml has. */
import type {
  NodeInputBinding,
  NodeVariable,
  Position,
  VariableKind,
  VariableType,
  VariableValue,
} from '../model/index.ts';
import { variableNameSchema } from '../model/index.ts';
import { makeBinding, parseInputTemplate } from './bindings.ts';
import { splitText, valueOf } from './interpolation.ts';
import { steersTools } from './steering-names.ts';
import { quote } from './text.ts';
import { readValue, typeOfValue } from './values.ts';
import type { FileContext } from './workflow-context.ts';
import {
  isAbsent,
  readBoolean,
  readFields,
  readJson,
  readMap,
  readOneOf,
  readPlain,
  unresolved,
  wrong,
} from './yaml-reader.ts';
import type { Fields } from './yaml-reader.ts';
import type { YamlEntry, YamlMap, YamlNode } from './yaml-tree.ts';
import { valueAt } from './yaml-tree.ts';

// Spelled out, since the model's lists live in zod schemas.
const kinds: readonly VariableKind[] = ['tool', 'environment'];
const types: readonly VariableType[] = ['text', 'number', 'boolean', 'list', 'map'];
const variableKeys = ['value', 'type', 'sensitive', 'kind'];
const inputKeys = ['value', 'type', 'kind'];

export function readVariables(context: FileContext, node: YamlNode, of: string): NodeVariable[] {
  const map = readMap(context, node, `variables of ${of}`);
  return (map?.entries ?? []).flatMap((entry) => {
    const what = `variable ${quote(entry.key)} of ${of}`;
    if (!checkName(context, entry, what)) return [];
    const variable = isSpec(entry.value, variableKeys)
      ? readSpec(context, entry, what)
      : readBare(context, entry, what);
    return variable === null ? [] : [variable];
  });
}

/** `{value, type…}` rather than a map that is the value itself: it has a value, or nothing but keys of a spec. */
function isSpec(node: YamlNode, keys: readonly string[]): node is YamlMap {
  if (node.kind !== 'map') return false;
  return (
    valueAt(node, 'value') !== undefined ||
    (node.entries.length > 0 && node.entries.every((entry) => keys.includes(entry.key)))
  );
}

function checkName(context: FileContext, entry: YamlEntry, what: string): boolean {
  const checked = variableNameSchema.safeParse(entry.key);
  if (checked.success) return true;
  context.problems.add(
    entry.keyPosition,
    `${what} needs another name: one of at most 200 characters that ${'starts with a letter or _, then letters, digits, "_", "-" or "."'}`,
  );
  return false;
}

function readBare(context: FileContext, entry: YamlEntry, what: string): NodeVariable | null {
  if (isAbsent(entry.value)) {
    context.problems.add(entry.keyPosition, `${what} has no value; write "" for an empty text`);
    return null;
  }
  const constant = readConstant(context, entry.value, what);
  if (constant === undefined) return null;
  const { value, secret } = constant;
  return { name: entry.key, kind: 'tool', type: typeOfValue(value), value, sensitive: secret };
}

function readSpec(context: FileContext, entry: YamlEntry, what: string): NodeVariable | null {
  const fields = readFields(context, entry.value, { what, known: variableKeys });
  const { kind, type } = readKindAndType(context, fields, what);
  const sensitiveEntry = fields.get('sensitive');
  const sensitive =
    sensitiveEntry === undefined ? false : readBoolean(context, sensitiveEntry.value, `sensitive of ${what}`);
  const valueEntry = fields.get('value');
  if (valueEntry === undefined) {
    context.problems.add(
      entry.keyPosition,
      `${what} has no value; a map that is the value itself is written {value: {…}, type: map}`,
    );
    return null;
  }
  const constant = typedConstant(context, valueEntry.value, { type, what });
  if (constant === undefined || kind === null || type === null || sensitive === null) return null;
  const { value, secret } = constant;
  return {
    name: entry.key,
    kind: kind ?? 'tool',
    type: type ?? typeOfValue(value),
    value,
    sensitive: sensitive || secret,
  };
}

function readKindAndType(
  context: FileContext,
  fields: Fields,
  what: string,
): { kind: VariableKind | null | undefined; type: VariableType | null | undefined } {
  const kind = fields.get('kind');
  const type = fields.get('type');
  return {
    kind: kind === undefined ? undefined : readOneOf(context, kind.value, { what: `kind of ${what}`, choices: kinds }),
    type: type === undefined ? undefined : readOneOf(context, type.value, { what: `type of ${what}`, choices: types }),
  };
}

/** A value of the file with its variables put in. */
interface Constant {
  readonly value: VariableValue;
  /** A sensitive variable is part of it. */
  readonly secret: boolean;
  /** Some variables are not known yet. */
  readonly open: boolean;
}

function typedConstant(
  context: FileContext,
  node: YamlNode,
  { type, what }: { readonly type: VariableType | null | undefined; readonly what: string },
): Constant | undefined {
  // `{value: 1.10, type: text}` means 1.10, not 1.1.
  if (type === 'text' && node.kind === 'scalar' && node.value !== null)
    return readConstant(context, { ...node, value: node.text }, what);
  const constant = readConstant(context, node, what);
  if (constant === undefined || type === null || type === undefined) return constant;
  if (constant.open) return constant;
  const read = readValue(type, constant.value);
  if (read.problem === null) return { ...constant, value: read.value };
  context.problems.add(node.position, `${what} ${read.problem}`);
  return undefined;
}

function readConstant(context: FileContext, node: YamlNode, what: string): Constant | undefined {
  const before = context.problems.count;
  const found = { secret: false, open: false };
  const value = readJson(context, node, what, (text, position) => {
    const resolved = resolveConstant(context, text, { what, position });
    found.secret ||= resolved.secret;
    found.open ||= resolved.open;
    return resolved.text;
  });
  return context.problems.count > before || value === undefined ? undefined : { value, ...found };
}

function resolveConstant(
  context: FileContext,
  text: string,
  { what, position }: { readonly what: string; readonly position: Position },
): { text: string; secret: boolean; open: boolean } {
  const { problems, variables, secrets } = context;
  let result = '';
  let secret = false;
  let open = false;
  for (const part of splitText(text)) {
    switch (part.kind) {
      case 'literal':
        result += part.text;
        break;
      case 'variable': {
        const hidden = valueOf(secrets, part.name);
        const value = valueOf(variables, part.name) ?? hidden;
        if (hidden !== undefined) secret = true;
        if (value === undefined && variables === undefined) open = true;
        else if (value === undefined) problems.add(position, unresolved(context, { what, name: part.name }));
        result += value ?? part.source;
        break;
      }
      case 'output':
        problems.add(position, `${what} reads an output of another sub-environment; move it to inputs`);
        break;
      case 'broken':
        problems.add(position, `${what}: ${part.problem}`);
        break;
    }
  }
  return { text: result, secret, open };
}

export function readInputs(context: FileContext, node: YamlNode, of: string): NodeInputBinding[] {
  const map = readMap(context, node, `inputs of ${of}`);
  return (map?.entries ?? []).flatMap((entry) => {
    const what = `input ${quote(entry.key)} of ${of}`;
    if (!checkName(context, entry, what)) return [];
    const binding = readInput(context, entry, what);
    return binding === null ? [] : [binding];
  });
}

function readInput(context: FileContext, entry: YamlEntry, what: string): NodeInputBinding | null {
  const { problems } = context;
  let text = entry.value;
  let kind: VariableKind | null | undefined;
  let type: VariableType | null | undefined;
  if (entry.value.kind === 'map') {
    const fields = readFields(context, entry.value, { what, known: inputKeys });
    ({ kind, type } = readKindAndType(context, fields, what));
    const value = fields.get('value');
    if (value === undefined) {
      problems.add(entry.keyPosition, `${what} has no value; write \${environments.<alias>.outputs.<name>}`);
      return null;
    }
    text = value.value;
  }
  if (text.kind !== 'scalar' || text.value === null)
    return wrong(context, text, what, 'a text such as ${environments.<alias>.outputs.<name>}');
  const plain = readPlain(context, text, what);
  if (plain === null) return null;
  const parsed = parseInputTemplate(plain, context.variables);
  for (const problem of parsed.problems) problems.add(text.position, `${what}: ${problem}`);
  if (parsed.problems.length > 0) return null;
  if (parsed.references.length === 0) {
    problems.add(text.position, `${what} reads no output; a constant belongs under variables`);
    return null;
  }
  if (kind === null || type === null) return null;
  return makeBinding({ name: entry.key, kind: kind ?? 'tool', type, parsed, position: text.position });
}

/**
 * Whoever writes the file writes the code of a node with `vcs`, and may say there what tools run. The template of another
 * node belongs to the project, and its secrets to what the project lets it run.
 */
export function checkSteering(
  context: FileContext,
  node: {
    readonly of: string;
    readonly given: readonly { readonly name: string; readonly kind: VariableKind }[];
    readonly keys: ReadonlyMap<string, Position>;
  },
): void {
  for (const { name, kind } of node.given) {
    if (kind !== 'environment' || !steersTools(name)) continue;
    context.problems.add(
      node.keys.get(name),
      `${node.of} may not set ${quote(name)}: it decides what tools run, and the template belongs to the project; set it there (windlass variable set ${name} --env --template …)`,
    );
  }
}

/** An input and a variable of the same kind and name would each claim the value. */
export function checkCollisions(
  context: FileContext,
  options: {
    readonly of: string;
    readonly inputs: readonly NodeInputBinding[];
    readonly variables: readonly NodeVariable[];
    readonly keys: ReadonlyMap<string, Position>;
  },
): void {
  const taken = new Set(options.variables.map((variable) => JSON.stringify([variable.kind, variable.name])));
  for (const input of options.inputs) {
    if (!taken.has(JSON.stringify([input.kind, input.name]))) continue;
    context.problems.add(
      options.keys.get(input.name) ?? input.position,
      `input ${quote(input.name)} of ${options.of} is set under variables too; keep one`,
    );
  }
}
