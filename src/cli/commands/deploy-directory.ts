import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ApiError, collect } from '../../client/index.ts';
import { formatProblems, parseWorkflowFile } from '../../definition/index.ts';
import type { Environment, Template, TemplateInput } from '../../model/index.ts';
import { exampleOfTools } from '../../tools/catalogue.ts';
import type { Invocation } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import type { Session } from '../session.ts';
import { shellQuote } from '../text/format.ts';
import {
  findTemplateDirectories,
  inspectPath,
  isPath,
  readWorkflowText,
  requireDeployable,
  templateOf,
} from './directory.ts';
import type { DeployableDirectory } from './directory.ts';
import { findPlace, getEnvironment } from './shared.ts';
import type { NodePlace } from './shared.ts';

type Call = Pick<
  Invocation<{
    readonly name?: string | undefined;
    readonly project?: string | undefined;
    readonly createTemplates: boolean;
  }>,
  'options' | 'printer'
>;

/** What belongs to a directory that is named where an environment is expected. */
export const directoryOptions = {
  name: z.string().optional(),
  project: z.string().optional(),
  createTemplates: z.boolean().default(false),
};
export const directoryFlags = [
  { flags: '--name <name>', description: 'of a directory: name of the environment' },
  { flags: '--project <project>', description: 'of a directory: the project to make it in' },
  {
    flags: '--create-templates',
    description: 'of a directory: make missing templates from directories of their names',
  },
];

/** The environment or node that an argument names. A directory becomes a template and an environment first. */
export async function findOrMakePlace(call: Call, session: Session, argument: string): Promise<NodePlace> {
  const target = await chooseTarget(call, session, argument);
  return target.kind === 'environment'
    ? findPlace(session.client, target.reference)
    : { ...(await prepareDirectory(call, session, target.path)), alias: null };
}

type Target =
  { readonly kind: 'environment'; readonly reference: string } | { readonly kind: 'directory'; readonly path: string };

/** Whether an argument means an environment or a directory. A name that is both is the environment: `./name` is the directory. */
async function chooseTarget(call: Call, session: Session, argument: string): Promise<Target> {
  if (isPath(argument)) return { kind: 'directory', path: argument };
  const directory = inspectPath(argument);
  if (!directory) {
    if (call.options.name || call.options.createTemplates)
      throw usageError(`there is no directory ${argument} to deploy`);
    return { kind: 'environment', reference: argument };
  }
  try {
    await getEnvironment(session.client, argument);
    return { kind: 'environment', reference: argument };
  } catch (error) {
    if (error instanceof ApiError && error.code === 'notFound') return { kind: 'directory', path: argument };
    throw error;
  }
}

/** Makes sure that a directory is a template and an environment, and that the templates its file names are there. */
async function prepareDirectory(
  call: Call,
  session: Session,
  path: string,
): Promise<{ root: Environment; environment: Environment }> {
  const { options } = call;
  const found = requireDeployable(path);
  requireSameMachine(session);
  if (found.type === 'workflow') await provideTemplates(call, session, found);
  const name = options.name ?? found.name;
  const environment = await provideEnvironment({ call, session, name, template: templateOf(found, name) });
  return { root: environment, environment };
}

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]']);

function requireSameMachine({ client }: Session): void {
  const { hostname } = new URL(client.url);
  if (loopback.has(hostname)) return;
  throw usageError(
    `${client.url} is another machine: it cannot read a directory of this one`,
    'push the directory to git, then: windlass template create NAME --type workflow --repository URL --path DIR, and windlass environment create NAME --template NAME',
  );
}

interface Provision {
  readonly call: Call;
  readonly session: Session;
  /** Name of the environment. */
  readonly name: string;
  readonly template: TemplateInput;
}

