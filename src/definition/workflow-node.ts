/** One sub-environment of a workflow file. */
import type { NodeDefinition, RetryRule } from '../model/index.ts';
import { errorClasses, redeployPolicies } from '../model/index.ts';
import { recordPositions } from './positions.ts';
import { neverRetried } from './retry.ts';
import type { Fields, Found, Issues, Located, Part, Piece } from './schema.ts';
import { addIssue, addKeyIssue, addTypeIssue, derived, guarded, list, located, mapping, shorthand } from './schema.ts';
import { boolean, decimal, duration, flag, integer, oneOf, pattern, plainText, text } from './schema-values.ts';
import { listed, quote } from './text.ts';
import { kindBlocks, kindKeys, kindOfKey, templateOfKind } from './node-kinds.ts';
import type { WorkflowFormat } from './workflow-formats.ts';
import { inFormats } from './workflow-formats.ts';
import { collisions, inputs, steering, variables } from './workflow-variables.ts';
import { revision, vcs } from './workflow-vcs.ts';
import { isAbsent } from './yaml-tree.ts';

/** A node with the places its later checks speak about. */
export interface ReadNode {
  readonly definition: NodeDefinition;
  readonly needs: readonly Located<string>[];
}

function texts(example: string): Piece<Located<string>[]> {
  return list(located(plainText), { expected: `a list, such as ${example}` });
}

const retriable: readonly string[] = errorClasses.filter((known) => !neverRetried.includes(known));

const classes = derived(texts('[quota, provider]'), (read, _, issues) => {
  for (const { value, position } of read) {
    if (retriable.includes(value)) continue;
    const why = (neverRetried as readonly string[]).includes(value)
      ? `${value} errors do not pass by themselves`
      : `${quote(value)} is no class of errors`;
    addIssue(issues, (name) => `${name}: ${why}; it can be ${listed(retriable)}`, { position });
  }
  return read.map(({ value }) => value);
});

const barriers = derived(texts('[before-switch]'), (read, _, issues) => {
  const names = new Set<string>();
  for (const { value, position } of read) {
    if (value.trim() === '' || value.length > 200)
      addIssue(issues, () => `the name of a barrier has 1 to 200 characters, not text of ${value.length}`, {
        position,
      });
    else if (names.has(value))
      addIssue(issues, () => `the barrier ${quote(value)} is listed twice; a sub-environment crosses it once`, {
        position,
      });
    names.add(value);
  }
  return [...names];
});

const tries = integer(0, 20);

const retry = shorthand(
  derived(tries, (maximum): RetryRule => ({ maximum, intervalSeconds: 10, backoff: 2 })),
  mapping(
    {
      maximum: tries,
      interval: duration(0, 86_400).optional(),
      backoff: decimal(1, 10).optional(),
      onlyWhenMatches: pattern.optional(),
      classes: classes.optional(),
    },
    {
      naming: (key, name) => `${key} in ${name}`,
      missing: { maximum: '; say how often to try again, such as maximum: 3' },
    },
    ({ maximum = 0, interval: intervalSeconds = 10, backoff = 2, ...rest }, { issues }): RetryRule | undefined =>
      issues.length > 0 ? undefined : { maximum, intervalSeconds, backoff, ...rest },
  ),
);

const env0 = {
  name: text({ longest: 200 }),
  templateName: text({ longest: 200 }).optional(),
  vcs: vcs.env0.optional(),
  needs: texts('[vpc]').optional(),
  revision: revision.optional(),
  workspace: text({ longest: 200 }).optional(),
  requiresApproval: boolean.optional(),
  disabled: flag.optional(),
};
const windlass = {
  // The alias does when there is none.
  name: env0.name.optional(),
  vcs: vcs.windlass.optional(),
  // Not known to the compiler: `templateOfKind` reads them.
  ...(kindBlocks as object),
  variables: variables.optional(),
  inputs: inputs.optional(),
  redeploy: oneOf(redeployPolicies).optional(),
  timeout: duration(1, 604_800).optional(),
  retry: retry.optional(),
  ttl: duration(1, 87_600 * 3600).optional(),
  barriers: barriers.optional(),
};
type NodeFields = Fields<Omit<typeof env0, keyof typeof windlass> & typeof windlass>;

const fields = inFormats({ env0, windlass }, (read: NodeFields, found, format): ReadNode => {
  checkKind(found, format);
  checkGiven(read, found);
  return makeNode(found.part, read);
});

