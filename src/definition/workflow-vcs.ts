/** The `vcs` block of a node: a template that is written in the workflow file. */
import type { InlineTemplate, OwnSource, Source, TemplateConfig, TemplateType } from '../model/index.ts';
import { templateConfigSchema } from '../model/index.ts';
import { checkSourcePath, repositoryProblem } from './source-path.ts';
import { listed, quote } from './text.ts';
import type { Fields } from './yaml-reader.ts';
import { isAbsent, readBoolean, readFields, readPlain, readText, wrong } from './yaml-reader.ts';
import { describeNode } from './yaml-tree.ts';
import type { YamlNode } from './yaml-tree.ts';
import type { FileContext } from './workflow-context.ts';

const env0Types: Readonly<Record<string, TemplateType>> = {
  terraform: 'terraform',
  opentofu: 'opentofu',
  terragrunt: 'terragrunt',
  pulumi: 'pulumi',
  k8s: 'kubernetes',
  cloudformation: 'cloudformation',
  helm: 'helm',
  ansible: 'ansible',
};
const windlassTypes: Readonly<Record<string, TemplateType>> = {
  ...env0Types,
  kubernetes: 'kubernetes',
  shell: 'shell',
};

/** Which key holds the wanted version of each tool. */
const versionKeys: Readonly<Partial<Record<TemplateType, string>>> = {
  terraform: 'terraformVersion',
  opentofu: 'opentofuVersion',
  terragrunt: 'terragruntVersion',
  pulumi: 'pulumiVersion',
  ansible: 'ansibleVersion',
};

/** Say how a hosted service reaches the repository; Windlass takes the address and credentials by name instead. */
const providerFlags = [
  'isGitLab',
  'isGitLabEnterprise',
  'isGitHubEnterprise',
  'isBitbucketServer',
  'isAzureDevOps',
] as const;
const providerTexts = [
  'tokenId',
  'tokenName',
  'githubInstallationId',
  'bitbucketClientKey',
  'vcsConnectionId',
] as const;
const versionTexts = [
  'terraformVersion',
  'opentofuVersion',
  'terragruntVersion',
  'pulumiVersion',
  'ansibleVersion',
] as const;
const env0Keys = [
  'type',
  'repository',
  'revision',
  'path',
  ...versionTexts,
  'terragruntTfBinary',
  'fileName',
  'helmChartName',
  'isHelmRepository',
  ...providerTexts,
  'sshKeys',
  ...providerFlags,
];
const longestTexts: Readonly<Record<string, number>> = { version: 50, fileName: 300 };
const longestScript = 20_000;
const scripts = ['deployScript', 'destroyScript', 'planScript', 'driftScript'] as const;
const windlassKeys = [...env0Keys, ...scripts, 'version', 'credentials'];

/** Null when it cannot be used; the reasons are then among the problems. */
export function readVcs(context: FileContext, node: YamlNode, of: string): InlineTemplate | null {
  if (node.kind !== 'map') return wrong(context, node, `vcs of ${of}`, 'a mapping with a type');
  const what = `vcs of ${of}`;
  const { problems, windlass } = context;
  const before = problems.count;
  const fields = readFields(context, node, {
    what,
    known: windlass ? windlassKeys : env0Keys,
    elsewhere: (key) => (!windlass && windlassKeys.includes(key) ? '; only windlass.workflow.yml has it' : undefined),
  });
  const type = readType(context, fields, { node, what });
  const source = readSource(context, fields, { node, what });
  const config = readConfig(context, fields, { type, what, node });
  return type === null || source === null || config === null || problems.count > before
    ? null
    : { type, source, config };
}

interface Place {
  readonly node: YamlNode;
  readonly what: string;
}

function readType(context: FileContext, fields: Fields, { node, what }: Place): TemplateType | null {
  const { problems } = context;
  const types = context.windlass ? windlassTypes : env0Types;
  const entry = fields.get('type');
  if (entry === undefined) {
    problems.add(node.position, `${what} has no type; it is one of ${listed(Object.keys(types), 'or', 40)}`);
    return null;
  }
  const text = readText(context, entry.value, { what: `the type in ${what}` });
  if (text === null) return null;
  if (Object.hasOwn(types, text)) return types[text] ?? null;
  const { position } = entry.value;
  if (text === 'workflow') {
    problems.add(position, `${what} has the type workflow; a workflow cannot stand inside a workflow`);
  } else if (Object.hasOwn(windlassTypes, text)) {
    problems.add(position, `${what} has the type ${text}; only windlass.workflow.yml has it`);
  } else {
    const known = Object.keys(types);
    const hint = problems.suggest(text, known) || `; it is one of ${listed(known, 'or')}`;
    problems.add(position, `${what} has the unknown type ${quote(text)}${hint}`);
  }
  return null;
}