/** Creates or updates the template, and creates the environment when it is not there. Doing it again changes nothing. */
export async function provideEnvironment({ call, session, name, template }: Provision): Promise<Environment> {
  const { client } = session;
  const query = { project: call.options.project };
  const made = await provideTemplate(call, session, template);
  const { items } = await collect(client.environments.list, { query: { ...query, name } });
  const known = items.find(
    (environment) => environment.name === name && environment.parentId === null && !environment.flags.archived,
  );
  if (!known) {
    const environment = await client.environments.create({
      query,
      body: {
        name,
        template: made.id,
      },
    });
    call.printer.remark(`Created environment ${name}`);
    return environment;
  }
  if (known.templateId === made.id) return known;
  throw new CliError(`there is an environment "${name}" already, of template "${known.templateName ?? 'none'}"`, {
    exitCode: exitCodes.usage,
    hint: `deploy the directory under another name: --name NAME   or that environment: windlass deploy ${known.id}`,
  });
}

async function provideTemplate(call: Call, session: Session, input: TemplateInput): Promise<Template> {
  const { client } = session;
  const query = { project: call.options.project };
  const { items } = await collect(client.templates.list, { query: { ...query, name: input.name } });
  const known = items.find((template) => template.name === input.name);
  if (!known) {
    const made = await client.templates.create({ query, body: input });
    call.printer.remark(
      `Created template ${input.name} from ${input.source.kind === 'local' ? input.source.directory : input.source.repository}`,
    );
    return made;
  }
  if (
    known.type === input.type &&
    isDeepStrictEqual(known.source, input.source) &&
    isDeepStrictEqual(known.config, input.config)
  )
    return known;
  if (known.type !== input.type || known.source.kind !== 'local') {
    throw new CliError(
      `there is a template "${input.name}" already, of type ${known.type} from ${describeSource(known)}`,
      {
        exitCode: exitCodes.usage,
        hint: `take another name: --name NAME   or look at it: windlass template show ${shellQuote(input.name)}`,
      },
    );
  }
  const updated = await client.templates.replace({ params: { ref: known.id }, body: input });
  call.printer.remark(`Updated template ${input.name}: was ${describeSource(known)}`);
  return updated;
}

function describeSource({ source }: Template): string {
  return source.kind === 'local' ? source.directory : source.repository;
}

/** Templates that a workflow file names must be there; with --create-templates directories of their names become them. */
async function provideTemplates(call: Call, session: Session, found: DeployableDirectory): Promise<void> {
  const { definition, problems } = parseWorkflowFile(readWorkflowText(found), { fileName: found.workflowFile ?? '' });
  if (definition === null) {
    throw new CliError(`${formatProblems(problems).join('\n')}`, { hint: 'nothing was run' });
  }
  const wanted = [...new Set(definition.nodes.flatMap((node) => node.templateName ?? []))].filter(
    (name) => !name.includes('${'),
  );
  if (wanted.length === 0) return;
  const { items } = await collect(session.client.templates.list, { query: { project: call.options.project } });
  const known = new Set(items.map((template) => template.name));
  const missing = wanted.filter((name) => !known.has(name));
  if (missing.length === 0) return;
  const directories = findTemplateDirectories(found.directory, missing);
  if (!call.options.createTemplates || directories.size < missing.length)
    throw missingTemplates(found, missing, directories);
  for (const [name, directory] of directories) await provideTemplate(call, session, templateOf(directory, name));
}

function missingTemplates(
  found: DeployableDirectory,
  missing: readonly string[],
  directories: ReadonlyMap<string, DeployableDirectory>,
): CliError {
  const absent = missing.filter((name) => !directories.has(name));
  const commands = absent.map(
    (name) => `windlass template create ${shellQuote(name)} --type ${exampleOfTools().type} --directory DIR`,
  );
  const create =
    directories.size > 0
      ? [
          `windlass deploy ${shellQuote(found.directory)} --create-templates   makes ${[...directories.keys()].join(', ')} from directories of these names`,
        ]
      : [];
  return new CliError(
    `${found.workflowFile ?? 'the workflow file'} names templates that do not exist: ${missing.join(', ')}`,
    {
      exitCode: exitCodes.usage,
      hint: [...create, ...commands].join('\n'),
    },
  );
}

/** `windlass init --templates`: only the templates of a workflow file, from directories of their names. */
export async function createTemplatesOf(call: Call, session: Session, path: string): Promise<void> {
  const found = requireDeployable(path);
  if (found.type !== 'workflow') throw usageError(`${path} has no workflow file that could name templates`);
  requireSameMachine(session);
  await provideTemplates({ ...call, options: { ...call.options, createTemplates: true } }, session, found);
}