/** Sub-environments by alias. Even a broken one is answered, so that what refers to it is not reported as unknown. */
export const subEnvironment = { env0: guardedNode(fields.env0), windlass: guardedNode(fields.windlass) };

function guardedNode(schema: Piece<ReadNode>): Piece<ReadNode> {
  return guarded(schema, (part, issues) => {
    const alias = part.entry?.key ?? '';
    if (alias.trim() === '') addIssue(issues, () => 'the alias of a sub-environment is empty', { at: 'key' });
    if (alias.length > 200)
      addIssue(issues, () => `the alias ${quote(alias)} has ${alias.length} characters; at most 200 are allowed`, {
        at: 'key',
      });
    if (part.node.kind === 'map') return true;
    if (isAbsent(part.node))
      addIssue(issues, (name) => `${name} says nothing; give it a templateName or vcs`, { at: 'key' });
    else addTypeIssue(issues, part.node, 'a mapping');
    return makeNode(part);
  });
}

function makeNode(part: Part, read: NodeFields = {}): ReadNode {
  const { key: alias, keyPosition: position } = part.entry ?? { key: '', keyPosition: part.node.position };
  const { needs = [], templateName, vcs: code } = read;
  const definition: NodeDefinition = {
    alias,
    name: read.name ?? alias,
    templateName,
    inline: code ?? templateOfKind({ ...read }),
    needs: [...new Set(needs.map((need) => need.value))],
    revision: read.revision,
    workspace: read.workspace,
    requiresApproval: read.requiresApproval,
    disabled: read.disabled ?? false,
    variables: read.variables ?? [],
    inputs: read.inputs ?? [],
    redeploy: read.redeploy ?? 'always',
    timeoutSeconds: read.timeout,
    retry: read.retry,
    ttlSeconds: read.ttl,
    barriers: read.barriers ?? [],
    position,
  };
  recordPositions(definition, part.node);
  return { definition, needs };
}

/** Exactly one of them says what a node is. */
const whatItIs = { env0: ['templateName', 'vcs'], windlass: ['templateName', 'vcs', ...kindKeys] };
const keysOfKinds = new Set(['name', 'needs', 'disabled', ...whatItIs.windlass]);
const forKinds = 'name, needs and disabled';
/** Keys that a node without a tool cannot have. */
const stackKeys = new Set(Object.keys({ ...env0, ...windlass }).filter((key) => !keysOfKinds.has(key)));

function checkKind({ node, issues }: Found, format: WorkflowFormat): void {
  const given = node.entries.flatMap(({ key, value }) =>
    whatItIs[format].includes(key) && !isAbsent(value) ? [key] : [],
  );
  const second = given[1];
  if (given.length === 0)
    addIssue(issues, (name) => `${name} says nothing to deploy; give it a templateName or vcs`, { at: 'key' });
  if (second !== undefined) {
    const [one, other] = whatItIs.windlass.filter((key) => given.slice(0, 2).includes(key));
    addKeyIssue(issues, second, (name) => `${name} has both ${one} and ${other}; keep one`);
  }
  const title = given.map(kindOfKey).find((kind) => kind !== undefined)?.title;
  if (title === undefined) return;
  for (const { key, value } of node.entries) {
    if (stackKeys.has(key) && !isAbsent(value))
      addKeyIssue(issues, key, (name) => `${name} is ${title} and cannot have ${quote(key)}; it takes ${forKinds}`);
  }
}

function checkGiven({ templateName, variables: own = [], inputs: read = [] }: NodeFields, { issues }: Found): void {
  for (const { name: key } of collisions({ variables: own, inputs: read }))
    addIssue(issues, (name) => `${name} is set under variables too; keep one`, { path: ['inputs', key], at: 'key' });
  if (templateName === undefined) return;
  for (const { name: key } of steering(own)) addSteeringIssue(issues, ['variables', key]);
  for (const { name: key } of steering(read)) addSteeringIssue(issues, ['inputs', key]);
}

function addSteeringIssue(issues: Issues, [where, key]: readonly [string, string]): void {
  addIssue(
    issues,
    (name) =>
      `${name} may not set ${quote(key)}: it decides what tools run, and the template belongs to the project; set it there (windlass variable set ${key} --env --template …)`,
    { path: [where, key], at: 'key', whole: true },
  );
}
