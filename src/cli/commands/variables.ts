import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { AnswerOf, Client } from '../../client/index.ts';
import { variableInputSchema, variableKindSchema, variableTypeSchema } from '../../model/index.ts';
import type { VariableScope, VariableType, VariableValue } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { oneLine } from '../text/width.ts';
import { printEffective, showValue } from './environments.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag } from './options.ts';
import { createSecretReader, findOrganization, findPlace, printDone, printList } from './shared.ts';
import { parseAssignment, parseName, parseValue } from './variables-input.ts';

const scopeFlags = [
  { flags: '--environment <environment>', description: 'of an environment; shop/eks is one node of it' },
  { flags: '--template <template>', description: 'of a template' },
  { flags: '--project <project>', description: 'of a project' },
  { flags: '--organization <organization>', description: 'of an organization' },
  { flags: '--node <alias>', description: 'only for the sub-environment with this alias' },
];
const scopeOptions = {
  environment: z.string().optional(),
  template: z.string().optional(),
  project: z.string().optional(),
  organization: z.string().optional(),
  node: z.string().optional(),
};
type ScopeOptions = z.output<z.ZodObject<typeof scopeOptions>>;

interface Scope {
  readonly scope: VariableScope;
  readonly scopeId: string;
  readonly alias: string | undefined;
  readonly title: string;
}

async function findScope(client: Client, options: ScopeOptions): Promise<Scope> {
  const { environment, template, project, organization, node } = options;
  if ([environment, template, project, organization].filter(Boolean).length !== 1) {
    throw usageError(
      'name exactly one place for the variable',
      'one of --environment, --template, --project, --organization',
    );
  }
  if (environment) {
    const place = await findPlace(client, environment);
    return { scope: 'environment', scopeId: place.environment.id, alias: node, title: `environment ${environment}` };
  }
  if (template) {
    const { id, name } = await client.templates.get({ params: { ref: template } });
    return { scope: 'template', scopeId: id, alias: node, title: `template ${name}` };
  }
  if (project) {
    const { id, name } = await client.projects.get({ params: { ref: project } });
    return { scope: 'project', scopeId: id, alias: node, title: `project ${name}` };
  }
  const found = await findOrganization(client, organization);
  return { scope: 'organization', scopeId: found.id, alias: node, title: `organization ${found.name}` };
}

const setOptions = z.object({
  ...scopeOptions,
  env: z.boolean().default(false),
  kind: variableKindSchema.optional(),
  type: variableTypeSchema.optional(),
  sensitive: z.boolean().default(false),
  readOnly: z.boolean().default(false),
  required: z.boolean().default(false),
  regex: z.string().optional(),
  allowed: z.array(z.string()).optional(),
  description: z.string().optional(),
});

export function addVariables({ add, group }: Registry): void {
  const variable = group('variable', 'Variables of organizations, projects, templates and environments', [
    'variables',
    'var',
  ]);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List the variables stored in one place',
      examples: [
        ['windlass variable list --environment shop', ''],
        ['windlass environment variables shop/eks', 'those in force, with where each comes from'],
      ],
      flags: [
        ...scopeFlags,
        { flags: '--effective', description: 'of an environment: those in force, with where each comes from' },
        limitFlag,
      ],
      options: z.object({ ...scopeOptions, ...limitOption, effective: z.boolean().default(false) }),
      async run(call) {
        if (call.options.effective && call.options.environment) return printEffective(call, call.options.environment);
        const { client } = await call.connect();
        const { scope, scopeId, alias } = await findScope(client, call.options);
        const listing = await collect(
          client.variables.list,
          { query: { scope, scopeId, alias } },
          { limit: call.options.limit },
        );
        printList(
          call,
          listing,
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'kind', value: (item) => item.kind },
            { title: 'type', value: (item) => item.type },
            {
              title: 'value',
              value: (item) => (item.sensitive ? '(sensitive)' : item.hasValue ? showValue(item.value) : '(none)'),
            },
            { title: 'node', value: (item) => item.alias },
            {
              title: 'rules',
              value: (item) =>
                [item.readOnly ? 'read-only' : '', item.required ? 'required' : ''].filter(Boolean).join(', '),
            },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No variables here.',
        );
      },
    },
    variable,
  );
  add(
    {
      usage: 'set <name=value>',
      aliases: ['create', 'update'],
      summary: 'Create a variable, or change its value',
      description:
        'NAME=VALUE is text, NAME:=JSON anything else. With --sensitive only the name is given; the value comes from the environment or, whole, from standard input. NAME with --required declares a variable that a nearer level has to fill.',
      examples: [
        ['windlass variable set region=eu --project default', 'text'],
        ["windlass variable set 'nodes:=3' --environment shop/eks", 'a number, for one node'],
        ['windlass variable set db_password --sensitive --environment shop', 'asks for the value'],
        ['windlass variable set DEPLOY_KEY --env --sensitive --project default < id_ed25519', 'a file, line ends too'],
        ['windlass variable set size --required --type number --project default', 'a nearer level must say it'],
        ['windlass variable set AWS_REGION=eu-west-1 --env --project default', 'an environment variable'],
      ],
      flags: [
        ...scopeFlags,
        { flags: '--kind <kind>', description: 'the same as --env, in words', choices: variableKindSchema.options },
        { flags: '--env', description: 'an environment variable of the tool, not one of its inputs' },
        {
          flags: '--type <type>',
          description: 'instead of the type of the value',
          choices: variableTypeSchema.options,
        },
        { flags: '--sensitive', description: 'encrypted, and never shown again' },
        { flags: '--read-only', description: 'nearer levels may not change the value' },
        { flags: '--required', description: 'a run fails before it starts without a value' },
        { flags: '--regex <pattern>', description: 'the value must match' },
        { flags: '--allowed <value>', description: 'one allowed value; several times for several', repeat: true },
        { flags: '--description <text>', description: 'for people' },
      ],
      options: setOptions,
      run: setVariable,
    },
    variable,
  );
  add(
    {
      usage: 'delete <name>',
      aliases: ['rm'],
      summary: 'Delete a variable from one place',
      examples: [
        ['windlass variable delete region --project default', ''],
        ['windlass variable delete var_01jd3k9x2m7q4w8s5t6v', 'by id'],
      ],
      flags: [...scopeFlags, yesFlag],
      options: z.object({ ...scopeOptions, yes: z.boolean().default(false) }),
      async run(call) {
        const { client } = await call.connect();
        const name = call.argument(0);
        const id = /^var_[0-9a-z]+$/.test(name)
          ? name
          : (await findVariable(client, await findScope(client, call.options), name)).id;
        await confirmDelete(call, `variable "${name}"`);
        await client.variables.delete({ params: { id } });
        printDone(call, `Deleted ${name}.`, { deleted: id });
      },
    },
    variable,
  );
}

