import { posix } from 'node:path';
import type { Problem, WorkflowDefinition } from '../model/index.ts';
import { makeProblemList } from './problems.ts';
import type { ProblemList } from './problems.ts';
import { checkGraph } from './workflow-checks.ts';
import type { FileContext } from './workflow-context.ts';
import { readNode } from './workflow-node.ts';
import { defaultSettings, readSettings } from './workflow-settings.ts';
import { readFields, wrong } from './yaml-reader.ts';
import { parseYaml } from './yaml-tree.ts';
import type { YamlNode } from './yaml-tree.ts';

const mostNodes = 10_000;

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

/**
 * Reads and checks a workflow file: everything that can be said without a project or a repository. Files named
 * `env0.workflow.yml` or `.yaml` are held to the format of that product, all others may use what Windlass adds.
 * Never throws for what is in the file.
 */
export function parseWorkflowFile(text: string, options: WorkflowFileOptions): ParsedWorkflowFile {
  const { fileName, variables, secrets, directory = '.' } = options;
  const problems = makeProblemList(fileName);
  const windlass = !isEnv0FileName(fileName);
  const definition = read(text, { problems, variables, secrets, windlass, directory });
  if (definition !== null && problems.count === 0) return { definition, problems: [] };
  return { definition: null, problems: problems.sorted() };
}

/** Whether a file is in the other product's format. */
export function isEnv0FileName(fileName: string): boolean {
  return /^env0\.workflow\.ya?ml$/.test(posix.basename(fileName.replaceAll('\\', '/')));
}

function read(text: string, context: FileContext): WorkflowDefinition | null {
  const { problems } = context;
  const root = parseYaml(text, problems);
  if (problems.count > 0) return null;
  if (root === null || (root.kind === 'scalar' && root.value === null)) return sayEmpty(problems, context.windlass);
  if (root.kind !== 'map') return wrong(context, root, 'a workflow file', 'a mapping with the key environments');
  const fields = readFields(context, root, { what: 'the workflow file', known: ['settings', 'environments'] });
  const mistyped = problems.count > 0;
  const settings = fields.get('settings');
  const environments = fields.get('environments');
  const readings = settings === undefined ? defaultSettings : readSettings(context, settings.value);
  if (environments === undefined) {
    // A mistyped key has been named already, with what was meant.
    if (!mistyped) {
      problems.add(
        root.position,
        'the workflow file has no environments; list at least one sub-environment under this key',
      );
    }
    return null;
  }
  const nodes = readNodes(context, environments.value);
  checkGraph(context, nodes);
  return { settings: readings, nodes: nodes.map((node) => node.definition) };
}

function readNodes(context: FileContext, node: YamlNode): ReturnType<typeof readNode>[] {
  const { problems } = context;
  if (node.kind !== 'map') {
    wrong(context, node, 'environments', 'a mapping of aliases to sub-environments');
    return [];
  }
  if (node.entries.length === 0) problems.add(node.position, 'environments lists no sub-environment');
  if (node.entries.length > mostNodes) {
    problems.add(node.position, `there are ${node.entries.length} sub-environments; at most ${mostNodes} are allowed`);
    return [];
  }
  return node.entries.map((entry) => readNode(context, entry));
}

function sayEmpty(problems: ProblemList, windlass: boolean): null {
  const node = windlass ? 'vpc: {templateName: VPC}' : 'vpc: {name: VPC, templateName: VPC}';
  problems.add(
    { line: 1, column: 1 },
    `the file is empty; begin with "environments: {${node}}", or make a file with windlass init`,
  );
  return null;
}
