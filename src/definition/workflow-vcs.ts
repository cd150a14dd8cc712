/** The `vcs` block of a node: a template that is written in the workflow file. */
import type { InlineTemplate, OwnSource, Source, TemplateConfig, TemplateType } from '../model/index.ts';
import type { Fields, Found, Suggest } from './schema.ts';
import { alike, list, mapping, piece, say, sayAt, wrong } from './schema.ts';
import { boolean, judge, plainText, sentence, text } from './schema-values.ts';
import { checkSourcePath, repositoryProblem } from './source-path.ts';
import { listed, quote } from './text.ts';
import type { WorkflowFormat } from './workflow-formats.ts';
import { inFormats } from './workflow-formats.ts';
import { has, valueAt } from './yaml-tree.ts';

const env0Types = ['terraform', 'opentofu', 'terragrunt', 'pulumi', 'k8s', 'cloudformation', 'helm', 'ansible'];
const windlassTypes = [...env0Types, 'kubernetes', 'shell'];
const typesOf = { env0: env0Types, windlass: windlassTypes };

const version = text({ longest: 50 });
/** Types with a key for their version; the other keys of this sort say nothing then. */
const versioned = ['terraform', 'opentofu', 'terragrunt', 'pulumi', 'ansible'] as const;
const versionKeyOf = (type: (typeof versioned)[number]) => `${type}Version` as const;

/** A branch, tag or commit; git must not take it for an option. */
export const revision = text({ longest: 250 }).check(
  judge((found) => (found.startsWith('-') ? ' begins with "-"' : undefined)),
);

const fileName = text({ longest: 300 }).check(judge(sentence((found) => checkSourcePath(found).problem)));

const terragruntBinary = text().check(
  judge((found) =>
    /^(terraform|opentofu|\$\{\w+\})$/.test(found)
      ? undefined
      : ` is ${quote(found)}; it has to be terraform or opentofu`,
  ),
);

/** The shell's business: its own ${…} stay as they are. */
const script = plainText.check(
  judge((found) =>
    found.length > 20_000 ? ' has more than 20000 characters; put it in a file of its own' : undefined,
  ),
);
const scripts = ['deployScript', 'destroyScript', 'planScript', 'driftScript'] as const;

const foreignName = piece(({ node }, issues) => (node.kind === 'scalar' ? node.text : wrong(issues, node, 'text')));
const sshKey = mapping({ id: foreignName.optional(), name: foreignName.optional() });

const env0 = {
  type: text(),
  repository: text({ longest: 2000 }),
  revision: revision.optional(),
  path: text({ mayBeEmpty: true }).optional(),
  ...alike(versioned.map(versionKeyOf), version.optional()),
  terragruntTfBinary: terragruntBinary.optional(),
  fileName: fileName.optional(),
  helmChartName: text().optional(),
  isHelmRepository: boolean.optional(),
  // How a hosted service reaches the repository; Windlass takes the address and credentials by name instead.
  ...alike(
    ['tokenId', 'tokenName', 'githubInstallationId', 'bitbucketClientKey', 'vcsConnectionId'],
    text().optional(),
  ),
  sshKeys: list(sshKey, { expected: 'a list of {id, name}' }).optional(),
  ...alike(
    ['isGitLab', 'isGitLabEnterprise', 'isGitHubEnterprise', 'isBitbucketServer', 'isAzureDevOps'],
    boolean.optional(),
  ),
};
const windlass = {
  // Without one, the code lies beside the file.
  repository: env0.repository.optional(),
  ...alike(scripts, script.optional()),
  version: version.optional(),
  credentials: text({ longest: 200 }).optional(),
};
type VcsFields = Fields<Omit<typeof env0, keyof typeof windlass> & typeof windlass>;

const withArticle = ['type', 'repository', 'path', 'revision'];

