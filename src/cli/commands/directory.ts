import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { TemplateInput, TemplateType } from '../../model/index.ts';
import { toolDefinitions } from '../../tools/catalogue.ts';
import { usageError } from '../exit.ts';

/** What a directory can be deployed as. */
export interface DeployableDirectory {
  /** Absolute. */
  readonly directory: string;
  /** Name that an environment of it gets. */
  readonly name: string;
  /** A workflow, or the type of a stack. */
  readonly type: TemplateType;
  /** The workflow file inside; null for one stack. */
  readonly workflowFile: string | null;
}

const workflowFiles = ['windlass.workflow.yml', 'windlass.workflow.yaml', 'env0.workflow.yml', 'env0.workflow.yaml'];

/** null when there is nothing at this path, or nothing that can be deployed. */
export function inspectPath(path: string): DeployableDirectory | null {
  const absolute = resolve(path);
  if (!existsSync(absolute)) return null;
  if (statSync(absolute).isFile()) {
    const file = basename(absolute);
    if (!/\.ya?ml$/.test(file)) return null;
    const name = file.replace(/(\.workflow)?\.ya?ml$/, '');
    const directory = dirname(absolute);
    return {
      directory,
      name: ['windlass', 'env0'].includes(name) ? basename(directory) : name,
      type: 'workflow',
      workflowFile: file,
    };
  }
  const names = readdirSync(absolute);
  const workflowFile = workflowFiles.find((file) => names.includes(file)) ?? null;
  const found = { directory: absolute, name: basename(absolute), workflowFile };
  if (workflowFile) return { ...found, type: 'workflow' };
  const stack = toolDefinitions().find(({ detect }) => detect !== null && names.some((name) => detect.file.test(name)));
  return stack?.detect ? { ...found, type: stack.detect.type } : null;
}

export function requireDeployable(path: string): DeployableDirectory {
  const found = inspectPath(path);
  if (found) return found;
  if (!existsSync(resolve(path))) throw usageError(`there is no ${path}`);
  const stackFiles = toolDefinitions().flatMap(({ detect }) => detect?.hint ?? []);
  throw usageError(
    `${path} holds nothing that can be deployed`,
    `expected ${workflowFiles[0] ?? ''}, ${workflowFiles[2] ?? ''}, or ${stackFiles.join(', ')}; a starter: windlass init ${path}`,
  );
}

/** Whether somebody means a path and not a name. */
export function isPath(text: string): boolean {
  return /^(\.{1,2}(\/|$)|\/|~\/)/.test(text) || /\.ya?ml$/.test(text);
}

export function readWorkflowText({ directory, workflowFile }: DeployableDirectory): string {
  const file = join(directory, workflowFile ?? '');
  if (statSync(file).size > largestFile) throw usageError(`${file} is larger than 1 MB`);
  return readFileSync(file, 'utf8');
}
const largestFile = 1_000_000;

export function templateOf(found: DeployableDirectory, name: string): TemplateInput {
  const { directory, type, workflowFile } = found;
  const usual = workflowFile !== null && workflowFiles.includes(workflowFile);
  return {
    name,
    type,
    source: { kind: 'local', directory, path: '.' },
    config: workflowFile !== null && !usual ? { fileName: workflowFile } : {},
  };
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');
}

const templatePlaces = ['.', 'stacks', 'templates', 'modules'];

/** Directories named like templates, in capitals or not: `Billing Service` is `billing-service`. */
export function findTemplateDirectories(directory: string, names: readonly string[]): Map<string, DeployableDirectory> {
  const known = new Map<string, DeployableDirectory>();
  for (const place of templatePlaces) {
    const parent = join(directory, place);
    if (!existsSync(parent)) continue;
    for (const entry of readdirSync(parent, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const found = inspectPath(join(parent, entry.name));
      if (found && found.type !== 'workflow' && !known.has(slug(entry.name))) known.set(slug(entry.name), found);
    }
  }
  return new Map(
    names.flatMap((name) => {
      const found = known.get(slug(name));
      return found ? [[name, found] as const] : [];
    }),
  );
}
