import { checkAgainstProject, parseWorkflowFile } from '../definition/index.ts';
import type { Graph, Problem } from '../model/index.ts';
import { runnableTypes } from '../runners/index.ts';
import { findProject, listTemplateNames } from '../store/index.ts';
import { authorize } from './context.ts';
import type { Asked, Context } from './context.ts';

export interface ValidateAsk extends Asked {
  readonly text: string;
  /** Decides which format the file has, and stands before each problem. */
  readonly fileName: string;
  /** Name or id: its templates are checked too. */
  readonly project?: string | undefined;
}

export interface Validation {
  readonly problems: Problem[];
  /** null when the file has problems. */
  readonly graph: Graph | null;
}

/** Checking files without running anything. */
export function validateOperations({ db }: Context) {
  return {
    async validate({ actor, text, fileName, project }: ValidateAsk): Promise<Validation> {
      const scope = project === undefined ? undefined : await findProject(db.sql, project);
      if (scope) authorize(actor, 'view', scope.id);
      const { definition, problems } = parseWorkflowFile(text, { fileName });
      if (definition === null) return { problems: [...problems], graph: null };
      const missing = scope
        ? checkAgainstProject(definition, {
            templateNames: await listTemplateNames(db.sql, scope.id),
            fileName,
            runnable: runnableTypes,
          })
        : [];
      if (missing.length > 0) return { problems: missing, graph: null };
      return {
        problems: [],
        graph: {
          nodes: definition.nodes.map((node) => ({
            alias: node.alias,
            name: node.name,
            environmentId: null,
            needs: [...node.needs],
            status: 'neverDeployed',
            disabled: node.disabled,
            drift: 'neverRun',
            templateName: node.templateName ?? null,
            type: node.inline?.type ?? null,
          })),
        },
      };
    },
  };
}
