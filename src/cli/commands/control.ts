import { z } from 'zod';
import { deploymentSchema, environmentStatusReportSchema } from '../../model/index.ts';
import type { Deployment, DeploymentStatus, Environment } from '../../model/index.ts';
import { ref } from '../client/api-client.ts';
import type { ApiClient } from '../client/api-client.ts';
import type { CommandSpec, Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { followRun } from '../follow/follow.ts';
import type { Session } from '../session.ts';
import { capitalize } from '../follow/words.ts';
import { shellQuote } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import {
  acceptedSchema,
  findDeployment,
  findOpenDeployment,
  followDeployment,
  followFlags,
  followOptions,
  isDeploymentId,
  startRun,
  variableFlags,
  variableOptions,
} from './runs.ts';
import { createSecretReader, findPlace, printDone } from './shared.ts';
import { readVariables } from './variables-input.ts';

const anything = z.unknown();
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
        return stop(call, session, { deployment, verb, ending });
      },
    });
  }
  addRollback(registry);
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
        const answer = await client.post(`deployments/${ref(deployment.id)}/${verb}`, anything);
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

/** The run in progress that has the node. */
async function findNode(
  { client }: Pick<Session, 'client'>,
  reference: string,
  verb: string,
): Promise<{ readonly deployment: Deployment; readonly alias: string; readonly path: string }> {
  const { root, alias } = await findPlace(client, reference);
  if (alias === null && root.type === 'workflow')
    throw usageError(
      `"${root.name}" is a whole environment: name a node`,
      `windlass ${verb} ${shellQuote(`${root.name}/NODE`)}`,
    );
  const deployment = await findOpenDeployment(client, root);
  const node = alias ?? 'main';
  return { deployment, alias: node, path: `deployments/${ref(deployment.id)}/nodes/${ref(node)}` };
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
      const { alias, path } = await findNode({ client }, call.argument(0), 'retry');
      const variables = await readVariables(call.options, alias, createSecretReader(call.io));
      if (variables.length > 0) await client.put(`${path}/variables`, anything, variables);
      const answer = await client.post(`${path}/retry`, anything);
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
      const { alias, path } = await findNode({ client }, call.argument(0), 'skip');
      const answer = await client.post(`${path}/skip`, anything);
      printDone(call, `${alias} is left out; what waited on it goes on`, answer);
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
async function stop(call: StopCall, session: Session, { deployment, verb, ending }: Stop): Promise<number> {
  const { client } = session;
  const reason = call.options.reason;
  const path = `deployments/${ref(deployment.id)}/${verb}`;
  const { warning, ...asked } = await client.post(path, acceptedSchema, reason === undefined ? {} : { reason });
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
async function describeNextRun(client: ApiClient, stopped: Deployment): Promise<string[]> {
  const path = `environments/${ref(stopped.environmentId)}/status`;
  // The stop itself is done and told; that the rest cannot be seen is no failure of it.
  const report = await client.get(path, environmentStatusReportSchema).catch(() => null);
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

function addRollback({ add }: Registry): void {
  const options = z.object({
    ...followOptions,
    reason: z.string().optional(),
    comment: z.string().optional(),
    to: z.string().optional(),
  });
  add({
    usage: 'rollback <environment>',
    summary: 'Take an environment back to its last successful deployment',
    description:
      'While a run is in progress: stops it and takes back what it began to change, in reverse. After it: a new deployment from the snapshot of the last successful one, or of the one named with --to.',
    examples: [
      ['windlass rollback shop', 'the running or the last run'],
      ['windlass rollback shop --to 7', 'to what deployment 7 had deployed'],
    ],
    flags: [
      { flags: '--to <number>', description: 'number or id of the deployment whose snapshot is restored' },
      { flags: '--reason <text>', description: 'kept with the run that is stopped' },
      { flags: '--comment <text>', description: 'kept with the new deployment that --to makes' },
      ...followFlags,
    ],
    options,
    async run(call) {
      const session = await call.connect();
      const { client } = session;
      const reference = call.argument(0);
      const { to, comment } = call.options;
      if (to === undefined) {
        const deployment = await rollbackTarget(session, reference);
        return stop(call, session, { deployment, verb: 'rollback', ending: 'rolledBack' });
      }
      const { root } = await findPlace(client, reference);
      const target = await findDeployment(client, root, to);
      return startRun(call, session, root, {
        type: 'rollback',
        rollbackTo: target.id,
        ...(comment ? { comment } : {}),
      });
    },
  });
}

/** The run in progress, or else the last one that changed something. */
async function rollbackTarget(session: Session, reference: string): Promise<Deployment> {
  const { client } = session;
  if (isDeploymentId(reference)) return findDeployment(client, null, reference);
  const { root } = await findPlace(client, reference);
  return client.get(
    `deployments/${ref(root.currentDeploymentId ?? (await lastDeployment(session, reference)))}`,
    deploymentSchema,
  );
}

function addResume({ add }: Registry): void {
  add({
    usage: 'resume <environment>',
    summary: 'Run the failed and skipped nodes of the last deployment again, keep the rest',
    examples: [
      ['windlass resume shop', 'with the file as it was'],
      ['windlass resume shop --refresh', 'with the file as it is now'],
      ['windlass resume dep_01jd3k9x', 'a certain deployment'],
    ],
    flags: [{ flags: '--refresh', description: 'read the workflow file again' }, ...followFlags],
    options: z.object({ ...followOptions, refresh: z.boolean().default(false) }),
    async run(call) {
      const session = await call.connect();
      const id = await lastDeployment(session, call.argument(0));
      const deployment = await session.client.post(`deployments/${ref(id)}/resume`, deploymentSchema, {
        refresh: call.options.refresh,
      });
      return followDeployment(call, session, deployment);
    },
  });
}

async function lastDeployment({ client }: Session, reference: string): Promise<string> {
  if (isDeploymentId(reference)) return reference;
  const { root } = await findPlace(client, reference);
  const { items } = await client.list('deployments', deploymentSchema, { query: { environment: root.id }, limit: 50 });
  // Plans and drift checks leave nothing to resume.
  const last = items.find(({ type }) => type !== 'plan' && type !== 'drift');
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
