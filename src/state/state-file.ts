import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';

/** Largest state that is kept, in bytes. */
export const maxStateBytes = 64 * 1024 ** 2;

const instanceSchema = z.object({
  index_key: z.union([z.string(), z.number()]).nullish(),
  status: z.string().optional(),
  deposed: z.string().optional(),
  attributes: z.record(z.string(), z.unknown()).nullish(),
});

const resourceSchema = z.object({
  module: z.string().optional(),
  mode: z.string(),
  type: z.string(),
  name: z.string(),
  instances: z.array(instanceSchema).default([]),
});

/** Absent resources: the tool has encrypted them itself. */
const stateSchema = z.object({
  serial: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  lineage: z.string().min(1).max(200),
  resources: z.array(resourceSchema).optional(),
  outputs: z.record(z.string(), z.unknown()).optional(),
});
export type StateFile = z.infer<typeof stateSchema>;

export interface ParsedState {
  readonly serial: number;
  readonly lineage: string;
  /** Managed instances. */
  readonly resources: number;
  /** In hexadecimal. */
  readonly md5: string;
}

function refuse(why: string): never {
  throw new WindlassError('invalidInput', `this is not a Terraform or OpenTofu state: ${why}`, {
    hint: 'Only the tool itself should write to this address.',
  });
}

export function readState(body: Uint8Array): StateFile {
  if (!isUtf8(body)) refuse('it is not UTF-8 text');
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch {
    return refuse('it is not JSON');
  }
  const parsed = stateSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return refuse(`${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'not as expected'}`);
}

/** Throws `tooLarge` and `invalidInput`; the message never holds content. */
export function parseState(body: Uint8Array): ParsedState {
  if (body.byteLength > maxStateBytes) throw tooLarge();
  const state = readState(body);
  return { serial: state.serial, lineage: state.lineage, resources: instancesOf(state).size, md5: md5Of(body) };
}

function tooLarge(): WindlassError {
  return new WindlassError('tooLarge', 'the state is larger than 64 MiB and was not saved', {
    hint: 'Split the stack, or move large values out of its resources.',
  });
}

export function md5Of(body: Uint8Array): string {
  return createHash('md5').update(body).digest('hex');
}

interface Instance {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly status: string | undefined;
}

function instancesOf(state: StateFile): Map<string, Instance> {
  const found = new Map<string, Instance>();
  for (const { module, mode, type, name, instances } of state.resources ?? []) {
    if (mode !== 'managed') continue;
    for (const { index_key, deposed, attributes, status } of instances) {
      const key = index_key === undefined || index_key === null ? '' : `[${JSON.stringify(index_key)}]`;
      const address = `${module ? `${module}.` : ''}${type}.${name}${key}${deposed ? ` (deposed ${deposed})` : ''}`;
      found.set(address, { attributes: attributes ?? {}, status });
    }
  }
  return found;
}

export interface StateDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Names of attributes only: values may be secret. */
  readonly changed: readonly { readonly address: string; readonly attributes: readonly string[] }[];
  readonly outputs: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly string[];
  };
}

/** Two JSON values that differ only in the order of keys are the same. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? ''
  );
}

function changedKeys(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].filter((key) => canonical(before[key]) !== canonical(after[key])).sort();
}

/** What changed from one state to another, by address; tells no value. */
export function diffStates(before: StateFile, after: StateFile): StateDiff {
  for (const state of [before, after]) {
    if (state.resources) continue;
    throw new WindlassError(
      'invalidInput',
      `the state with serial ${state.serial} cannot be compared: the tool has encrypted it`,
      {
        hint: 'Compare it with the tool, which has the key.',
      },
    );
  }
  const old = instancesOf(before);
  const now = instancesOf(after);
  const changed = [...now].flatMap(([address, { attributes, status }]) => {
    const was = old.get(address);
    if (!was) return [];
    const names = changedKeys(was.attributes, attributes);
    if (was.status !== status) names.push('(tainted)');
    return names.length > 0 ? [{ address, attributes: names }] : [];
  });
  const outputsBefore = before.outputs ?? {};
  const outputsAfter = after.outputs ?? {};
  const outputNames = changedKeys(outputsBefore, outputsAfter);
  return {
    added: [...now.keys()].filter((address) => !old.has(address)).sort(),
    removed: [...old.keys()].filter((address) => !now.has(address)).sort(),
    changed: changed.sort((a, b) => (a.address < b.address ? -1 : 1)),
    outputs: {
      added: outputNames.filter((name) => !Object.hasOwn(outputsBefore, name)),
      removed: outputNames.filter((name) => !Object.hasOwn(outputsAfter, name)),
      changed: outputNames.filter((name) => Object.hasOwn(outputsBefore, name) && Object.hasOwn(outputsAfter, name)),
    },
  };
}

/**
 * The same state with another serial. Only that number is replaced in the text, since parsing and printing again would
 * round numbers that are larger than JavaScript's.
 */
export function withSerial(body: Uint8Array, serial: number): Uint8Array {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gy;
  const space = /\s*/gy;
  let depth = 0;
  let key: string | null = null;
  let last: string | null = null;
  let position = 0;
  while (position < text.length) {
    space.lastIndex = position;
    space.exec(text);
    token.lastIndex = space.lastIndex;
    const start = token.lastIndex;
    const [part] = token.exec(text) ?? [];
    if (part === undefined) break;
    position = token.lastIndex;
    if (key === 'serial' && depth === 1) {
      return Buffer.from(`${text.slice(0, start)}${serial}${text.slice(position)}`, 'utf8');
    }
    key = null;
    if (part === '{' || part === '[') depth++;
    else if (part === '}' || part === ']') depth--;
    else if (part === ':' && last !== null) key = String(JSON.parse(last));
    last = part.startsWith('"') ? part : null;
  }
  return refuse('it has no serial');
}
