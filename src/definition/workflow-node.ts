/** One sub-environment of a workflow file. */
import type { NodeDefinition, Position, RetryRule } from '../model/index.ts';
import { errorClasses, redeployPolicies } from '../model/index.ts';
import { patternProblem } from './pattern.ts';
import { recordPositions } from './positions.ts';
import { neverRetried } from './retry.ts';
import { listed, quote } from './text.ts';
import type { FileContext } from './workflow-context.ts';
import { checkCollisions, checkSteering, readInputs, readVariables } from './workflow-variables.ts';
import { readApproval } from './workflow-approval.ts';
import { readVcs } from './workflow-vcs.ts';
import type { Fields, TextItem } from './yaml-reader.ts';
import {
  isAbsent,
  readBoolean,
  readDuration,
  readFields,
  readInteger,
  readOneOf,
  readPlain,
  readText,
  readTexts,
  wrong,
} from './yaml-reader.ts';
import type { YamlEntry, YamlNode } from './yaml-tree.ts';
import { describeNode } from './yaml-tree.ts';

const env0Keys = ['name', 'templateName', 'vcs', 'needs', 'revision', 'workspace', 'requiresApproval', 'disabled'];
const windlassKeys = [
  ...env0Keys,
  'approval',
  'variables',
  'inputs',
  'redeploy',
  'timeout',
  'retry',
  'ttl',
  'barriers',
];
/** Exactly one of them says what a node is. */
const whatItIs = ['templateName', 'vcs', 'approval'];
const longestAlias = 200;
const longestTimeout = 604_800;
const longestTtl = 87_600 * 3600;

/** A node with the places its later checks speak about. `complete` is false when a problem left something out. */
export interface ReadNode {
  readonly definition: NodeDefinition;
  readonly needs: readonly TextItem[];
}

/** Reads a node. Even a broken one is answered, so that what refers to it is not reported as unknown. */
export function readNode(context: FileContext, entry: YamlEntry): ReadNode {
  const { problems, windlass } = context;
  const alias = entry.key;
  const of = `sub-environment ${quote(alias)}`;
  if (alias.trim() === '') problems.add(entry.keyPosition, 'the alias of a sub-environment is empty');
  if (alias.length > longestAlias)
    problems.add(
      entry.keyPosition,
      `the alias ${quote(alias)} has ${alias.length} characters; at most ${longestAlias} are allowed`,
    );
  if (isAbsent(entry.value)) {
    problems.add(entry.keyPosition, `${of} says nothing; give it a templateName or vcs`);
    return broken(entry);
  }
  if (entry.value.kind !== 'map') {
    wrong(context, entry.value, of, 'a mapping');
    return broken(entry);
  }
  const fields = readFields(context, entry.value, {
    what: of,
    known: windlass ? windlassKeys : env0Keys,
    elsewhere: (key) => (!windlass && windlassKeys.includes(key) ? '; only windlass.workflow.yml has it' : undefined),
  });
  const text = (key: string, longest: number): string | undefined => {
    const field = fields.get(key);
    return field === undefined
      ? undefined
      : (readText(context, field.value, { what: `${key} of ${of}`, longest }) ?? undefined);
  };
  const templateName = text('templateName', 200);
  const vcs = fields.get('vcs');
  checkTemplate(context, fields, { of, entry });
  const gate = fields.get('approval');
  const inline = (vcs && readVcs(context, vcs.value, of)) ?? (gate && readApproval(context, fields, of)) ?? undefined;
  const needsEntry = fields.get('needs');
  const needs =
    needsEntry === undefined ? [] : readTexts(context, needsEntry.value, { what: `needs of ${of}`, example: '[vpc]' });
  const approval = fields.get('requiresApproval');
  const variablesEntry = fields.get('variables');
  const inputsEntry = fields.get('inputs');
  const variables = variablesEntry === undefined ? [] : readVariables(context, variablesEntry.value, of);
  const inputs = inputsEntry === undefined ? [] : readInputs(context, inputsEntry.value, of);
  checkCollisions(context, { of, inputs, variables, keys: keyPositions(inputsEntry?.value) });
  if (templateName !== undefined) {
    const keys = new Map([...keyPositions(variablesEntry?.value), ...keyPositions(inputsEntry?.value)]);
    checkSteering(context, { of, given: [...variables, ...inputs], keys });
  }
  const redeploy = fields.get('redeploy');
  const retry = fields.get('retry');
  const revision = text('revision', 250);
  if (revision?.startsWith('-'))
    problems.add(fields.get('revision')?.value.position, `revision of ${of} begins with "-"`);
  const definition: NodeDefinition = {
    alias,
    name: readName(context, fields, { of, entry }) ?? alias,
    templateName,
    inline,
    needs: [...new Set(needs.map((need) => need.text))],
    revision,
    workspace: text('workspace', 200),
    requiresApproval: (approval && readBoolean(context, approval.value, `requiresApproval of ${of}`)) ?? undefined,
    disabled: readDisabled(context, fields, of),
    variables,
    inputs,
    redeploy:
      (redeploy && readOneOf(context, redeploy.value, { what: `redeploy of ${of}`, choices: redeployPolicies })) ??
      'always',
    timeoutSeconds: readSeconds(context, fields, { key: 'timeout', of, maximum: longestTimeout }),
    retry: (retry && readRetry(context, retry.value, `retry of ${of}`)) ?? undefined,
    ttlSeconds: readSeconds(context, fields, { key: 'ttl', of, maximum: longestTtl }),
    barriers: readBarriers(context, fields, of),
    position: entry.keyPosition,
  };
  const positions = new Map([...fields.values()].map((field) => [field.key, field.value.position]));
  const block = vcs?.value;
  if (block?.kind === 'map') {
    for (const { key, value } of block.entries) positions.set(`vcs.${key}`, value.position);
  }
  recordPositions(definition, positions);
  return { definition, needs };
}

