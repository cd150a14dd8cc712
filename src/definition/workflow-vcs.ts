/** The `vcs` block of a node: a template that is written in the workflow file. */
import type { InlineTemplate, OwnSource, Source, TemplateType } from '../model/index.ts';
import type { Fields, Found, Suggest } from './schema.ts';
import { addIssue, addKeyIssue, addTypeIssue, list, mapping, piece, sameSchema } from './schema.ts';
import { boolean, judge, sentence, text } from './schema-values.ts';
import { checkSourcePath, repositoryProblem } from './source-path.ts';
import { listed, quote } from './text.ts';
import { toolKeys, toolSettings, typeOfWord, typeWords, version } from './tool-keys.ts';
import type { WorkflowFormat } from './workflow-formats.ts';
import { inFormats } from './workflow-formats.ts';
import { has, valueAt } from './yaml-tree.ts';

/** A branch, tag or commit; git must not take it for an option. */
export const revision = text({ longest: 250 }).check(
  judge((found) => (found.startsWith('-') ? ' begins with "-"' : undefined)),
);

const fileName = text({ longest: 300 }).check(judge(sentence((found) => checkSourcePath(found).problem)));

const foreignName = piece(({ node }, issues) =>
  node.kind === 'scalar' ? node.text : addTypeIssue(issues, node, 'text'),
);
const sshKey = mapping({ id: foreignName.optional(), name: foreignName.optional() });

const env0 = {
  type: text(),
  repository: text({ longest: 2000 }),
  revision: revision.optional(),
  path: text({ mayBeEmpty: true }).optional(),
  fileName: fileName.optional(),
  // Not known to the compiler: `toolSettings` reads them.
  ...(toolKeys('env0') as object),
  // How a hosted service reaches the repository; Windlass takes the address and credentials by name instead.
  ...sameSchema(
    ['tokenId', 'tokenName', 'githubInstallationId', 'bitbucketClientKey', 'vcsConnectionId'],
    text().optional(),
  ),
  sshKeys: list(sshKey, { expected: 'a list of {id, name}' }).optional(),
  ...sameSchema(
    ['isGitLab', 'isGitLabEnterprise', 'isGitHubEnterprise', 'isBitbucketServer', 'isAzureDevOps'],
    boolean.optional(),
  ),
};
const windlass = {
  // Without one, the code lies beside the file.
  repository: env0.repository.optional(),
  ...(toolKeys('windlass') as object),
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
    missing: (format) => ({ type: `; it is one of ${listed(typeWords[format], 'or', 40)}` }),
  },
  (fields, found, format): InlineTemplate | undefined => {
    const type = makeType(fields, found, format);
    const source = makeSource(fields, found, format);
    const config = { ...toolSettings(fields, found, type), fileName: fields.fileName };
    return type === undefined || source === undefined || found.issues.length > 0 ? undefined : { type, source, config };
  },
);

function makeType({ type }: VcsFields, { issues }: Found, format: WorkflowFormat): TemplateType | undefined {
  const known = typeWords[format];
  if (type === undefined || known.includes(type)) return type && typeOfWord(type);
  const why = (suggest: Suggest): string => {
    if (typeWords.windlass.includes(type)) return `the type ${type}; only windlass.workflow.yml has it`;
    return `the unknown type ${quote(type)}${suggest(type, known) || `; it is one of ${listed(known, 'or')}`}`;
  };
  return addIssue(issues, (name, suggest) => `${name} has ${why(suggest)}`, { path: ['type'], whole: true });
}

function makeSource(
  { repository, revision: wanted, path = '.', credentials }: VcsFields,
  { part, node, issues }: Found,
  format: WorkflowFormat,
): Source | OwnSource | undefined {
  const own = !has(node, 'repository');
  const addressProblem = repository === undefined || repository.startsWith('${') ? null : repositoryProblem(repository);
  if (addressProblem !== null)
    addIssue(issues, (name) => `${name}: ${addressProblem}`, { path: ['repository'], whole: true });
  if (own && format === 'windlass') {
    for (const key of ['revision', 'credentials']) {
      if (!has(node, key)) continue;
      const why = "without a repository; code beside the file has the file's own revision";
      addKeyIssue(issues, key, (name) => `${name} has ${quote(key)} ${why}`);
    }
  }
  const checked = checkSourcePath(path, own ? part.reading.directory : '.');
  if (checked.problem !== null) {
    const { problem } = checked;
    return addIssue(issues, (name) => `${name}: ${problem}`, valueAt(node, 'path') && { path: ['path'], whole: true });
  }
  if (own) return { kind: 'own', path: checked.path };
  return repository === undefined
    ? undefined
    : { kind: 'git', repository, revision: wanted, path: checked.path, credentials };
}
