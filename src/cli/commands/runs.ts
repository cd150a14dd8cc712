import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { deploymentRequestSchema, failurePolicies, isTerminalDeployment } from '../../model/index.ts';
import type { Deployment, DeploymentRequest, Environment } from '../../model/index.ts';
import type { Flag, Invocation } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { requestConfirmed } from './confirm-destroys.ts';
import type { Confirmation } from './confirm-destroys.ts';
import { describeAccepted, followRun } from '../follow/follow.ts';
import { shellQuote } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import type { Session } from '../session.ts';
import { printValue } from './shared.ts';

export const followFlags: readonly Flag[] = [
  { flags: '--detach', description: 'do not follow the run' },
  { flags: '--detach-on-approval', description: 'leave with code 4 when nothing goes on without a person' },
];
export const followOptions = { detach: z.boolean().default(false), detachOnApproval: z.boolean().default(false) };

export const variableFlags: readonly Flag[] = [
  {
    flags: '--var <[node/]name=value>',
    description: 'variable of the tool for this run; name:=json for other types than text',
    repeat: true,
  },
  { flags: '--env <[node/]name=value>', description: 'environment variable for this run', repeat: true },
  {
    flags: '--secret <[node/]name>',
    description: 'sensitive variable of the tool; its value comes from the environment or standard input',
    repeat: true,
  },
  { flags: '--secret-env <[node/]name>', description: 'sensitive environment variable, likewise', repeat: true },
];
export const variableOptions = {
  var: z.array(z.string()).optional(),
  env: z.array(z.string()).optional(),
  secret: z.array(z.string()).optional(),
  secretEnv: z.array(z.string()).optional(),
};

export const envelopeFlags: readonly Flag[] = [
  { flags: '--max-changes <n>', description: 'later plans with at most this many changes go on by themselves' },
  { flags: '--max-destroys <n>', description: 'of which at most this many destroy something (default 0)' },
  { flags: '--types <list>', description: 'resource types that may change, with commas between' },
];
const count = z.coerce.number('expected a whole number').int('expected a whole number').min(0).optional();
export const envelopeOptions = { maxChanges: count, maxDestroys: count, types: z.string().optional() };

/** One approval with bounds, when any bound was given. */
export function readEnvelope(options: {
  maxChanges?: number | undefined;
  maxDestroys?: number | undefined;
  types?: string | undefined;
}) {
  const { maxChanges, maxDestroys, types } = options;
  if (maxChanges === undefined && maxDestroys === undefined && types === undefined) return undefined;
  const allowedTypes = types
    ?.split(',')
    .map((type) => type.trim())
    .filter(Boolean);
  return {
    maxDestroys: maxDestroys ?? 0,
    ...(maxChanges === undefined ? {} : { maxChanges }),
    ...(allowedTypes ? { allowedTypes } : {}),
  };
}

export const commonRunFlags: readonly Flag[] = [
  { flags: '--revision <revision>', description: 'branch, tag or commit of the workflow file, for this run' },
  { flags: '--approve', description: 'apply without asking, whatever the file and the settings say' },
  { flags: '--require-approval', description: 'ask before every apply' },
  { flags: '--on-failure <policy>', description: 'what a failed node means for the others', choices: failurePolicies },
  { flags: '--force', description: 'run nodes that are unchanged too; destroy a node although others need it' },
  { flags: '--comment <text>', description: 'kept with the deployment' },
];
export const commonRunOptions = {
  revision: z.string().optional(),
  approve: z.boolean().default(false),
  requireApproval: z.boolean().default(false),
  onFailure: z.enum(failurePolicies).optional(),
  force: z.boolean().default(false),
  comment: z.string().optional(),
};

/** `--approve` and `--require-approval` as the request has it; undefined leaves it to the file and the settings. */
export function readApprovalChoice(options: {
  readonly approve: boolean;
  readonly requireApproval: boolean;
}): boolean | undefined {
  if (options.approve && options.requireApproval)
    throw usageError('--approve and --require-approval exclude each other');
  if (options.approve) return false;
  return options.requireApproval ? true : undefined;
}