interface NodePlace {
  readonly of: string;
  readonly entry: YamlEntry;
}

function broken(entry: YamlEntry): ReadNode {
  const definition: NodeDefinition = {
    alias: entry.key,
    name: entry.key,
    templateName: undefined,
    inline: undefined,
    needs: [],
    revision: undefined,
    workspace: undefined,
    requiresApproval: undefined,
    disabled: false,
    variables: [],
    inputs: [],
    redeploy: 'always',
    timeoutSeconds: undefined,
    retry: undefined,
    ttlSeconds: undefined,
    barriers: [],
    position: entry.keyPosition,
  };
  return { definition, needs: [] };
}

function readName(context: FileContext, fields: Fields, { of, entry }: NodePlace): string | undefined {
  const field = fields.get('name');
  if (field !== undefined) return readText(context, field.value, { what: `name of ${of}`, longest: 200 }) ?? undefined;
  // The other format wants it; here the alias does.
  if (!context.windlass) context.problems.add(entry.keyPosition, `${of} has no name`);
  return undefined;
}

function checkTemplate(context: FileContext, fields: Fields, { of, entry }: NodePlace): void {
  const template = fields.get('templateName');
  const vcs = fields.get('vcs');
  if (template === undefined && vcs === undefined && !fields.has('approval'))
    context.problems.add(entry.keyPosition, `${of} says nothing to deploy; give it a templateName or vcs`);
  const [first, second] = [template, vcs, fields.get('approval')]
    .filter((field) => field !== undefined)
    .toSorted((a, b) => a.keyPosition.line - b.keyPosition.line);
  if (first === undefined || second === undefined) return;
  const [one, other] = whatItIs.filter((key) => [first.key, second.key].includes(key));
  context.problems.add(second.keyPosition, `${of} has both ${one} and ${other}; keep one`);
}

function keyPositions(node: YamlNode | undefined): ReadonlyMap<string, Position> {
  return new Map(node?.kind === 'map' ? node.entries.map((entry) => [entry.key, entry.keyPosition]) : []);
}

/** A boolean, or text that is one when its variables are resolved; open text counts as false. */
function readDisabled(context: FileContext, fields: Fields, of: string): boolean {
  const field = fields.get('disabled');
  if (field === undefined) return false;
  const { value } = field;
  const what = `disabled of ${of}`;
  if (value.kind !== 'scalar' || typeof value.value !== 'string') return readBoolean(context, value, what) ?? false;
  const text = readText(context, value, { what });
  if (text === null) return false;
  if (context.variables === undefined && text.includes('${')) return false;
  if (/^(true|false)$/i.test(text.trim())) return text.trim().toLowerCase() === 'true';
  const gives = text === value.value ? `is ${quote(text)}` : `is ${quote(value.value)}, which gives ${quote(text)}`;
  context.problems.add(
    value.position,
    `${what} ${gives}; it has to be true, false or a \${VARIABLE} that is one of them`,
  );
  return false;
}

