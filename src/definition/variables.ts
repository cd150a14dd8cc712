/** Inheritance of variables: which value is in force, and whether every level's rules are kept. */
import type {
  EffectiveVariable,
  Problem,
  VariableInput,
  VariableKind,
  VariableLevel,
  VariableType,
  VariableValue,
} from '../model/index.ts';
import { variableLevels } from '../model/index.ts';
import { matchPattern } from './pattern.ts';
import { listed, quote, shown } from './text.ts';
import { describeType, readValue, writeValue } from './values.ts';

/** What a level says about a variable. Anything left out says nothing. */
export type LevelVariable = Pick<VariableInput, 'name' | 'kind' | 'type' | 'value'> &
  Partial<Pick<VariableInput, 'sensitive' | 'readOnly' | 'required' | 'regex' | 'allowed'>>;

export interface VariableLayer {
  readonly level: VariableLevel;
  readonly variables: readonly LevelVariable[];
}

export interface ResolvedVariables {
  /** In the order of kind and name. Variables without a value anywhere are left out. */
  readonly effective: EffectiveVariable[];
  /** Never holds the value of a sensitive variable. `path` is `variables.<name>`. */
  readonly problems: Problem[];
}

interface Declaration extends LevelVariable {
  readonly level: VariableLevel;
}

/**
 * Resolves variables over the levels; the nearest value wins. A variable is its kind and its name.
 * The farthest level that declares it sets its type; text that reads as that type is taken as it. Rules of every level hold:
 * sensitive, required, pattern and allowed values cannot be loosened by a nearer level, and a read-only value stands.
 */
export function resolveVariables(layers: readonly VariableLayer[]): ResolvedVariables {
  const sorted = layers
    .map((layer, index) => ({ layer, index, rank: variableLevels.indexOf(layer.level) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index);
  const declarations = new Map<string, Declaration[]>();
  for (const { layer } of sorted) {
    for (const variable of layer.variables) {
      const key = `${variable.kind} ${variable.name}`;
      const list = declarations.get(key);
      const declaration = { ...variable, level: layer.level };
      if (list === undefined) declarations.set(key, [declaration]);
      else list.push(declaration);
    }
  }
  const effective: EffectiveVariable[] = [];
  const problems: Problem[] = [];
  for (const key of [...declarations.keys()].sort()) {
    const variable = resolveOne(declarations.get(key) ?? [], problems);
    if (variable !== null) effective.push(variable);
  }
  return { effective, problems };
}

function resolveOne(declared: readonly Declaration[], problems: Problem[]): EffectiveVariable | null {
  const first = declared[0];
  if (first === undefined) return null;
  const { name, kind, type } = first;
  const sensitive = declared.some((at) => at.sensitive === true);
  const before = problems.length;
  const say = (message: string): void => {
    problems.push({ message: `${describeVariable(name, kind)} ${message}`, path: `variables.${shown(name)}` });
  };
  let winner: { readonly level: VariableLevel; readonly value: VariableValue } | null = null;
  let fixedAt: VariableLevel | null = null;
  const overrides: VariableLevel[] = [];
  for (const at of declared) {
    if (at.type !== type && at.type !== 'text') {
      say(
        `is ${describeType(type)} at the ${first.level} level; the ${at.level} level may change its value, not make it ${describeType(at.type)}`,
      );
      continue;
    }
    if (at.value === undefined) {
      if (at.readOnly === true && winner !== null) fixedAt ??= at.level;
      continue;
    }
    const read = readValue(type, at.value);
    if (read.problem !== null) {
      say(`${read.problem} (set at the ${at.level} level)`);
      continue;
    }
    if (fixedAt !== null && winner !== null && !sameValue(winner.value, read.value)) {
      say(`is read-only at the ${fixedAt} level; the ${at.level} level may not change its value`);
      continue;
    }
    if (winner !== null) overrides.push(winner.level);
    winner = { level: at.level, value: read.value };
    if (at.readOnly === true) fixedAt ??= at.level;
  }
  if (winner === null || winner.value === '') {
    const requiredAt = declared.find((at) => at.required === true)?.level;
    if (requiredAt !== undefined && problems.length === before) {
      say(
        `is required (${requiredAt} level) and has no value at any level; set it with windlass variable set ${shown(name)}`,
      );
    }
  }
  if (winner === null) return null;
  checkRules({ declared, type, value: winner.value, sensitive, say });
  return problems.length > before
    ? null
    : { name, kind, type, value: winner.value, sensitive, level: winner.level, overrides };
}

function checkRules(options: {
  readonly declared: readonly Declaration[];
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
  readonly say: (message: string) => void;
}): void {
  const { declared, type, value, sensitive, say } = options;
  const secret = sensitive ? 'its value' : `the value ${quote(writeValue(value))}`;
  for (const at of declared) {
    if (at.regex !== undefined) {
      const answer = matchPattern(at.regex, writeValue(value));
      if (answer.problem !== null) say(`cannot be checked: ${answer.problem} (${at.level} level)`);
      else if (!answer.matches) say(`does not fit: ${secret} has to match ${quote(at.regex)} (${at.level} level)`);
    }
    if (at.allowed === undefined) continue;
    const fits = at.allowed.some((allowed) => {
      const read = readValue(type, allowed);
      return read.problem === null && sameValue(read.value, value);
    });
    if (fits) continue;
    // The list of a sensitive variable may hold the secrets themselves.
    const choice = sensitive
      ? 'one of the allowed values'
      : listed(at.allowed.map((allowed) => quote(writeValue(allowed))));
    say(`does not fit: ${secret} has to be ${choice} (${at.level} level)`);
  }
}

function describeVariable(name: string, kind: VariableKind): string {
  return kind === 'environment' ? `environment variable ${quote(name)}` : `variable ${quote(name)}`;
}

/** Equality of JSON values; the order of a map's keys does not matter. */
function sameValue(a: VariableValue, b: VariableValue): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, i) => sameValue(item, b[i] ?? null))
    );
  }
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key] ?? null, b[key] ?? null))
  );
}
