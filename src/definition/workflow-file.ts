import { posix } from 'node:path';
import type { Problem, WorkflowDefinition } from '../model/index.ts';
import { makeProblemList } from './problems.ts';
import type { ProblemList } from './problems.ts';
import { read } from './read.ts';
import type { Piece, Reading } from './schema.ts';
import { addIssue, entries, guarded, mapping } from './schema.ts';
import { quote } from './text.ts';
import { checkGraph } from './workflow-checks.ts';
import type { WorkflowFormat } from './workflow-formats.ts';
import type { ReadNode } from './workflow-node.ts';
import { subEnvironment } from './workflow-node.ts';
import { settings, withDefaults } from './workflow-settings.ts';
import { describeNode, isAbsent, parseYaml } from './yaml-tree.ts';

/** Nodes of one file, and of all files of one graph together. */
export const mostNodes = 10_000;

export interface WorkflowFileOptions {
  /** Decides which keys the file may have, and stands before every problem. A path is as good as a name. */
  readonly fileName: string;
  /** Environment variables in force, without sensitive ones. Absent: `${VAR}` stays open, and open `disabled` is false. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Sensitive environment variables in force. They are put into values of variables alone, which become sensitive. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  /** The file's directory inside its source; code beside the file may lie as far up as the source's root. `.` when absent. */
  readonly directory?: string | undefined;
}

export type ParsedWorkflowFile =
  | { readonly definition: WorkflowDefinition; readonly problems: readonly Problem[] & readonly [] }
  /** At least one problem, in the order of the file. */
  | { readonly definition: null; readonly problems: readonly Problem[] };

function workflowFile(format: WorkflowFormat) {
  const nodes = entries(subEnvironment[format], {
    expected: 'a mapping of aliases to sub-environments',
    naming: (alias) => `sub-environment ${quote(alias)}`,
  });
  return mapping(
    { settings: settings[format].optional(), environments: ofReadableSize(nodes) },
    {
      naming: (key) => key,
      missing: { environments: '; list at least one sub-environment under this key' },
    },
    (fields) => fields,
  );
}

function ofReadableSize(schema: Piece<ReadNode[]>): Piece<ReadNode[]> {
  return guarded(schema, ({ node }, issues) => {
    const count = node.kind === 'map' ? node.entries.length : undefined;
    if (count === 0) addIssue(issues, (name) => `${name} lists no sub-environment`);
    if (count === undefined || count <= mostNodes) return true;
    addIssue(issues, () => `there are ${count} sub-environments; at most ${mostNodes} are allowed`);
    return false;
  });
}

const formats = { env0: workflowFile('env0'), windlass: workflowFile('windlass') };

/**
 * Reads and checks a workflow file: everything that can be said without a project or a repository. Files named
 * `env0.workflow.yml` or `.yaml` are held to the format of that product, all others may use what Windlass adds.
 * Never throws for what is in the file.
 */
export function parseWorkflowFile(text: string, options: WorkflowFileOptions): ParsedWorkflowFile {
  const { fileName, ...reading } = options;
  const problems = makeProblemList(fileName);
  const definition = readFile(text, { ...reading, problems }, isEnv0FileName(fileName) ? 'env0' : 'windlass');
  if (definition !== null && problems.count === 0) return { definition, problems: [] };
  return { definition: null, problems: problems.sorted() };
}

/** Whether a file is in the other product's format. */
export function isEnv0FileName(fileName: string): boolean {
  return /^env0\.workflow\.ya?ml$/.test(posix.basename(fileName.replaceAll('\\', '/')));
}

function readFile(text: string, reading: Reading, format: WorkflowFormat): WorkflowDefinition | null {
  const { problems } = reading;
  const root = parseYaml(text, problems);
  if (problems.count > 0) return null;
  if (root === null || isAbsent(root)) return addEmptyIssue(problems, format);
  if (root.kind !== 'map') {
    const found = describeNode(root);
    problems.add(root.position, `a workflow file has to be a mapping with the key environments, not ${found}`);
    return null;
  }
  const file = read(formats[format], root, { ...reading, what: 'the workflow file' });
  if (file?.environments === undefined) return null;
  checkGraph(problems, file.environments);
  return {
    settings: file.settings ?? withDefaults({}),
    nodes: file.environments.map((node) => node.definition),
  };
}

function addEmptyIssue(problems: ProblemList, format: WorkflowFormat): null {
  const node = format === 'windlass' ? 'vpc: {templateName: VPC}' : 'vpc: {name: VPC, templateName: VPC}';
  problems.add(
    { line: 1, column: 1 },
    `the file is empty; begin with "environments: {${node}}", or make a file with windlass init`,
  );
  return null;
}