export const moveFlags: readonly Flag[] = [
  { flags: '--moved <old=new>', description: 'an alias that was renamed: its resources stay', repeat: true },
  { flags: '--replace-renamed', description: 'what looks like a renamed alias is destroyed and made anew' },
];
export const moveOptions = { moved: z.array(z.string()).optional(), replaceRenamed: z.boolean().default(false) };

/** `--moved` as the request has it. */
export function readMoves(moved: readonly string[] = []): { moves?: Record<string, string> } {
  if (moved.length === 0) return {};
  const pairs = moved.map((text) => {
    const [from, to, ...rest] = text.split('=');
    if (!from || !to || rest.length > 0) throw usageError(`--moved ${text}: expected OLD=NEW, two aliases`);
    return [from, to] as const;
  });
  return { moves: Object.fromEntries(pairs) };
}

type RunCall = Pick<
  Invocation<{ readonly detach: boolean; readonly detachOnApproval: boolean }>,
  'io' | 'printer' | 'options'
>;

/** Asks for a run and follows it. Answers the exit code. With `confirm` a person is asked before anything is destroyed. */
export async function startRun(
  call: RunCall,
  session: Session,
  environment: Pick<Environment, 'id'>,
  request: z.input<typeof deploymentRequestSchema>,
  confirm?: Pick<Confirmation<unknown>, 'yes' | 'what' | 'command'>,
): Promise<number> {
  const { client } = session;
  const body: DeploymentRequest = deploymentRequestSchema.parse(request);
  const params = { ref: environment.id };
  const post = (mayDestroy: string[] | undefined) =>
    client.environments.requestDeployment({
      params,
      body: { ...body, ...(mayDestroy === undefined ? {} : { mayDestroy }) },
    });
  const { warning, ...deployment } = await (confirm === undefined
    ? post(undefined)
    : requestConfirmed(call, {
        ...confirm,
        request: post,
        preview: () => client.environments.preview({ params, body }),
      }));
  if (warning) call.printer.remark(oneLine(warning));
  return followDeployment(call, session, deployment);
}

export async function followDeployment(call: RunCall, session: Session, deployment: Deployment): Promise<number> {
  if (call.options.detach) {
    if (call.printer.format === 'table') call.printer.lines(describeAccepted(deployment));
    else printValue(call, deployment);
    if (session.embedded)
      call.printer.remark('The server of this command stops now; the run goes on at the next start: windlass up');
    return exitCodes.done;
  }
  const { exitCode } = await followRun({
    io: call.io,
    client: session.client,
    printer: call.printer,
    deploymentId: deployment.id,
    detachOnApproval: call.options.detachOnApproval,
    embedded: session.embedded,
  });
  return exitCode;
}

/** A deployment by id or prefix, or by its number in an environment. */
export function findDeployment(
  client: Client,
  environment: Environment | null,
  reference: string,
): Promise<Deployment> {
  const whole = environment !== null && /^\d{1,9}$/.test(reference) ? `${environment.id}#${reference}` : reference;
  return client.deployments.get({ params: { ref: whole } });
}

const looksLikeDeployment = /^dep_[0-9a-z]+$/;

export function isDeploymentId(reference: string): boolean {
  return looksLikeDeployment.test(reference);
}

/** The run of an environment that is not over. Several at once (a plan beside a deploy) must be told apart by id. */
export async function findOpenDeployment(client: Client, environment: Environment): Promise<Deployment> {
  const { items } = await collect(client.deployments.list, { query: { environment: environment.id } }, { limit: 50 });
  const open = items.filter((deployment) => !isTerminalDeployment(deployment.status));
  const current = open.find((deployment) => deployment.id === environment.currentDeploymentId);
  const [only, second] = open;
  if (current) return current;
  if (!only) {
    throw new CliError(`nothing is running in "${environment.name}"`, {
      exitCode: exitCodes.failed,
      hint: `its runs: windlass deployment list ${shellQuote(environment.name)}`,
    });
  }
  if (second) {
    throw usageError(
      `"${environment.name}" has ${open.length} open runs: which one?`,
      open.map((deployment) => `${deployment.id}  ${deployment.type}, ${deployment.status}`).join('\n'),
    );
  }
  return only;
}