export const vcs = inFormats(
  {
    env0,
    windlass,
    expected: 'a mapping with a type',
    naming: (key, name) => `${withArticle.includes(key) ? 'the ' : ''}${key} in ${name}`,
    missing: (format) => ({ type: `; it is one of ${listed(typesOf[format], 'or', 40)}` }),
  },
  (fields, found, format): InlineTemplate | undefined => {
    const type = makeType(fields, found, format);
    const source = makeSource(fields, found, format);
    const config = makeConfig(fields, found, type);
    return type === undefined || source === undefined || found.issues.length > 0 ? undefined : { type, source, config };
  },
);

function makeType({ type }: VcsFields, { issues }: Found, format: WorkflowFormat): TemplateType | undefined {
  const known = typesOf[format];
  if (type === undefined || known.includes(type))
    return type === 'k8s' ? 'kubernetes' : (type as TemplateType | undefined);
  const why = (suggest: Suggest): string => {
    if (type === 'workflow') return 'the type workflow; a workflow cannot stand inside a workflow';
    if (windlassTypes.includes(type)) return `the type ${type}; only windlass.workflow.yml has it`;
    return `the unknown type ${quote(type)}${suggest(type, known) || `; it is one of ${listed(known, 'or')}`}`;
  };
  return say(issues, (name, suggest) => `${name} has ${why(suggest)}`, { path: ['type'], whole: true });
}

function makeSource(
  { repository, revision: wanted, path = '.', credentials }: VcsFields,
  { part, node, issues }: Found,
  format: WorkflowFormat,
): Source | OwnSource | undefined {
  const own = !has(node, 'repository');
  const addressProblem = repository === undefined || repository.startsWith('${') ? null : repositoryProblem(repository);
  if (addressProblem !== null)
    say(issues, (name) => `${name}: ${addressProblem}`, { path: ['repository'], whole: true });
  if (own && format === 'windlass') {
    for (const key of ['revision', 'credentials']) {
      if (!has(node, key)) continue;
      const why = "without a repository; code beside the file has the file's own revision";
      sayAt(issues, key, (name) => `${name} has ${quote(key)} ${why}`);
    }
  }
  const checked = checkSourcePath(path, own ? part.reading.directory : '.');
  if (checked.problem !== null) {
    const { problem } = checked;
    return say(issues, (name) => `${name}: ${problem}`, valueAt(node, 'path') && { path: ['path'], whole: true });
  }
  if (own) return { kind: 'own', path: checked.path };
  return repository === undefined
    ? undefined
    : { kind: 'git', repository, revision: wanted, path: checked.path, credentials };
}

function makeConfig(fields: VcsFields, { node, issues }: Found, type: TemplateType | undefined): TemplateConfig {
  const ownKey = versioned.filter((each) => each === type).map(versionKeyOf)[0];
  if (ownKey !== undefined && has(node, 'version') && has(node, ownKey))
    sayAt(issues, 'version', (name) => `${name} has both version and ${ownKey}; keep one`);
  for (const key of scripts) {
    if (type !== undefined && type !== 'shell' && has(node, key))
      sayAt(issues, key, (name) => `${name} has ${key}, which only the type shell runs`);
  }
  const { fileName: file, deployScript, destroyScript, planScript, driftScript } = fields;
  const { helmChartName, terragruntTfBinary, isHelmRepository } = fields;
  const extra = Object.entries({ helmChartName, terragruntTfBinary, isHelmRepository }).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return {
    version: openVersion(has(node, 'version') ? fields.version : ownKey && fields[ownKey]),
    fileName: file,
    ...{ deployScript, destroyScript, planScript, driftScript },
    extra: extra.length === 0 ? undefined : Object.fromEntries(extra),
  };
}

/** The installed version does when the file leaves it to the tool. */
function openVersion(wanted: string | undefined): string | undefined {
  return wanted === 'latest' || wanted === 'RESOLVE_FROM_TERRAFORM_CODE' ? undefined : wanted;
}
