import { z } from 'zod';
import type { ChangeCounts, Plan, ResourceAction, ResourceChange } from '../../model/index.ts';

const changeSchema = z.object({
  actions: z.array(z.string()),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
  before_sensitive: z.unknown().optional(),
  after_sensitive: z.unknown().optional(),
  after_unknown: z.unknown().optional(),
});
type Change = z.infer<typeof changeSchema>;

const resourceChangeSchema = z.looseObject({
  address: z.string(),
  type: z.string().default(''),
  mode: z.string().default('managed'),
  change: changeSchema,
});
type RawResourceChange = z.infer<typeof resourceChangeSchema>;

const planSchema = z.object({
  format_version: z.string().optional(),
  terraform_version: z.string().optional(),
  resource_changes: z.array(resourceChangeSchema).default([]),
  resource_drift: z.array(resourceChangeSchema).default([]),
  output_changes: z.record(z.string(), changeSchema).default({}),
  checks: z.unknown().optional(),
  timestamp: z.string().optional(),
  errored: z.boolean().optional(),
});

const hidden = '(sensitive value)';
const unknown = '(known after apply)';
/** Longest text kept of one attribute. */
const longestText = 2000;
/** Most attributes or items kept of one value. */
const mostEntries = 200;

export function planAction(actions: readonly string[]): ResourceAction {
  if (actions.length === 2) return 'replace';
  switch (actions[0]) {
    case 'create':
    case 'update':
    case 'delete':
    case 'read':
      return actions[0];
    default:
      return 'noop';
  }
}

function part(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[key] : undefined;
}

/** Replaces what the tool marks as sensitive or unknown, wherever it is. */
function conceal(value: unknown, sensitive: unknown, notYet: unknown): unknown {
  if (sensitive === true) return hidden;
  if (notYet === true) return unknown;
  if (Array.isArray(value)) return value.map((item: unknown, i) => conceal(item, part(sensitive, i), part(notYet, i)));
  if (typeof value === 'object' && value !== null) {
    const keys = new Set(Object.keys(value));
    if (typeof notYet === 'object' && notYet !== null) {
      for (const key of Object.keys(notYet)) if (part(notYet, key) === true) keys.add(key);
    }
    return Object.fromEntries(
      [...keys].map((key) => [key, conceal(part(value, key), part(sensitive, key), part(notYet, key))]),
    );
  }
  return value ?? null;
}

function concealChange(change: Change): Change {
  return {
    actions: change.actions,
    before: conceal(change.before, change.before_sensitive, undefined),
    after: conceal(change.after, change.after_sensitive, change.after_unknown),
  };
}

/** Cuts long texts and lists, so that a record of a plan stays small. */
function shorten(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return value.length > longestText ? `${value.slice(0, longestText)}…` : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 20) return '…';
  if (Array.isArray(value)) return value.slice(0, mostEntries).map((item: unknown) => shorten(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, mostEntries)
      .map(([key, item]) => [key, shorten(item, depth + 1)]),
  );
}

/** Of a change, only the attributes that differ. */
function differing(before: unknown, after: unknown): { before: unknown; after: unknown } {
  if (typeof before !== 'object' || typeof after !== 'object' || before === null || after === null)
    return { before, after };
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => JSON.stringify(part(before, key)) !== JSON.stringify(part(after, key)),
  );
  const pick = (value: object) =>
    Object.fromEntries(keys.filter((key) => key in value).map((key) => [key, part(value, key)]));
  return { before: pick(before), after: pick(after) };
}

function toResourceChange(raw: RawResourceChange): ResourceChange {
  const concealed = concealChange(raw.change);
  const { before, after } = differing(concealed.before, concealed.after);
  return {
    address: raw.address,
    type: raw.type,
    action: planAction(raw.change.actions),
    before: shorten(before),
    after: shorten(after),
  };
}

export interface ParsedPlan {
  readonly plan: Plan;
  /** Resources that changed behind the tool's back: `before` is recorded, `after` is real. */
  readonly drift: readonly ResourceChange[];
  /** The plan without anything the tool calls sensitive, and without state, variables and configuration. */
  readonly json: unknown;
}

/**
 * Reads `show -json PLANFILE`. Throws a ZodError when it is not a plan.
 * @param options.hasChanges As the tool's exit code says; it also counts outputs.
 */
export function parsePlanJson(
  json: unknown,
  options: { readonly hasChanges: boolean; readonly state: Plan['state'] },
): ParsedPlan {
  const raw = planSchema.parse(json);
  const managed = raw.resource_changes.filter((change) => change.mode === 'managed');
  const all = raw.resource_changes.map(toResourceChange).filter((change) => change.action !== 'noop');
  const counts: ChangeCounts = { add: 0, change: 0, destroy: 0 };
  for (const { change } of managed) {
    const action = planAction(change.actions);
    if (action === 'create' || action === 'replace') counts.add++;
    if (action === 'update') counts.change++;
    if (action === 'delete' || action === 'replace') counts.destroy++;
  }
  const concealAll = (changes: readonly RawResourceChange[]) =>
    changes.map((change) => ({ ...change, change: concealChange(change.change) }));
  return {
    plan: { counts, hasChanges: options.hasChanges, resources: all, state: options.state },
    drift: raw.resource_drift.map(toResourceChange).filter((change) => change.action !== 'noop'),
    json: {
      ...raw,
      resource_changes: concealAll(raw.resource_changes),
      resource_drift: concealAll(raw.resource_drift),
      output_changes: Object.fromEntries(
        Object.entries(raw.output_changes).map(([name, change]) => [name, concealChange(change)]),
      ),
    },
  };
}
