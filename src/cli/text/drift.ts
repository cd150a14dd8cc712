import { isDeepStrictEqual } from 'node:util';
import type { ResourceChange } from '../../model/index.ts';
import { assertNever } from '../../model/index.ts';
import type { Glyphs } from './style.ts';
import { oneLine } from './width.ts';

const shownResources = 50;
const shownAttributes = 10;
const longestValue = 60;

/** What was changed behind the back of the code: each resource in a line, and for a changed one what it was and is. */
export function driftLines(resources: readonly ResourceChange[], { arrow }: Pick<Glyphs, 'arrow'>): string[] {
  const lines = resources
    .slice(0, shownResources)
    .flatMap((resource) => [driftLine(resource), ...attributeLines(resource, arrow)]);
  const more = resources.length - shownResources;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

/** One resource that is not as it was deployed. */
export function driftLine(resource: Pick<ResourceChange, 'address' | 'action'>): string {
  return `${wordOf(resource)} ${oneLine(resource.address)}`;
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

function attributeLines({ action, before, after }: ResourceChange, arrow: string): string[] {
  if (action !== 'update' && action !== 'replace') return [];
  if (!isRecord(before) || !isRecord(after)) return [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => !isDeepStrictEqual(before[name], after[name]),
  );
  const lines = names
    .slice(0, shownAttributes)
    .map((name) => `  ${oneLine(name)}: ${shown(before[name])} ${arrow} ${shown(after[name])}`);
  const more = names.length - shownAttributes;
  return more > 0 ? [...lines, `  … and ${more} more`] : lines;
}

function shown(value: unknown): string {
  const text = oneLine(JSON.stringify(value ?? null));
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text;
}
