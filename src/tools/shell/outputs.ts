import { lstatSync } from 'node:fs';
import { z } from 'zod';
import { variableNameSchema, variableTypeSchema } from '../../model/index.ts';
import type { VariableType, VariableValue } from '../../model/index.ts';
import { readPlainFile } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import type { Output, Outputs } from '../runner.ts';

const namedOutputSchema = z.strictObject({
  name: variableNameSchema,
  value: z.json(),
  type: variableTypeSchema.optional(),
  sensitive: z.boolean().default(false),
});
const outputObjectSchema = z.record(variableNameSchema, z.json());

const largestFile = 4 * 1024 * 1024;

function typeOf(value: VariableValue): VariableType {
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (Array.isArray(value)) return 'list';
  return typeof value === 'object' && value !== null ? 'map' : 'text';
}

function unreadable(line: number, why: string): ToolError {
  return new ToolError(
    {
      class: 'definition',
      message: `line ${line} of the output file: ${why}`,
      hint: 'Write NAME=VALUE, {"name": "vpc_id", "value": "vpc-1", "sensitive": false} or {"vpc_id": "vpc-1"} on each line of $WINDLASS_OUTPUT.',
    },
    true,
  );
}

/**
 * Reads what a script wrote to $WINDLASS_OUTPUT: `NAME=VALUE`, one named output as a JSON object, or several as one.
 * The last one of a name counts. Throws a ToolError that names the line; its text is not shown, as it may be secret.
 */
export function parseOutputs(text: string): Outputs {
  const outputs = new Map<string, Output>();
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return;
    if (line.startsWith('{')) {
      let json: unknown;
      try {
        json = JSON.parse(line);
      } catch {
        throw unreadable(index + 1, 'it starts with "{" and is no JSON object');
      }
      const named = namedOutputSchema.safeParse(json);
      if (named.success) {
        const { name, value, type, sensitive } = named.data;
        outputs.set(name, { name, value, type: type ?? typeOf(value), sensitive });
        return;
      }
      const several = outputObjectSchema.safeParse(json);
      if (!several.success) throw unreadable(index + 1, 'its names are no names of outputs');
      for (const [name, value] of Object.entries(several.data)) {
        outputs.set(name, { name, value, type: typeOf(value), sensitive: false });
      }
      return;
    }
    const equals = raw.indexOf('=');
    const name = variableNameSchema.safeParse(raw.slice(0, Math.max(equals, 0)).trim());
    if (equals < 1 || !name.success) throw unreadable(index + 1, 'it is neither NAME=VALUE nor a JSON object');
    const value = raw.slice(equals + 1).replace(/\r$/, '');
    outputs.set(name.data, { name: name.data, value, type: 'text', sensitive: false });
  });
  return [...outputs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Outputs of a script that has ended; none when it wrote no file. */
export function readOutputs(path: string): Outputs {
  const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > largestFile) throw unreadable(1, `the file has ${size} bytes, more than ${largestFile}`);
  return parseOutputs(readPlainFile(path)?.toString('utf8') ?? '');
}
