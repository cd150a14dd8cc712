import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isTerminalDeployment } from '../../src/model/index.ts';
import type { Deployment, Environment, NodeRun, NodeStatus } from '../../src/model/index.ts';
import { shownDirectory } from './stack-paths.ts';
import type { TestClient } from './windlass.ts';

export interface StackOptions {
  /** How long its apply takes. */
  readonly sleepSeconds?: number;
  /** Variables besides `value`, declared as `any`; they are part of the output `all`. */
  readonly inputs?: readonly string[];
  /** Default of the variable `value`; a change of it replaces the resource. */
  readonly value?: string;
}

/** A source directory of a workflow in a temporary place, and a journal beside it in which its stacks write what they do. */
export interface TestProject {
  readonly directory: string;
  readonly journal: string;
  /** Writes a file, given relative to the source directory. */
  write(path: string, text: string): void;
  /** Writes `windlass.workflow.yml` from an object. */
  workflow(definition: Record<string, unknown>): void;
  /**
   * Writes an OpenTofu stack at `stacks/<name>` of one resource that is created in `sleepSeconds` and says so in the
   * journal. Its variable `fail` makes the create fail, and so does `failing(name, true)`.
   */
  stack(name: string, options?: StackOptions): void;
  /** Makes creates (or, with `when: 'destroy'`, destroys) of a stack fail, or work again. */
  failing(name: string, fails: boolean, when?: 'apply' | 'destroy'): void;
  /** What a stack wrote: `apply` and `destroy`, oldest first. */
  lines(name: string): string[];
  remove(): void;
}

/** HCL of a stack that writes a line when it is created and when it is destroyed. */
export function stackText(journal: string, name: string, options: StackOptions = {}): string {
  const { sleepSeconds = 0, inputs = [], value = 'one' } = options;
  const file = join(journal, name);
  const variable = (input: string, initial: string): string =>
    `variable "${input}" {\n  type    = any\n  default = ${initial}\n}\n`;
  return `${variable('value', JSON.stringify(value))}
${variable('fail', 'false')}
${inputs.map((input) => variable(input, 'null')).join('\n')}
resource "terraform_data" "this" {
  input            = { value = var.value${inputs.map((input) => `, ${input} = var.${input}`).join('')} }
  triggers_replace = [var.value]

  provisioner "local-exec" {
    command = "echo apply >> ${file}; sleep ${sleepSeconds}; test ! -e ${file}.fail-apply -a '\${var.fail}' != true || { echo 'this create fails on purpose' >&2; exit 3; }"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "echo destroy >> ${file}; test ! -e ${file}.fail-destroy"
  }
}

output "value" {
  value = terraform_data.this.output.value
}

output "all" {
  value = terraform_data.this.output
}
`;
}

export function makeProject(prefix = 'project'): TestProject {
  const root = shownDirectory(prefix);
  const directory = join(root, 'source');
  const journal = join(root, 'journal');
  mkdirSync(directory);
  mkdirSync(journal);
  const project: TestProject = {
    directory,
    journal,
    write(path, text) {
      const file = join(directory, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    },
    // JSON is YAML, too.
    workflow: (definition) => project.write('windlass.workflow.yml', `${JSON.stringify(definition, null, 2)}\n`),
    stack: (name, options) => project.write(`stacks/${name}/main.tf`, stackText(journal, name, options)),
    failing(name, fails, when = 'apply') {
      const marker = join(journal, `${name}.fail-${when}`);
      if (fails) writeFileSync(marker, '');
      else rmSync(marker, { force: true });
    },
    lines(name) {
      const file = join(journal, name);
      return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
  return project;
}

/** A name that no other test of the same server uses. */
export const unique = (name: string): string => `${name}-${randomBytes(3).toString('hex')}`;

/** An environment of the project's workflow, with a template of its own. */
export async function makeEnvironment(
  client: TestClient,
  project: TestProject,
  options: { readonly name?: string; readonly settings?: Record<string, unknown>; readonly type?: string } = {},
): Promise<Environment> {
  const name = options.name ?? unique('shop');
  await client.createTemplate({
    name,
    type: options.type ?? 'workflow',
    source: { kind: 'local', directory: project.directory },
  });
  return client.createEnvironment({
    name,
    template: name,
    ...(options.settings ? { settings: options.settings } : {}),
  });
}

/** A node of `windlass.workflow.yml` whose code is the stack of the same name, or of another one. */
export function node(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { vcs: { type: 'opentofu', path: `stacks/${name}` }, ...more };
}

/** Stacks a, b and c in a row, of which b waits for approval. */
export function makeApprovedChain(prefix: string): TestProject {
  const project = makeProject(prefix);
  for (const name of ['a', 'b', 'c']) project.stack(name);
  project.workflow({
    environments: {
      a: node('a'),
      b: node('b', { needs: ['a'], requiresApproval: true }),
      c: node('c', { needs: ['b'] }),
    },
  });
  return project;
}

/** Waits until the check answers something. Throws when the run ends before that, instead of waiting for ever. */
export function beforeEnd<T>(
  client: TestClient,
  run: Pick<Deployment, 'id'>,
  check: (nodes: readonly NodeRun[]) => T | null | undefined | false,
): Promise<T> {
  return client.until(async () => {
    const deployment = await client.request<Deployment>('GET', `/deployments/${run.id}`);
    const nodes = await client.nodes(run.id);
    const found = check(nodes);
    if (found !== null && found !== undefined && found !== false) return found;
    if (!isTerminalDeployment(deployment.status)) return null;
    const seen = nodes.map((item) => [item.alias, item.status, item.reason?.message, item.error?.message]);
    throw new Error(`the run ended ${deployment.status} too early: ${JSON.stringify([deployment.error, seen])}`);
  });
}

/** Waits until a node is at a status. */
export function nodeAt(
  client: TestClient,
  run: Pick<Deployment, 'id'>,
  alias: string,
  status: NodeStatus,
): Promise<NodeRun> {
  return beforeEnd(client, run, (nodes) =>
    nodes.find((item) => item.alias === alias && !item.compensation && item.status === status),
  );
}
