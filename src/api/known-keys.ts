import { z } from 'zod';

/** How deep a schema is looked into: one that contains itself has no end. */
const deepest = 20;

function wrapped(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional':
    case 'nonoptional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
      return [def.innerType];
    case 'pipe':
      return [def.in];
    case 'lazy':
      return [def.getter()];
    case 'union':
      return def.options;
    case 'intersection':
      return [def.left, def.right];
    default:
      return [];
  }
}

/** The schemas without what is wrapped around them; of a choice all. */
function plain(schema: z.core.$ZodType, depth = 0): z.core.$ZodType[] {
  if (depth > deepest) return [];
  const inner = wrapped(schema);
  return inner.length === 0 ? [schema] : inner.flatMap((one) => plain(one, depth + 1));
}

function below(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object': {
      const field = def.shape[String(part)];
      return field === undefined ? [] : plain(field);
    }
    case 'array':
      return plain(def.element);
    case 'record':
      return plain(def.valueType);
    default:
      return [];
  }
}

/** Names of the fields that a schema knows at a path, for suggestions. */
export function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let here = plain(schema);
  for (const part of path) here = here.flatMap((one) => below(one, part));
  const names = here.flatMap((one) => (one instanceof z.ZodObject ? Object.keys(one.shape) : []));
  return [...new Set(names)];
}
