/** The graph of a run from its workflow file, and from those of the workflows in it. */
import { posix } from 'node:path';
import {
  checkAgainstProject,
  flattenWorkflow,
  innerAlias,
  levelProblem,
  mostNodes,
  positionOf,
} from '../definition/index.ts';
import type { FlatNode, NestedWorkflow, WorkflowLevel } from '../definition/index.ts';
import type { NodeDefinition, Problem, WorkflowDefinition, WorkflowSettings } from '../model/index.ts';
import { kindOf, WindlassError } from '../model/index.ts';
import type { ResolveDeps } from './deps.ts';
import { templateOfNode } from './node-templates.ts';
import type { NodeTemplate, StoredTemplates } from './node-templates.ts';
import { environmentVariables, readWorkflowFile } from './read-definition.ts';
import type { Surroundings, WorkflowFile } from './read-definition.ts';
import { refuse } from './resolution.ts';
import type { ResolvingRun } from './resolution.ts';
import { credentialsOf } from '../sources/index.ts';
import { scopeTtlSettings } from '../store/index.ts';

export interface ReadGraph {
  readonly nodes: readonly FlatNode<WorkflowFile>[];
  /** Nodes that are workflows, outer ones first. */
  readonly groups: readonly ReadGroup[];
  /** The file of the run's own template. */
  readonly file: WorkflowFile;
  readonly settings: WorkflowSettings;
  /** Set when the environment is one stack without a workflow file. */
  readonly single: NodeTemplate | null;
}

/** A node of the graph that is a workflow, with what its own file says of the whole. */
export interface ReadGroup {
  readonly alias: string;
  readonly definition: NodeDefinition;
  readonly template: NodeTemplate;
  readonly settings: WorkflowSettings;
}

interface Reading {
  readonly deps: ResolveDeps;
  readonly run: ResolvingRun;
  readonly stored: StoredTemplates;
  /** Of a time to live, for each node. */
  readonly maximumTtlHours: number | undefined;
  readonly problems: Problem[];
  readonly groups: Omit<ReadGroup, 'definition'>[];
  /** Nodes of all files so far. */
  count: number;
}

const correct =
  'correct the file, or make the template it names (windlass template create), then deploy again; nothing was run';

/** Reads and checks all files of a run at their commits; for a single stack, makes a graph of one node. */
export async function readGraph(
  deps: ResolveDeps,
  run: ResolvingRun,
  ask: {
    readonly template: NodeTemplate;
    readonly stored: StoredTemplates;
    /** Whether the node at a path is deployed. */
    readonly isLive: (path: string) => boolean;
    /** Workflows that the template would lie in, if it is looked at alone. */
    readonly beneath?: readonly WorkflowLevel[] | undefined;
  },
): Promise<ReadGraph> {
  const { template, stored, beneath = [] } = ask;
  const variables = await environmentVariables(deps, run);
  const credentials = credentialsOf(template.source, variables);
  const revision = run.request.revision ?? run.revision;
  const { commit } = await deps.sources.resolve(template.source, { revision, credentials });
  if (template.type !== 'workflow')
    return singleStack(run, template, commit, (source) => credentialsOf(source, variables));
  const { file, parsed } = await readWorkflowFile(deps, { template, commit, variables, credentials });
  if (parsed.definition === null) throw unreadable(file, parsed.problems);
  const { maximumTtlHours } = await scopeTtlSettings(deps.db.sql, run.project_id);
  const reading: Reading = { deps, run, stored, maximumTtlHours, problems: [], groups: [], count: 0 };
  const level = { name: template.name, path: '', keys: keysOf(template, file) };
  const workflow = await readInner(reading, {
    definition: parsed.definition,
    file,
    levels: [...beneath, level],
    around: null,
  });
  refuse(reading.problems, 'nothing was run', correct);
  const { nodes, groups, problems } = flattenWorkflow(workflow, { isLive: ask.isLive });
  refuse(problems, 'nothing was run', correct);
  const read = new Map(reading.groups.map((group) => [group.alias, group]));
  return {
    nodes,
    groups: groups.flatMap(({ definition }) => {
      const group = read.get(definition.alias);
      return group === undefined ? [] : [{ ...group, definition }];
    }),
    file,
    settings: parsed.definition.settings,
    single: null,
  };
}

function unreadable({ fileName }: WorkflowFile, problems: readonly Problem[]): WindlassError {
  const first = problems[0]?.message ?? 'it is not a workflow file';
  return new WindlassError(
    'invalidDefinition',
    `${fileName} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}: ${first}`,
    { class: 'definition', problems, hint: 'correct the file and deploy again; nothing was run' },
  );
}

/** What tells a workflow from others: its stored template, and the file at its place. The revision does not. */
function keysOf(template: NodeTemplate, { source, fileName }: WorkflowFile): string[] {
  const place = posix.join(source.path, posix.basename(fileName));
  const address = source.kind === 'local' ? source.directory : source.repository;
  return [...(template.id === null ? [] : [template.id]), JSON.stringify([address, place])];
}

