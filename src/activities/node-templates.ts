/** What nodes are made from: stored templates, and blocks in workflow files. */
import { posix } from 'node:path';
import type { NodeDefinition, NodeType, RetryRule, Source, Template, TemplateConfig } from '../model/index.ts';
import { inlineTemplateSchema, WindlassError } from '../model/index.ts';
import { findTemplateById } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';

export interface NodeTemplate {
  readonly id: string | null;
  readonly name: string;
  readonly type: NodeType;
  readonly source: Source;
  readonly config: TemplateConfig;
  readonly retryOnDeploy: RetryRule | null;
  readonly retryOnDestroy: RetryRule | null;
}

/** The source of a workflow file at the commit of its run; its path is the file's directory. */
export interface FileSource {
  readonly source: Source;
  readonly commit: string;
}

/** Stored templates of the project, by name. */
export type StoredTemplates = ReadonlyMap<string, Template>;

/** The template of an environment: stored, or written in the file that made it. */
export async function templateOfEnvironment(
  deps: Pick<ResolveDeps, 'db'>,
  environment: {
    readonly template_id: string | null;
    readonly inline_template: unknown;
    readonly environment_name: string;
  },
): Promise<NodeTemplate> {
  if (environment.template_id !== null)
    return storedTemplate(await findTemplateById(deps.db.sql, environment.template_id));
  const inline = inlineTemplateSchema.parse(environment.inline_template);
  return { id: null, name: environment.environment_name, ...inline, retryOnDeploy: null, retryOnDestroy: null };
}

function storedTemplate(stored: Template): NodeTemplate {
  const { id, name, type, source, config, retryOnDeploy, retryOnDestroy } = stored;
  return { id, name, type, source, config, retryOnDeploy, retryOnDestroy };
}

/** The template of a node of a file. `own`: its code lies beside the file. Throws when the project has none of its name. */
export function templateOfNode(
  node: NodeDefinition,
  file: FileSource,
  stored: StoredTemplates,
): { readonly template: NodeTemplate; readonly own: boolean } {
  if (node.inline !== undefined) {
    const { type, source, config } = node.inline;
    const own = source.kind === 'own';
    const template: NodeTemplate = {
      id: null,
      name: node.name,
      type,
      source: own ? besideFile(file, source.path) : source,
      config,
      retryOnDeploy: null,
      retryOnDestroy: null,
    };
    return { template, own };
  }
  const found = stored.get(node.templateName ?? '');
  if (found === undefined)
    throw new WindlassError('invalidDefinition', `the template "${node.templateName}" of "${node.alias}" is missing`, {
      class: 'definition',
    });
  return { template: storedTemplate(found), own: false };
}

/** Code that lies beside the workflow file, as an ordinary source. */
function besideFile(file: FileSource, path: string): Source {
  const joined = posix.normalize(posix.join(file.source.path, path));
  if (joined.startsWith('..') || posix.isAbsolute(joined)) {
    throw new WindlassError('invalidDefinition', `the path "${path}" leads out of the source directory`, {
      class: 'definition',
    });
  }
  return { ...file.source, path: joined };
}
