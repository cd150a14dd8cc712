import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { isReadOnly } from '../../model/index.ts';
import type { Deployment, DeploymentStatus, Environment } from '../../model/index.ts';
import type { CommandSpec, Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { requestConfirmed } from './confirm-destroys.ts';
import { yesFlag } from './options.ts';
import { followRun } from '../follow/follow.ts';
import type { Session } from '../session.ts';
import { capitalize } from '../follow/words.ts';
import { shellQuote } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import {
  findDeployment,
  findOpenDeployment,
  followDeployment,
  followFlags,
  followOptions,
  isDeploymentId,
  variableFlags,
  variableOptions,
} from './runs.ts';
import { createSecretReader, findPlace, printDone } from './shared.ts';
import { readVariables } from './variables-input.ts';

const stopOptions = z.object({ detach: z.boolean().default(false), reason: z.string().optional() });
type StopCall = Invocation<z.output<typeof stopOptions>>;

interface StopVerb {
  readonly verb: 'cancel' | 'abort';
  readonly summary: string;
  readonly description: string;
  readonly ending: DeploymentStatus;
  readonly examples: CommandSpec<z.ZodType>['examples'];
}

const stopVerbs: readonly StopVerb[] = [
  {
    verb: 'cancel',
    summary: 'Stop a run: drop what waits, let running tools finish',
    description:
      'Drops what is queued or waiting. A tool that is changing something is let to its end. Nothing is taken back.',
    ending: 'cancelled',
    examples: [
      ['windlass cancel shop', 'the run in progress, or the queued one'],
      ['windlass cancel dep_01jd3k9x', 'a certain run'],
    ],
  },
  {
    verb: 'abort',
    summary: 'Stop a run now: interrupt tools, take nothing back',
    description:
      'Interrupts running tools, waits for their state to be written and their locks to be free. Nothing is taken back.',
    ending: 'aborted',
    examples: [['windlass abort shop', 'then: windlass resume shop, or windlass rollback shop']],
  },
];

export function addControl(registry: Registry): void {
  const { add } = registry;
  for (const { verb, summary, description, ending, examples } of stopVerbs) {
    add({
      usage: `${verb} <environment>`,
      summary,
      description,
      examples,
      flags: [
        { flags: '--reason <text>', description: 'kept with the run' },
        { flags: '--detach', description: 'do not wait for the end' },
      ],
      options: stopOptions,
      async run(call) {
        const session = await call.connect();
        const deployment = await findRun(session, call.argument(0));
        return stopRun(call, session, { deployment, verb, ending });
      },
    });
  }
  addResume(registry);
  for (const [verb, summary] of [
    ['pause', 'Start nothing new in a run; what runs goes on'],
    ['continue', 'Let a paused run go on'],
  ] as const) {
    add({
      usage: `${verb} <environment>`,
      summary,
      examples: [
        [
          `windlass ${verb} shop`,
          verb === 'pause' ? 'go on later with: windlass continue shop' : 'after: windlass pause shop',
        ],
      ],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const deployment = await findRun({ client }, call.argument(0));
        const answer = await client.deployments[verb]({ params: { ref: deployment.id } });
        const name = shellQuote(deployment.environmentName);
        printDone(
          call,
          verb === 'pause'
            ? `Paused. Running nodes finish, nothing new starts. Go on with:  windlass continue ${name}`
            : 'The run goes on.',
          answer,
        );
      },
    });
  }
  addRepair(registry);
}

/** The run in progress that has the node, as routes about both name it. */
async function findNode(
  { client }: Pick<Session, 'client'>,
  reference: string,
  verb: string,
): Promise<{ readonly ref: string; readonly alias: string }> {
  const { root, alias } = await findPlace(client, reference);
  if (alias === null && root.type === 'workflow')
    throw usageError(
      `"${root.name}" is a whole environment: name a node`,
      `windlass ${verb} ${shellQuote(`${root.name}/NODE`)}`,
    );
  const deployment = await findOpenDeployment(client, root);
  return { ref: deployment.id, alias: alias ?? 'main' };
}

function addRepair({ add }: Registry): void {
  add({
    usage: 'retry <node>',
    summary: 'Run a failed or paused node of a running deployment again',
    description: 'What waited on it follows. Variables given here are for this run only.',
    examples: [
      ['windlass retry shop/db', 'while its siblings go on'],
      ['windlass retry shop/eks --var size=3', 'with a variable changed'],
      ['windlass retry shop/eks --secret-env AWS_SESSION_TOKEN', 'with new credentials, read from the environment'],
    ],
    flags: variableFlags,
    options: z.object(variableOptions),
    async run(call) {
      const { client } = await call.connect();
      const params = await findNode({ client }, call.argument(0), 'retry');
      const { alias } = params;
      const variables = await readVariables(call.options, alias, createSecretReader(call.io));
      if (variables.length > 0) await client.deployments.setNodeVariables({ params, body: variables });
      const answer = await client.deployments.retryNode({ params });
      printDone(call, `${alias} is run again; what waited on it follows`, answer);
    },
  });
  add({
    usage: 'skip <node>',
    summary: 'Leave out a node of a running deployment; what waits on it goes on',
    examples: [['windlass skip shop/db', 'while its siblings go on']],
    options: noOptions,
    async run(call) {
      const { client } = await call.connect();
      const params = await findNode({ client }, call.argument(0), 'skip');
      const answer = await client.deployments.skipNode({ params });
      printDone(call, `${params.alias} is left out; what waited on it goes on`, answer);
    },
  });
}