interface InnerFile {
  readonly definition: WorkflowDefinition;
  readonly file: WorkflowFile;
  /** The workflows from the outermost one down to this one. */
  readonly levels: readonly WorkflowLevel[];
  readonly around: Surroundings | null;
}

/** Checks a file and reads those of the workflows in it. */
async function readInner(reading: Reading, inner: InnerFile): Promise<NestedWorkflow<WorkflowFile>> {
  const { definition, file } = inner;
  const { nodes } = definition;
  reading.count += nodes.length;
  if (reading.count > mostNodes)
    throw new WindlassError('invalidDefinition', `the files have more than ${mostNodes} sub-environments together`, {
      class: 'definition',
      hint: 'make environments of their own of some workflows',
    });
  const runnable = reading.deps.runners.supported();
  const templateNames = [...reading.stored.values()];
  const { maximumTtlHours } = reading;
  const { fileName } = file;
  const problems = checkAgainstProject(definition, { templateNames, fileName, runnable, maximumTtlHours });
  reading.problems.push(...problems);
  const workflows = new Map<string, NestedWorkflow<WorkflowFile>>();
  // What is named wrongly cannot be looked into.
  if (problems.length === 0)
    for (const node of nodes) {
      const found = templateOfNode(node, file, reading.stored);
      if (kindOf(found.template.type) !== 'environment') continue;
      const read = await readNode(reading, inner, { node, ...found });
      if (read !== null) workflows.set(node.alias, read);
    }
  return { file, nodes, workflows };
}

interface WorkflowNode {
  readonly node: NodeDefinition;
  readonly template: NodeTemplate;
  readonly own: boolean;
}

/** Reads the file of a node that is a workflow; null when it is refused. */
async function readNode(
  reading: Reading,
  inner: InnerFile,
  { node, template, own }: WorkflowNode,
): Promise<NestedWorkflow<WorkflowFile> | null> {
  const { deps, run } = reading;
  const { file, levels } = inner;
  const alias = innerAlias(levels.at(-1)?.path ?? '', node.alias);
  const say = (message: string): null => {
    const position = positionOf(node, node.templateName === undefined ? 'vcs' : 'templateName');
    reading.problems.push({ message, file: file.fileName, line: position?.line, column: position?.column });
    return null;
  };
  const workflows = [
    ...(inner.around?.workflows ?? []),
    { alias, templateId: template.id, environmentId: run.groups.find((group) => group.alias === alias)?.id ?? null },
  ];
  const given = [...(inner.around?.variables ?? []), ...node.variables];
  const credentials = file.credentialsFor(template.source);
  const revision = node.revision ?? null;
  const { commit } =
    own && revision === null ? file : await deps.sources.resolve(template.source, { revision, credentials });
  const around = { workflows, variables: lastOfEach(given) };
  const variables = await environmentVariables(deps, run, around);
  const beside = posix.join(posix.dirname(file.fileName), posix.relative(file.source.path, template.source.path));
  const under = own ? beside : template.name;
  const read = await readWorkflowFile(deps, { template, commit, variables, credentials, under });
  const level = { name: template.name, path: alias, keys: keysOf(template, read.file) };
  const misplaced = levelProblem(levels, level);
  if (misplaced !== null) return say(misplaced);
  if (read.parsed.definition === null) {
    reading.problems.push(...read.parsed.problems);
    return null;
  }
  const { definition } = read.parsed;
  reading.groups.push({ alias, template, settings: definition.settings });
  return readInner(reading, { definition, file: read.file, levels: [...levels, level], around });
}

/** Of what is given several times the nearest, which comes last. */
function lastOfEach(variables: NodeDefinition['variables']): NodeDefinition['variables'] {
  return [...new Map(variables.map((variable) => [`${variable.kind} ${variable.name}`, variable])).values()];
}

/** A graph of one node. */
function singleStack(
  run: ResolvingRun,
  template: NodeTemplate,
  commit: string,
  credentialsFor: WorkflowFile['credentialsFor'],
): ReadGraph {
  const file: WorkflowFile = { fileName: '', source: template.source, commit, credentialsFor };
  const definition: NodeDefinition = {
    alias: 'main',
    name: run.environment_name,
    templateName: undefined,
    inline: { type: template.type, source: template.source, config: template.config },
    needs: [],
    revision: undefined,
    workspace: run.workspace ?? undefined,
    requiresApproval: undefined,
    disabled: false,
    variables: [],
    inputs: [],
    redeploy: 'always',
    timeoutSeconds: undefined,
    retry: undefined,
    ttlSeconds: undefined,
    barriers: [],
    position: undefined,
  };
  return {
    nodes: [{ file, definition, within: [], follows: [] }],
    groups: [],
    file,
    settings: {
      environmentRemovalStrategy: 'detach',
      onFailure: 'continue',
      maxParallel: undefined,
      schedule: undefined,
      drift: undefined,
    },
    single: template,
  };
}
