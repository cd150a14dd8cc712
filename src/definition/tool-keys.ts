/** What tools add to the `vcs` block of a workflow file: words for their types, and keys. */
import type { TemplateConfig, TemplateType } from '../model/index.ts';
import { toolDefinitions } from '../tools/catalogue.ts';
import type { FileKey } from '../tools/catalogue.ts';
import type { Found, Piece } from './schema.ts';
import { addKeyIssue } from './schema.ts';
import { boolean, judge, plainText, text } from './schema-values.ts';
import { listed, quote } from './text.ts';
import type { WorkflowFormat } from './workflow-formats.ts';
import { has } from './yaml-tree.ts';

const tools = toolDefinitions();
const words = tools.flatMap((tool) => tool.words);
const shared = words.filter(({ ownFormat }) => ownFormat !== true);

/** Workflows in a workflow; no tool runs them. */
const ofWorkflows = { word: 'workflow', type: 'workflow' } as const;

/** What a type may be called. */
export const typeWords: Readonly<Record<WorkflowFormat, readonly string[]>> = {
  env0: shared.map(({ word }) => word),
  windlass: [...shared, ...words.filter(({ ownFormat }) => ownFormat === true), ofWorkflows].map(({ word }) => word),
};

export function typeOfWord(word: string): TemplateType | undefined {
  return [...words, ofWorkflows].find((each) => each.word === word)?.type;
}

interface ToolKey {
  readonly name: string;
  readonly key: FileKey;
  /** Of its tool. */
  readonly types: readonly string[];
}
const keys: readonly ToolKey[] = tools.flatMap((tool) =>
  Object.entries(tool.keys).map(([name, key]) => ({ name, key, types: tool.types })),
);

const script = plainText.check(
  judge((found) =>
    found.length > 20_000 ? ' has more than 20000 characters; put it in a file of its own' : undefined,
  ),
);
export const version = text({ longest: 50 });

function pieceOf(key: FileKey): Piece<unknown> {
  switch (key.value) {
    case 'version':
      return version;
    case 'script':
      return script;
    case 'flag':
      return boolean;
    case 'text': {
      const { oneOf } = key;
      return oneOf === undefined ? text() : text().check(judge((found) => notOneOf(found, oneOf)));
    }
  }
}

function notOneOf(found: string, oneOf: readonly string[]): string | undefined {
  if (oneOf.includes(found) || /^\$\{\w+\}$/.test(found)) return undefined;
  return ` is ${quote(found)}; it has to be ${listed(oneOf, 'or')}`;
}

/** Pieces for the keys of all tools, in a format: those that both have, or those that Windlass adds. */
export function toolKeys(format: WorkflowFormat): Readonly<Record<string, Piece<unknown>>> {
  const own = keys.filter(({ key }) => (key.ownFormat === true) === (format === 'windlass'));
  return Object.fromEntries(own.map(({ name, key }) => [name, pieceOf(key).optional() as Piece<unknown>]));
}

/** The settings of a template from those keys, and its version. */
export function toolSettings(
  fields: Readonly<Record<string, unknown>>,
  { node, issues }: Found,
  type: TemplateType | undefined,
): TemplateConfig {
  const ownVersion = keys.find(({ key }) => key.value === 'version' && key.type === type)?.name;
  if (ownVersion !== undefined && has(node, 'version') && has(node, ownVersion))
    addKeyIssue(issues, 'version', (name) => `${name} has both version and ${ownVersion}; keep one`);
  const settings: Record<string, unknown> = {};
  const extra: NonNullable<TemplateConfig['extra']> = {};
  for (const {
    name: key,
    key: { value },
    types,
  } of keys) {
    const found = fields[key];
    if (value === 'script') {
      settings[key] = found;
      if (type === undefined || types.includes(type) || !has(node, key)) continue;
      const whose = `the type ${listed(types, 'or')} runs`;
      addKeyIssue(issues, key, (name) => `${name} has ${key}, which only ${whose}`);
    } else if (value !== 'version' && (typeof found === 'string' || typeof found === 'boolean')) extra[key] = found;
  }
  const wanted = fields[has(node, 'version') ? 'version' : (ownVersion ?? '')];
  return {
    version: typeof wanted === 'string' ? closed(wanted) : undefined,
    ...settings,
    extra: Object.keys(extra).length === 0 ? undefined : extra,
  };
}

/** The installed version does when the file leaves it to the tool. */
function closed(wanted: string): string | undefined {
  return wanted === 'latest' || tools.some(({ openVersions }) => openVersions.includes(wanted)) ? undefined : wanted;
}
