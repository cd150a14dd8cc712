import { isDeepStrictEqual } from 'node:util';
import type { ResourceChange } from '../../model/index.ts';
import { assertNever } from '../../model/index.ts';
import type { Glyphs } from './style.ts';
import { oneLine } from './width.ts';

const shownResources = 50;
const shownAttributes = 10;
const longestValue = 60;

/** Says what the values of `driftLines` are. */
export function driftLegend({ arrow }: Pick<Glyphs, 'arrow'>): string {
  return `was ${arrow} is ${arrow} would be after a deploy`;
}

/** What is not as it was deployed: each resource in a line, and for a changed one what it was, is, and would be. */
export function driftLines(resources: readonly ResourceChange[], { arrow }: Pick<Glyphs, 'arrow'>): string[] {
  const lines = resources
    .slice(0, shownResources)
    .flatMap((resource) => [describe(resource), ...attributeLines(resource, arrow)]);
  const more = resources.length - shownResources;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

/** One resource that is not as it was deployed. */
export function driftLine(resource: Pick<ResourceChange, 'address' | 'action'>): string {
  return `${wordOf(resource)} ${oneLine(resource.address)}`;
}

function describe(resource: ResourceChange): string {
  const { action, before, after, planned, address } = resource;
  if (planned === undefined) return driftLine(resource);
  // Nobody has touched it: the code, or what it reads, wants something else now.
  if (isDeepStrictEqual(before ?? null, after ?? null)) {
    if (planned === null) return `left over ${oneLine(address)}, a deploy destroys it`;
    return before === null || before === undefined
      ? `missing ${oneLine(address)}, a deploy makes it`
      : `differs ${oneLine(address)}`;
  }
  if (action !== 'delete') return driftLine(resource);
  return `${driftLine(resource)}, a deploy ${planned === null ? 'leaves it so' : 'makes it anew'}`;
}

function wordOf({ action }: Pick<ResourceChange, 'action'>): string {
  switch (action) {
    case 'delete':
      return 'gone';
    case 'create':
      return 'new';
    case 'update':
    case 'replace':
      return 'changed';
    case 'read':
    case 'noop':
      return 'same';
    default:
      return assertNever(action, 'action');
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Values that only an apply would tell; the plan has this text in their place. */
const unknown = '(known after apply)';

function attributeLines({ action, before, after, planned }: ResourceChange, arrow: string): string[] {
  if (action !== 'update' && action !== 'replace') return [];
  if (!isRecord(before) || !isRecord(after)) return [];
  const next = isRecord(planned) ? planned : null;
  const differs = (name: string): boolean =>
    !isDeepStrictEqual(before[name], after[name]) ||
    (next !== null && next[name] !== unknown && !isDeepStrictEqual(after[name], next[name]));
  const names = [...new Set([before, after, next ?? {}].flatMap((values) => Object.keys(values)))].filter(differs);
  const lines = names.slice(0, shownAttributes).map((name) => {
    const values = [before[name], after[name], ...(next === null ? [] : [next[name]])];
    return `  ${oneLine(name)}: ${values.map(shown).join(` ${arrow} `)}`;
  });
  const more = names.length - shownAttributes;
  return more > 0 ? [...lines, `  … and ${more} more`] : lines;
}

function shown(value: unknown): string {
  if (value === unknown) return unknown;
  const text = oneLine(JSON.stringify(value ?? null));
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text;
}