function readSeconds(
  context: FileContext,
  fields: Fields,
  options: { readonly key: string; readonly of: string; readonly maximum: number },
): number | undefined {
  const { key, of, maximum } = options;
  const field = fields.get(key);
  return field === undefined
    ? undefined
    : (readDuration(context, field.value, { what: `${key} of ${of}`, minimum: 1, maximum }) ?? undefined);
}

function readRetry(context: FileContext, node: YamlNode, what: string): RetryRule | null {
  const standard = { intervalSeconds: 10, backoff: 2 };
  if (node.kind === 'scalar') {
    const maximum = readInteger(context, node, { what, minimum: 0, maximum: 20 });
    return maximum === null ? null : { maximum, ...standard };
  }
  const before = context.problems.count;
  const fields = readFields(context, node, {
    what,
    known: ['maximum', 'interval', 'backoff', 'onlyWhenMatches', 'classes'],
  });
  const maximum = fields.get('maximum');
  const interval = fields.get('interval');
  const backoff = fields.get('backoff');
  const pattern = fields.get('onlyWhenMatches');
  const classes = fields.get('classes');
  if (node.kind === 'map' && maximum === undefined)
    context.problems.add(node.position, `${what} has no maximum; say how often to try again, such as maximum: 3`);
  const rule: RetryRule = {
    maximum:
      (maximum && readInteger(context, maximum.value, { what: `maximum in ${what}`, minimum: 0, maximum: 20 })) ?? 0,
    intervalSeconds:
      (interval &&
        readDuration(context, interval.value, { what: `interval in ${what}`, minimum: 0, maximum: 86_400 })) ??
      standard.intervalSeconds,
    backoff: (backoff && readBackoff(context, backoff.value, `backoff in ${what}`)) ?? standard.backoff,
    onlyWhenMatches: (pattern && readPattern(context, pattern.value, `onlyWhenMatches in ${what}`)) ?? undefined,
    classes: classes && readClasses(context, classes.value, `classes in ${what}`),
  };
  return context.problems.count > before ? null : rule;
}

function readBackoff(context: FileContext, node: YamlNode, what: string): number | null {
  if (node.kind === 'scalar' && typeof node.value === 'number' && node.value >= 1 && node.value <= 10)
    return node.value;
  context.problems.add(node.position, `${what} has to be a number between 1 and 10`);
  return null;
}

function readPattern(context: FileContext, node: YamlNode, what: string): string | null {
  const pattern = readPlain(context, node, what);
  if (pattern === null) return null;
  const problem = patternProblem(pattern);
  if (problem === null) return pattern;
  context.problems.add(node.position, `${what}: ${problem}`);
  return null;
}

function readClasses(context: FileContext, node: YamlNode, what: string): string[] {
  const possible = errorClasses.filter((known) => !neverRetried.includes(known));
  return readTexts(context, node, { what, example: '[quota, provider]' }).map(({ text, position }) => {
    if (!(possible as readonly string[]).includes(text)) {
      const why = (neverRetried as readonly string[]).includes(text)
        ? `${text} errors do not pass by themselves`
        : `${quote(text)} is no class of errors`;
      context.problems.add(position, `${what}: ${why}; it can be ${listed(possible)}`);
    }
    return text;
  });
}

function readBarriers(context: FileContext, fields: Fields, of: string): string[] {
  const field = fields.get('barriers');
  if (field === undefined) return [];
  const what = `barriers of ${of}`;
  const names = new Set<string>();
  for (const { text, position } of readTexts(context, field.value, { what, example: '[before-switch]' })) {
    if (text.trim() === '' || text.length > 200)
      context.problems.add(
        position,
        `the name of a barrier has 1 to 200 characters, not ${describeNode({ kind: 'scalar', value: text, text, position })} of ${text.length}`,
      );
    else if (names.has(text))
      context.problems.add(position, `the barrier ${quote(text)} is listed twice; a sub-environment crosses it once`);
    names.add(text);
  }
  return [...names];
}
