/** Inputs of nodes: references to outputs of other nodes, and their values once those are known. */
import type {
  NodeInputBinding,
  OutputReference,
  Position,
  Problem,
  VariableKind,
  VariableType,
  VariableValue,
} from '../model/index.ts';
import { escapeText, splitText, valueOf, writeReference } from './interpolation.ts';
import { quote } from './text.ts';
import { describeType, readValue, typeOfValue, writeValue } from './values.ts';

export interface ParsedTemplate {
  /** With the values of variables put in. */
  readonly template: string;
  readonly references: readonly OutputReference[];
  /** Set when the text is one reference and nothing else. */
  readonly whole: OutputReference | undefined;
  readonly problems: readonly string[];
}

/** Reads the text of an input. `${VAR}` gets its value when variables are given and stays when they are not. */
export function parseInputTemplate(text: string, variables?: Readonly<Record<string, string>>): ParsedTemplate {
  const references: OutputReference[] = [];
  const problems: string[] = [];
  const seen = new Set<string>();
  let template = '';
  // Literals and values are escaped together: a value must not smuggle in a reference, not even as half of one.
  let plain = '';
  const add = (source: string): void => {
    if (plain.endsWith('$')) problems.push('a value that ends in $ cannot stand right before a reference');
    template += escapeText(plain) + source;
    plain = '';
  };
  const trimmed = splitText(text.trim());
  const parts = trimmed.length === 1 && trimmed[0]?.kind === 'output' ? trimmed : splitText(text);
  for (const part of parts) {
    switch (part.kind) {
      case 'literal':
        plain += part.text;
        break;
      case 'variable': {
        const value = valueOf(variables, part.name);
        if (variables !== undefined && value === undefined) problems.push(`\${${part.name}} has no value`);
        if (value === undefined) add(part.source);
        else plain += value;
        break;
      }
      case 'output': {
        add(part.source);
        const key = JSON.stringify(part.reference);
        if (!seen.has(key)) references.push(part.reference);
        seen.add(key);
        break;
      }
      case 'broken':
        problems.push(part.problem);
        break;
    }
  }
  template += escapeText(plain);
  const only = parts.length === 1 ? parts[0] : undefined;
  return { template, references, whole: only?.kind === 'output' ? only.reference : undefined, problems };
}

export interface OutputValue {
  readonly value: VariableValue;
  readonly type: VariableType;
  readonly sensitive: boolean;
}

/** What is needed of a binding to resolve it; both the parsed definition and a stored snapshot have it. */
export interface ResolvableBinding {
  readonly name: string;
  readonly kind?: VariableKind | undefined;
  readonly type?: VariableType | null | undefined;
  /** Says everything: whether it is one whole reference, and which ones it holds, is read from it. */
  readonly template: string;
  readonly references?: readonly OutputReference[] | undefined;
  readonly whole?: OutputReference | boolean | undefined;
  readonly position?: Position | undefined;
}

export interface ResolvedBinding {
  /** Null when there are problems. */
  readonly value: OutputValue | null;
  /** Never hold values. */
  readonly problems: readonly Problem[];
}

/**
 * The value of an input. One whole reference keeps the output's type; in a text, outputs are written out, lists and maps as
 * JSON. A declared type is enforced. `sensitive` when any output in it is.
 */
export function resolveBinding(
  binding: ResolvableBinding,
  outputOf: (alias: string, output: string) => OutputValue | undefined,
): ResolvedBinding {
  const problems: Problem[] = [];
  const say = (message: string): void => {
    problems.push({
      message: `input ${quote(binding.name)} ${message}`,
      line: binding.position?.line,
      column: binding.position?.column,
    });
  };
  const parts = splitText(binding.template);
  let sensitive = false;
  let text = '';
  let only: OutputValue | undefined;
  for (const part of parts) {
    if (part.kind === 'literal') text += part.text;
    else if (part.kind === 'variable') say(`reads \${${part.name}}, which has no value`);
    else if (part.kind === 'broken') say(`cannot be read: ${part.problem}`);
    else {
      const { alias, output } = part.reference;
      const found = outputOf(alias, output);
      if (found === undefined) {
        say(`reads the output ${quote(output)} of ${quote(alias)}, which has no such output`);
        continue;
      }
      sensitive ||= found.sensitive;
      only = found;
      text += writeValue(found.value);
    }
  }
  if (problems.length > 0) return { value: null, problems };
  const whole = parts.length === 1 && only !== undefined ? only : undefined;
  const value = whole === undefined ? text : whole.value;
  const type = binding.type ?? whole?.type ?? 'text';
  // An output that is null, or whose type the tool did not say, is passed on as it is.
  if (whole !== undefined && (binding.type ?? null) === null)
    return { value: { value, type, sensitive }, problems: [] };
  const read = readValue(type, type === 'text' && whole !== undefined ? writeValue(value) : value);
  if (read.problem === null) return { value: { value: read.value, type, sensitive }, problems: [] };
  const what = whole === undefined ? 'its text' : `what it reads, ${describeType(typeOfValue(value))},`;
  say(`is declared as ${describeType(type)}, and ${what} is none`);
  return { value: null, problems };
}

/** A binding as the definition keeps it. */
export function makeBinding(options: {
  readonly name: string;
  readonly kind: VariableKind;
  readonly type: VariableType | undefined;
  readonly parsed: ParsedTemplate;
  readonly position: Position | undefined;
}): NodeInputBinding {
  const { name, kind, type, parsed, position } = options;
  const { template, references, whole } = parsed;
  return { name, kind, type, whole, template, references, position };
}

/** The same binding where other aliases name the nodes it reads. */
export function renameReferences(binding: NodeInputBinding, rename: (alias: string) => string): NodeInputBinding {
  const renamed = ({ alias, output }: OutputReference): OutputReference => ({ alias: rename(alias), output });
  const template = splitText(binding.template)
    .map((part) => {
      if (part.kind === 'output') return writeReference(renamed(part.reference));
      return part.kind === 'literal' ? escapeText(part.text) : part.source;
    })
    .join('');
  return {
    ...binding,
    template,
    references: binding.references.map(renamed),
    whole: binding.whole && renamed(binding.whole),
  };
}
