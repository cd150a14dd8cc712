/** Values of variables and outputs: their types, and taking one type for another where nothing is lost. */
import type { VariableType, VariableValue } from '../model/index.ts';

export type TypedValue =
  | { readonly value: VariableValue; readonly problem: null }
  /** Says what is wrong without the value, which may be a secret. */
  | { readonly value: null; readonly problem: string };

const a: Record<VariableType, string> = {
  text: 'text',
  number: 'a number',
  boolean: 'true or false',
  list: 'a list',
  map: 'a map',
};

/** The type that a JSON value has by itself; null has none and counts as text. */
export function typeOfValue(value: VariableValue): VariableType {
  switch (typeof value) {
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'object':
      if (value === null) return 'text';
      return Array.isArray(value) ? 'list' : 'map';
    default:
      return 'text';
  }
}

/** `a number`, `a list`… */
export function describeType(type: VariableType): string {
  return a[type];
}

/**
 * The value as the type wants it. Text is read as a number, `true`/`false`, or JSON of a list or map; numbers and booleans
 * are written out as text. Anything else is a problem.
 */
export function readValue(type: VariableType, value: VariableValue): TypedValue {
  const own = typeOfValue(value);
  if (value !== null && own === type) return checkNumber(value);
  if (typeof value === 'string') return readText(type, value);
  if (type === 'text' && (own === 'number' || own === 'boolean')) return { value: String(value), problem: null };
  return {
    value: null,
    problem: value === null ? `has no value, but has to be ${a[type]}` : `is ${a[own]}, but has to be ${a[type]}`,
  };
}

function checkNumber(value: VariableValue): TypedValue {
  if (typeof value !== 'number') return { value, problem: null };
  if (!Number.isFinite(value)) return { value: null, problem: 'is not a finite number' };
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return { value: null, problem: 'is a number too large to be kept exactly; make it text' };
  }
  return { value, problem: null };
}

function readText(type: VariableType, text: string): TypedValue {
  const bad: TypedValue = { value: null, problem: `has to be ${a[type]}, but is other text` };
  switch (type) {
    case 'text':
      return { value: text, problem: null };
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? checkNumber(Number(text)) : bad;
    case 'boolean':
      return text === 'true' || text === 'false' ? { value: text === 'true', problem: null } : bad;
    case 'list':
    case 'map': {
      const json = readJson(text);
      const word = type === 'list' ? 'a JSON array' : 'a JSON object';
      if (
        json === undefined ||
        json === null ||
        typeof json !== 'object' ||
        Array.isArray(json) !== (type === 'list')
      ) {
        return { value: null, problem: `has to be ${a[type]}: ${word}, but is other text` };
      }
      return { value: json, problem: null };
    }
  }
}

function readJson(text: string): VariableValue | undefined {
  try {
    return JSON.parse(text) as VariableValue;
  } catch {
    return undefined;
  }
}

/** The value inside a text: JSON for lists and maps. */
export function writeValue(value: VariableValue): string {
  if (typeof value === 'string') return value;
  return value === null ? '' : JSON.stringify(value);
}