function readSource(context: FileContext, fields: Fields, { node, what }: Place): Source | OwnSource | null {
  const { problems, windlass } = context;
  const repository = fields.get('repository');
  const pathEntry = fields.get('path');
  const revisionEntry = fields.get('revision');
  const credentialsEntry = fields.get('credentials');
  if (repository === undefined && !windlass) problems.add(node.position, `${what} has no repository`);
  const address =
    repository === undefined
      ? null
      : readText(context, repository.value, { what: `the repository in ${what}`, longest: 2000 });
  const addressProblem = address === null || address.startsWith('${') ? null : repositoryProblem(address);
  if (repository !== undefined && addressProblem !== null)
    problems.add(repository.value.position, `${what}: ${addressProblem}`);
  const written =
    pathEntry === undefined
      ? '.'
      : readText(context, pathEntry.value, { what: `the path in ${what}`, mayBeEmpty: true });
  const revision =
    revisionEntry === undefined
      ? undefined
      : readText(context, revisionEntry.value, { what: `the revision in ${what}`, longest: 250 });
  const credentials =
    credentialsEntry === undefined
      ? undefined
      : readText(context, credentialsEntry.value, { what: `credentials in ${what}`, longest: 200 });
  if (revisionEntry !== undefined && typeof revision === 'string' && revision.startsWith('-')) {
    problems.add(revisionEntry.value.position, `the revision in ${what} begins with "-"`);
  }
  if (repository === undefined && windlass) {
    for (const entry of [revisionEntry, credentialsEntry]) {
      if (entry !== undefined)
        problems.add(
          entry.keyPosition,
          `${what} has ${quote(entry.key)} without a repository; code beside the file has the file's own revision`,
        );
    }
  }
  if (written === null || revision === null || credentials === null) return null;
  const checked = checkSourcePath(written, repository === undefined ? context.directory : '.');
  if (checked.problem !== null) {
    problems.add(pathEntry?.value.position ?? node.position, `${what}: ${checked.problem}`);
    return null;
  }
  if (repository === undefined) return { kind: 'own', path: checked.path };
  return address === null ? null : { kind: 'git', repository: address, revision, path: checked.path, credentials };
}

function readConfig(
  context: FileContext,
  fields: Fields,
  { type, what, node }: Place & { readonly type: TemplateType | null },
): TemplateConfig | null {
  const { problems } = context;
  const config: { -readonly [K in keyof TemplateConfig]: TemplateConfig[K] } = {};
  const extra = new Map<string, string | boolean>();
  const text = (key: string): string | undefined => {
    const entry = fields.get(key);
    const longest = longestTexts[key.endsWith('Version') ? 'version' : key];
    return entry === undefined
      ? undefined
      : (readText(context, entry.value, { what: `${key} in ${what}`, longest }) ?? undefined);
  };
  const wanted = type === null ? undefined : versionKeys[type];
  for (const key of versionTexts) {
    const version = text(key);
    if (key === wanted) config.version = openVersion(version);
  }
  const version = fields.get('version');
  if (version !== undefined) {
    if (wanted !== undefined && fields.has(wanted))
      problems.add(version.keyPosition, `${what} has both version and ${wanted}; keep one`);
    config.version = openVersion(text('version'));
  }
  config.fileName = text('fileName');
  const fileName = fields.get('fileName');
  if (fileName !== undefined && config.fileName !== undefined) {
    const checked = checkSourcePath(config.fileName);
    if (checked.problem !== null) problems.add(fileName.value.position, `fileName in ${what}: ${checked.problem}`);
  }
  // A script is the shell's business: its own ${…} stay as they are.
  for (const key of scripts) {
    const entry = fields.get(key);
    if (entry === undefined) continue;
    config[key] = readPlain(context, entry.value, `${key} in ${what}`) ?? undefined;
    if ((config[key]?.length ?? 0) > longestScript) {
      problems.add(
        entry.value.position,
        `${key} in ${what} has more than ${longestScript} characters; put it in a file of its own`,
      );
    }
    if (type !== null && type !== 'shell')
      problems.add(entry.keyPosition, `${what} has ${key}, which only the type shell runs`);
  }
  const chart = text('helmChartName');
  if (chart !== undefined) extra.set('helmChartName', chart);
  const binaryEntry = fields.get('terragruntTfBinary');
  const binary = text('terragruntTfBinary');
  if (binary !== undefined) extra.set('terragruntTfBinary', binary);
  if (binaryEntry !== undefined && binary !== undefined && !/^(terraform|opentofu|\$\{\w+\})$/.test(binary)) {
    problems.add(
      binaryEntry.value.position,
      `terragruntTfBinary in ${what} is ${quote(binary)}; it has to be terraform or opentofu`,
    );
  }
  for (const key of ['isHelmRepository', ...providerFlags]) {
    const entry = fields.get(key);
    const flag = entry === undefined ? null : readBoolean(context, entry.value, `${key} in ${what}`);
    if (key === 'isHelmRepository' && flag !== null) extra.set(key, flag);
  }
  for (const key of providerTexts) text(key);
  checkSshKeys(context, fields, what);
  if (extra.size > 0) config.extra = Object.fromEntries(extra);
  const checked = templateConfigSchema.safeParse(config);
  if (checked.success) return checked.data;
  for (const issue of checked.error.issues) {
    const entry = fields.get(String(issue.path[0]));
    problems.add(
      entry?.value.position ?? node.position,
      `${issue.path.map(String).join('.')} in ${what}: ${issue.message}`,
    );
  }
  return null;
}

/** The installed version does when the file leaves it to the tool. */
function openVersion(version: string | undefined): string | undefined {
  return version === 'latest' || version === 'RESOLVE_FROM_TERRAFORM_CODE' ? undefined : version;
}

function checkSshKeys(context: FileContext, fields: Fields, what: string): void {
  const entry = fields.get('sshKeys');
  if (entry === undefined) return;
  if (entry.value.kind !== 'list') {
    wrong(context, entry.value, `sshKeys in ${what}`, 'a list of {id, name}');
    return;
  }
  for (const item of entry.value.items) {
    const keys = readFields(context, item, { what: `an item of sshKeys in ${what}`, known: ['id', 'name'] });
    for (const key of keys.values()) {
      if (isAbsent(key.value) || key.value.kind !== 'scalar')
        context.problems.add(
          key.value.position,
          `${key.key} of an SSH key in ${what} has to be text, not ${describeNode(key.value)}`,
        );
    }
  }
}
