import type { VariableType, VariableValue } from '../../model/index.ts';
import type { Output, Outputs, ToolVariable } from '../runner.ts';
import type { OutputValue } from './events.ts';

function typeOfValue(value: VariableValue): VariableType {
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (Array.isArray(value)) return 'list';
  return typeof value === 'object' && value !== null ? 'map' : 'text';
}

/** Translates a type as the tool writes it, such as `["list","string"]`. */
export function variableTypeOf(type: unknown, value: VariableValue): VariableType {
  switch (Array.isArray(type) ? (type[0] as unknown) : type) {
    case 'string':
      return 'text';
    case 'number':
      return 'number';
    case 'bool':
      return 'boolean';
    case 'list':
    case 'set':
    case 'tuple':
      return 'list';
    case 'map':
    case 'object':
      return 'map';
    default:
      return typeOfValue(value);
  }
}

/** Sorted by name, so that two runs can be compared. */
export function toOutputs(values: Readonly<Record<string, OutputValue>>): Outputs {
  return Object.entries(values)
    .map(([name, { type, value, sensitive }]): Output => {
      const known = value ?? null;
      return { name, type: variableTypeOf(type, known), value: known, sensitive };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What to say of values that the stack has no variable for; null when there are none. The tool never sees those. */
export function describeUndeclared(variables: readonly ToolVariable[], declared: ReadonlySet<string>): string | null {
  const strangers = variables.filter(({ name, own }) => own === true && !declared.has(name)).map(({ name }) => name);
  if (strangers.length === 0) return null;
  const known = declared.size === 0 ? 'It declares none.' : `It declares: ${[...declared].sort().join(', ')}.`;
  return `Not used, since the stack declares no such variable: ${strangers.join(', ')}. ${known}\n`;
}

/** Text of the variables file: one value a line, so that a message about one cannot show another. */
export function variablesFile(variables: readonly ToolVariable[], declared: ReadonlySet<string>): string | null {
  const lines = variables
    .filter((variable) => declared.has(variable.name))
    .map((variable) => `  ${JSON.stringify(variable.name)}: ${JSON.stringify(variable.value)}`);
  return lines.length === 0 ? null : `{\n${lines.join(',\n')}\n}\n`;
}