async function findVariables(client: Client, { scope, scopeId, alias }: Scope, name: string) {
  const { items } = await collect(client.variables.list, { query: { scope, scopeId, alias } });
  return items.filter((item) => item.name === name && (alias === undefined || item.alias === alias));
}

async function findVariable(client: Client, scope: Scope, name: string) {
  const [found] = await findVariables(client, scope, name);
  if (found) return found;
  throw new CliError(`there is no variable "${name}" in ${scope.title}`, { exitCode: exitCodes.usage });
}

interface Given {
  readonly alias: string | undefined;
  readonly name: string;
  readonly type: VariableType;
  /** Absent of a variable that is only declared. */
  readonly value: VariableValue | undefined;
}

async function readAssignment(
  { io, options }: Invocation<z.output<typeof setOptions>>,
  text: string,
  declared: boolean,
): Promise<Given> {
  if (!declared && !options.sensitive) {
    const given = parseAssignment(text, 'variable set');
    const { type = given.type } = options;
    // `size=3 --type number` means the number.
    return given.type === 'text' && type !== 'text'
      ? { ...given, type, value: parseValue(String(given.value), text) }
      : given;
  }
  const { alias, name } = parseName(text, 'variable set');
  if (declared) return { alias, name, type: 'text', value: undefined };
  // Nothing given for a required one declares it: a nearer level has to fill it.
  const [value] = await createSecretReader(io, { mayBeEmpty: options.required })([name]);
  return { alias, name, type: 'text', value: value === '' ? undefined : value };
}

function readAllowed(text: string, type: VariableType): VariableValue {
  return type === 'text' ? text : parseValue(text, '--allowed');
}

async function setVariable(call: Invocation<z.output<typeof setOptions>>): Promise<void> {
  const { options } = call;
  const text = call.argument(0);
  if (options.sensitive && text.includes('=')) {
    throw usageError(
      'a sensitive value does not belong into the arguments: everyone on this machine can read them',
      `windlass variable set ${text.split(/:?=/)[0] ?? ''} --sensitive …   asks for it`,
    );
  }
  const declared = !options.sensitive && !text.includes('=');
  if (declared && !options.required) parseAssignment(text, 'variable set');
  const { client } = await call.connect();
  const scope = await findScope(client, options);
  const assignment = await readAssignment(call, text, declared);
  const alias = assignment.alias ?? scope.alias;
  const kind = options.kind ?? (options.env ? 'environment' : 'tool');
  const known = (await findVariables(client, { ...scope, alias }, assignment.name)).find((item) => item.kind === kind);
  const input = variableInputSchema.parse({
    name: assignment.name,
    kind,
    type: options.type ?? known?.type ?? assignment.type,
    ...(assignment.value === undefined ? {} : { value: assignment.value }),
    sensitive: options.sensitive || known?.sensitive === true,
    readOnly: options.readOnly || known?.readOnly === true,
    required: options.required || known?.required === true,
    ...((options.regex ?? known?.regex) ? { regex: options.regex ?? known?.regex } : {}),
    ...(options.allowed
      ? { allowed: options.allowed.map((value) => readAllowed(value, options.type ?? known?.type ?? assignment.type)) }
      : known?.allowed
        ? { allowed: known.allowed }
        : {}),
    ...((options.description ?? known?.description) ? { description: options.description ?? known?.description } : {}),
    ...(alias === undefined ? {} : { alias }),
  });
  const { warning, ...item }: AnswerOf<Client['variables']['create']> = known
    ? await client.variables.update({ params: { id: known.id }, body: input })
    : await client.variables.create({ query: { scope: scope.scope, scopeId: scope.scopeId, alias }, body: input });
  if (warning) call.printer.remark(oneLine(`It is stored, but ${warning}`));
  printDone(
    call,
    `${known ? 'Changed' : 'Created'} ${oneLine(item.name)} of ${oneLine(scope.title)}${alias === undefined ? '' : `, node ${oneLine(alias)}`}.`,
    item,
  );
}