async function findRun({ client }: Pick<Session, 'client'>, reference: string): Promise<Deployment> {
  if (isDeploymentId(reference)) return findDeployment(client, null, reference);
  const { root } = await findPlace(client, reference);
  return findOpenDeployment(client, root);
}

interface Stop {
  readonly deployment: Deployment;
  readonly verb: 'cancel' | 'abort' | 'rollback';
  readonly ending: DeploymentStatus;
}

/** Asks for a stop and waits for the run's end. Done when it ended in the way that was asked for. */
export async function stopRun(call: StopCall, session: Session, { deployment, verb, ending }: Stop): Promise<number> {
  const { client } = session;
  const reason = call.options.reason;
  const { warning, ...asked }: Deployment & { warning?: string | undefined } = await client.deployments[verb]({
    params: { ref: deployment.id },
    body: { reason },
  });
  if (warning) call.printer.remark(warning);
  // A rollback of a run that is over is a run of its own.
  if (asked.id !== deployment.id) {
    return followDeployment({ ...call, options: { detachOnApproval: false, ...call.options } }, session, asked);
  }
  if (call.options.detach) {
    printDone(call, `Asked. See how it ends:  windlass deployment watch ${deployment.id}`, asked);
    if (call.printer.format === 'table') call.printer.lines(await describeNextRun(client, deployment));
    return exitCodes.done;
  }
  const { exitCode, view } = await followRun({
    io: call.io,
    client,
    printer: call.printer,
    deploymentId: deployment.id,
    stayOnApproval: true,
    embedded: session.embedded,
  });
  if (call.printer.format === 'table') call.printer.lines(await describeNextRun(client, deployment));
  if (view?.deployment.status === ending) return exitCodes.done;
  return exitCode === exitCodes.done ? exitCodes.failed : exitCode;
}

/** Which run has the turn of an environment now that one was stopped, or gets it next. */
async function describeNextRun(client: Client, stopped: Deployment): Promise<string[]> {
  // The stop itself is done and told; that the rest cannot be seen is no failure of it.
  const report = await client.environments.status({ params: { ref: stopped.environmentId } }).catch(() => null);
  if (report === null) return [];
  const { current, queued } = report;
  const describe = ({ number, type, requestedBy }: Deployment): string =>
    `deployment ${number} (${type}, asked for by ${oneLine(requestedBy)})`;
  const waiting = queued.find(({ id }) => id !== stopped.id);
  const running = current !== null && current.id !== stopped.id ? current : null;
  if (running !== null) {
    const verb = running.number > stopped.number ? 'starts now' : 'goes on';
    return [`${capitalize(describe(running))} ${verb}:  windlass deployment watch ${running.id}`];
  }
  if (waiting === undefined) return [];
  return [`${capitalize(describe(waiting))} is next in the queue; drop it too:  windlass cancel ${waiting.id}`];
}

function addResume({ add }: Registry): void {
  add({
    usage: 'resume <environment>',
    summary: 'Run the failed and skipped nodes of the last deployment again, keep the rest',
    examples: [
      ['windlass resume shop', 'with the file and code as they were'],
      ['windlass resume shop --refresh', 'with the file and code as they are now'],
      ['windlass resume dep_01jd3k9x', 'a certain deployment'],
    ],
    flags: [
      { flags: '--refresh', description: 'read the workflow file and the code again' },
      { flags: '--as-it-was', description: 'with the snapshot, although its code failed and has changed since' },
      yesFlag,
      ...followFlags,
    ],
    options: resumeOptions,
    async run(call) {
      const { options, printer } = call;
      if (options.refresh && options.asItWas) throw usageError('--refresh and --as-it-was exclude each other');
      const session = await call.connect();
      const id = await lastDeployment(session, call.argument(0));
      const { client } = session;
      const choice = options.refresh || options.asItWas ? { refresh: options.refresh } : {};
      const base = await client.deployments.get({ params: { ref: id } });
      const { warning, ...deployment } = await requestConfirmed(call, {
        yes: options.yes,
        what: `resuming "${base.environmentName}"`,
        command: `windlass resume ${shellQuote(call.argument(0))}${options.refresh ? ' --refresh' : ''}`,
        request: (mayDestroy) =>
          client.deployments.resume({
            params: { ref: id },
            body: {
              ...choice,
              // With the snapshot, what may be destroyed was said when the resumed run was asked for.
              ...(mayDestroy?.length === 0 && !options.refresh ? {} : { mayDestroy: mayDestroy ?? null }),
            },
          }),
        preview: () =>
          client.environments.preview({
            params: { ref: base.environmentId },
            body: {
              type: 'deploy',
              resume: { deployment: base.id, refresh: true },
            },
          }),
      });
      if (warning) printer.remark(oneLine(warning));
      return followDeployment(call, session, deployment);
    },
  });
}

const resumeOptions = z.object({
  ...followOptions,
  refresh: z.boolean().default(false),
  asItWas: z.boolean().default(false),
  yes: z.boolean().default(false),
});

export async function lastDeployment({ client }: Session, reference: string): Promise<string> {
  if (isDeploymentId(reference)) return reference;
  const { root } = await findPlace(client, reference);
  const { items } = await collect(client.deployments.list, { query: { environment: root.id } }, { limit: 50 });
  // Plans and drift checks leave nothing to resume.
  const last = items.find(({ type }) => !isReadOnly(type));
  if (last) return last.id;
  return neverRun(root);
}

function neverRun(environment: Environment): never {
  const name = shellQuote(environment.name);
  throw new CliError(`"${environment.name}" was never deployed`, {
    exitCode: exitCodes.failed,
    hint: `windlass deploy ${name}`,
  });
}
