/** A workflow file with those beside it that its nodes name, read without a server. */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { flattenWorkflow, innerAlias, levelProblem, parseWorkflowFile, positionOf } from '../../definition/index.ts';
import type { FlatNode, NestedWorkflow, WorkflowLevel } from '../../definition/index.ts';
import type { NodeDefinition, Problem } from '../../model/index.ts';
import { inspectPath } from './directory.ts';

interface LocalFile {
  readonly fileName: string;
}

export interface LocalGraph {
  /** Of the file itself; empty when it has problems. */
  readonly own: readonly NodeDefinition[];
  readonly nodes: readonly FlatNode<LocalFile>[];
  readonly groups: readonly FlatNode<LocalFile>[];
  readonly problems: readonly Problem[];
}

/** `directoryOf`: where a file lies in its source. What is made from templates or in other repositories is not looked into. */
export function readLocalGraph(file: string, directoryOf: (file: string) => string): LocalGraph {
  const problems: Problem[] = [];
  const read = (path: string, around: readonly WorkflowLevel[]): NestedWorkflow<LocalFile> => {
    const text = readFileSync(path, 'utf8');
    const parsed = parseWorkflowFile(text, { fileName: path, directory: directoryOf(path) });
    problems.push(...parsed.problems);
    const nodes = parsed.definition?.nodes ?? [];
    const workflows = new Map<string, NestedWorkflow<LocalFile>>();
    for (const node of nodes) {
      const inner = fileOf(node, path);
      if (inner === null) continue;
      const alias = innerAlias(around.at(-1)?.path ?? '', node.alias);
      const level = { name: relative('.', inner), path: alias, keys: [realpathSync(inner)] };
      const message = levelProblem(around, level);
      if (message === null) workflows.set(node.alias, read(inner, [...around, level]));
      else {
        const { line, column } = positionOf(node, 'vcs') ?? {};
        problems.push({ message, file: path, line, column });
      }
    }
    return { file: { fileName: path }, nodes, workflows };
  };
  const workflow = read(file, [{ name: relative('.', file), path: '', keys: [realpathSync(file)] }]);
  const flat = flattenWorkflow(workflow);
  return {
    own: workflow.nodes,
    nodes: flat.nodes,
    groups: flat.groups,
    problems: problems.length > 0 ? problems : flat.problems,
  };
}

/** The workflow file of a node whose code lies beside its own file; null of any other node, and of one that is not there. */
function fileOf({ inline }: NodeDefinition, around: string): string | null {
  if (inline?.type !== 'workflow' || inline.source.kind !== 'own') return null;
  const place = join(dirname(around), inline.source.path);
  if (!existsSync(place)) return null;
  if (!statSync(place).isDirectory()) return place;
  const name = inline.config.fileName ?? inspectPath(place)?.workflowFile;
  const found = name === undefined || name === null ? null : join(place, name);
  return found !== null && existsSync(found) ? join(dirname(found), basename(found)) : null;
}
