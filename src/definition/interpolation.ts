/** `${…}` in texts: environment variables, and references to outputs of other nodes. `$${` writes `${` itself. */
import type { EffectiveVariable, OutputReference } from '../model/index.ts';
import { quote } from './text.ts';
import { writeValue } from './values.ts';

/** A text cut at its `${…}`. */
export type TextPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly source: string }
  | { readonly kind: 'output'; readonly reference: OutputReference; readonly source: string }
  | { readonly kind: 'broken'; readonly source: string; readonly problem: string };

const variable = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/y;
const segment = String.raw`(?:\.([^.[\]{}"'$\n]+)|\[\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')\s*\])`;
const output = new RegExp(String.raw`\$\{\s*environments${segment}\.outputs${segment}\s*\}`, 'y');
const outputForm = '${environments.<alias>.outputs.<name>}';

/** Cuts a text at its `${…}`. Linear in its length. */
export function splitText(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let literal = '';
  const push = (part: TextPart): void => {
    if (literal !== '') parts.push({ kind: 'literal', text: literal });
    literal = '';
    parts.push(part);
  };
  let at = 0;
  while (at < text.length) {
    const next = text.indexOf('${', at);
    if (next === -1) break;
    if (next > at && text[next - 1] === '$') {
      literal += `${text.slice(at, next - 1)}\${`;
      at = next + 2;
      continue;
    }
    literal += text.slice(at, next);
    const part = readReference(text, next);
    push(part);
    at = next + part.source.length;
  }
  literal += text.slice(at);
  if (literal !== '') parts.push({ kind: 'literal', text: literal });
  return parts;
}

function readReference(text: string, at: number): Exclude<TextPart, { kind: 'literal' }> {
  variable.lastIndex = at;
  const named = variable.exec(text);
  if (named !== null) return { kind: 'variable', name: named[1] ?? '', source: named[0] };
  output.lastIndex = at;
  const match = output.exec(text);
  if (match !== null) {
    const alias = match[1] ?? unquote(match[2] ?? '');
    const name = (match[3] ?? unquote(match[4] ?? '')).trim();
    return { kind: 'output', reference: { alias, output: name }, source: match[0] };
  }
  const end = text.indexOf('}', at);
  const source = end === -1 ? text.slice(at) : text.slice(at, end + 1);
  if (end === -1)
    return {
      kind: 'broken',
      source,
      problem: `${quote(source)} has no closing }; write $\${ for the characters themselves`,
    };
  const problem = source.startsWith('${environments')
    ? `${quote(source)} is not a reference to an output; write ${outputForm}, and an alias with dots or brackets as environments["…"]`
    : `${quote(source)} is not the name of a variable; write $\${ for the characters themselves`;
  return { kind: 'broken', source, problem };
}

/** A reference as it stands in a file. */
export function writeReference({ alias, output: name }: OutputReference): string {
  const written = (part: string): string =>
    /^[^.[\]{}"'$\\\s]+$/.test(part) ? `.${part}` : `["${part.replace(/[\\"]/g, (letter) => `\\${letter}`)}"]`;
  return `\${environments${written(alias)}.outputs${written(name)}}`;
}

function unquote(text: string): string {
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}

/** Text in which nothing is a reference any more. */
export function escapeText(text: string): string {
  // A function, since "$$" in a replacement text means "$".
  return text.replaceAll('${', () => '$${');
}

export interface Interpolated {
  readonly text: string;
  /** Names without a value, each once; their references are left in the text. */
  readonly unresolved: readonly string[];
  readonly problems: readonly string[];
}

/** Puts the values of variables into a text. Without variables every `${VAR}` stays as it is. */
export function interpolate(text: string, variables: Readonly<Record<string, string>> | undefined): Interpolated {
  const unresolved = new Set<string>();
  const problems: string[] = [];
  let result = '';
  for (const part of splitText(text)) {
    switch (part.kind) {
      case 'literal':
        // An open text will be read again, with the variables of its run.
        result += variables === undefined ? escapeText(part.text) : part.text;
        break;
      case 'variable': {
        const value = valueOf(variables, part.name);
        if (value === undefined) unresolved.add(part.name);
        result += value ?? part.source;
        break;
      }
      case 'output':
        problems.push(`${quote(part.source)} can only stand in inputs; an output is not known before the run`);
        break;
      case 'broken':
        problems.push(part.problem);
        break;
    }
  }
  return { text: result, unresolved: [...unresolved], problems };
}

/** The value of a variable; the names of `Object.prototype` have none. */
export function valueOf(variables: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return variables !== undefined && Object.hasOwn(variables, name) ? variables[name] : undefined;
}

/** The environment variables in force as texts for a workflow file. */
export function textsOf(effective: readonly EffectiveVariable[]): {
  readonly variables: Record<string, string>;
  readonly secrets: Record<string, string>;
} {
  const texts = (sensitive: boolean): Record<string, string> =>
    Object.fromEntries(
      effective
        .filter((variable) => variable.kind === 'environment' && variable.sensitive === sensitive)
        .map((variable) => [variable.name, writeValue(variable.value)]),
    );
  return { variables: texts(false), secrets: texts(true) };
}
