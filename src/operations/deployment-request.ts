import { formatProblem, listed, quote, readValue, unknownAliases } from '../definition/index.ts';
import type {
  Actor,
  Deployment,
  DeploymentRequest,
  DeploymentType,
  Environment,
  PartialRun,
  Permission,
  Problem,
  Trigger,
} from '../model/index.ts';
import {
  assertNever,
  deploymentRequestSchema,
  isReadOnly,
  isTerminalDeployment,
  WindlassError,
} from '../model/index.ts';
import { findDeployment, lastSuccessBeforeNumber, listSubEnvironments } from '../store/index.ts';
import type { Db } from '../store/index.ts';

import { mayApprove, waiverProblem, withoutWaivers } from './approval-waivers.ts';
import { authorize } from './context.ts';
import type { Place } from './places.ts';
import { requirePresent, requireUnlocked } from './places.ts';
import { requireSteering, variableNameProblem } from './variable-names.ts';
import type { z } from 'zod';

/** A request as a caller writes it; what is left out has its default. */
export type DeploymentRequestInput = z.input<typeof deploymentRequestSchema>;

/** What is left to decide once a request has been checked. */
export interface CheckedRequest {
  readonly type: DeploymentType;
  readonly request: DeploymentRequest;
  readonly basedOn: string | null;
  readonly mayWaiveApproval: boolean;
}

/** What it takes to ask for a run. Execute carries rollback. */
function permissionsFor(type: DeploymentType): readonly Permission[] {
  switch (type) {
    case 'plan':
    case 'drift':
      return ['plan', 'execute'];
    case 'deploy':
    case 'destroy':
      return ['execute'];
    case 'rollback':
      return ['execute', 'rollback'];
    default:
      return assertNever(type, 'type of deployment');
  }
}

/** Throws `forbidden` unless the actor has one of the permissions. */
export function authorizeAny(actor: Actor, permissions: readonly Permission[], projectId: string): void {
  let last: unknown;
  for (const permission of permissions) {
    try {
      authorize(actor, permission, projectId);
      return;
    } catch (thrown) {
      last = thrown;
    }
  }
  throw last;
}

function invalid(message: string, path: string, hint?: string): WindlassError {
  return new WindlassError('invalidInput', message, { problems: [{ path, message }], ...(hint ? { hint } : {}) });
}

/** A run of one node is a partial run of its parent. */
function partialFor(place: Place, request: DeploymentRequest): PartialRun | undefined {
  const { partial } = request;
  const { alias } = place;
  if (alias === null) return partial;
  if (partial !== undefined && partial.node !== alias) {
    throw invalid(
      `"${place.name}" is the node "${alias}", but the request is for "${partial.node}"`,
      'partial.node',
      `ask for "${place.root.name}"`,
    );
  }
  switch (request.type) {
    case 'deploy':
      return partial ?? { operation: 'single-node-deploy', node: alias, trickleDown: 'changed-outputs' };
    case 'destroy':
      return partial ?? { operation: 'single-node-destroy', node: alias, force: request.force };
    case 'plan':
    case 'drift':
      return partial ?? { operation: 'single-node-deploy', node: alias, trickleDown: 'none' };
    case 'rollback':
      throw new WindlassError(
        'conflict',
        `"${place.name}" cannot be rolled back alone: its outputs belong to the graph of "${place.root.name}"`,
        {
          hint: `roll back "${place.root.name}", or deploy the node with an earlier revision`,
        },
      );
    default:
      return assertNever(request.type, 'type of deployment');
  }
}

/**
 * Destroying one node is a run of the graph that keeps the rest, so it is of type `deploy`: a run of type `destroy` takes
 * everything down.
 */
function typeFor(request: DeploymentRequest, partial: PartialRun | undefined): DeploymentType {
  if (partial === undefined) return request.type;
  if (partial.operation === 'single-node-destroy') {
    if (request.type === 'deploy' || request.type === 'destroy') return 'deploy';
    throw invalid(`A ${request.type} cannot destroy a node`, 'partial.operation');
  }
  if (request.type === 'destroy') {
    throw invalid(`A destroy of one node is single-node-destroy, not ${partial.operation}`, 'partial.operation');
  }
  if (request.type === 'rollback') throw invalid('A rollback is of the whole environment', 'partial');
  return request.type;
}

/** What acts on what is there can only name nodes that are there. */
async function requireAliases(
  db: Db,
  place: Place,
  request: DeploymentRequest,
  partial: PartialRun | undefined,
): Promise<void> {
  const single = place.root.type !== 'workflow';
  // What a deploy or plan may name is in the file, which is read when the run begins.
  const fromFile =
    (request.type === 'deploy' || request.type === 'plan') &&
    partial?.operation !== 'single-node-destroy' &&
    request.restoreNodes === undefined &&
    (request.resume === undefined || request.resume.refresh);
  if (fromFile && !single) return;
  const named = request.variables.some(({ alias }) => alias !== undefined) || request.nodeApprovals !== undefined;
  if (partial === undefined && !named && request.restoreNodes === undefined) return;
  const known = single ? ['main'] : (await listSubEnvironments(db, place.root.id)).flatMap((node) => node.alias ?? []);
  if (partial !== undefined && !known.includes(partial.node)) {
    throw new WindlassError('notFound', `"${place.root.name}" has no node "${partial.node}"`, {
      problems: [{ path: 'partial.node', message: 'no such node' }],
      hint: known.length > 0 ? `it has ${listed(known.map(quote), 'and')}` : 'it was never deployed',
    });
  }
  const problems = unknownAliases(request, { known, of: place.root.name });
  const [first] = problems;
  if (first !== undefined) {
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : '';
    throw new WindlassError('invalidInput', `${first.message}${more}`, { problems });
  }
}

async function checkResume(db: Db, place: Place, request: DeploymentRequest): Promise<Deployment | null> {
  if (request.resume === undefined) return null;
  if (request.type !== 'deploy') throw invalid(`A ${request.type} cannot resume a deployment`, 'resume');
  if (request.partial !== undefined || place.alias !== null)
    throw invalid('A resume runs all failed and skipped nodes, not one', 'partial');
  const base = await findDeployment(db, request.resume.deployment, [place.root.projectId]);
  if (base.environmentId !== place.root.id) {
    throw invalid(
      `Deployment ${base.id} is one of "${base.environmentName}", not of "${place.root.name}"`,
      'resume.deployment',
    );
  }
  if (!isTerminalDeployment(base.status)) {
    throw new WindlassError(
      'conflict',
      `Deployment ${base.number} of "${base.environmentName}" is not over: it is ${base.status}`,
      {
        hint: 'retry or skip its failed nodes while it runs',
      },
    );
  }
  if (base.status === 'succeeded') {
    throw new WindlassError(
      'conflict',
      `Deployment ${base.number} of "${base.environmentName}" succeeded: nothing is left to resume`,
      {
        hint: 'deploy again instead',
      },
    );
  }
  if (base.counts.total === 0 && !request.resume.refresh) {
    throw new WindlassError(
      'conflict',
      `Deployment ${base.number} of "${base.environmentName}" ended before it knew its nodes: nothing is there to resume`,
      { hint: 'resume it with the file read again: --refresh' },
    );
  }
  if (request.resume.refresh && (base.type !== 'deploy' || base.request.partial?.operation === 'single-node-destroy')) {
    throw new WindlassError('conflict', `Deployment ${base.number} does not deploy what the file says`, {
      hint: 'resume it without the refreshed file',
    });
  }
  if (isReadOnly(base.type))
    throw new WindlassError('conflict', `A ${base.type} cannot be resumed`, { hint: 'ask for another' });
  return base;
}

async function checkRollback(db: Db, place: Place, request: DeploymentRequest): Promise<Deployment | null> {
  if (request.type !== 'rollback') {
    if (request.rollbackTo === undefined) return null;
    if (request.type !== 'plan' || request.partial !== undefined)
      throw invalid('rollbackTo is for a rollback, or the plan of one', 'rollbackTo');
  }
  if (request.rollbackTo === undefined) return null;
  const numbered = /^\d{1,9}$/.test(request.rollbackTo) ? `${place.root.id}#${request.rollbackTo}` : request.rollbackTo;
  const target = await findDeployment(db, numbered, [place.root.projectId]);
  if (target.environmentId !== place.root.id) {
    throw invalid(
      `Deployment ${target.id} is one of "${target.environmentName}", not of "${place.root.name}"`,
      'rollbackTo',
    );
  }
  if (target.status !== 'succeeded' || (target.type !== 'deploy' && target.type !== 'rollback')) {
    throw new WindlassError(
      'conflict',
      `Deployment ${target.number} is a ${target.type} that ${target.status}: only a successful deploy can be gone back to`,
      {
        hint: 'leave rollbackTo out for the last successful one',
      },
    );
  }
  return target;
}

/** The last successful deployment before this one. Throws `conflict` when there is none to go back to. */
export async function lastSuccessBefore(
  db: Db,
  { environmentId, environmentName, number }: Deployment,
): Promise<string> {
  const target = await lastSuccessBeforeNumber(db, environmentId, number);
  if (target) return target.id;
  throw new WindlassError(
    'conflict',
    `"${environmentName}" has no successful deployment before number ${number} to go back to`,
    { hint: 'destroy it instead, or name a deployment to go back to' },
  );
}

/** Time to live that has passed while nothing was deployed has to be set anew before a deploy. */
function requireLiveTtl(environment: Environment, type: DeploymentType, nowMs: number): void {
  if (type !== 'deploy' && type !== 'rollback') return;
  const { ttl } = environment.settings;
  const passed = ttl?.kind === 'date' && Date.parse(ttl.at) <= nowMs;
  if (!passed || environment.status === 'active' || environment.status === 'partlyDeployed') return;
  throw new WindlassError(
    'conflict',
    `The time to live of "${environment.name}" ended at ${new Date(ttl.at).toISOString()}: set a new one first`,
    {
      hint: `windlass ttl set ${environment.name} 8h`,
    },
  );
}

/** A firing of a schedule that was changed or taken away since is no request. */
function requireScheduled(environment: Environment, type: DeploymentType, trigger: Trigger): void {
  const { schedule, drift } = environment.settings;
  const gone = (): WindlassError =>
    new WindlassError('conflict', `"${environment.name}" has no ${type} schedule any more, or it is paused`, {
      hint: 'nothing is to be done',
    });
  if (trigger === 'schedule') {
    const cron = type === 'deploy' ? schedule?.deploy : type === 'destroy' ? schedule?.destroy : undefined;
    if (schedule === undefined || schedule.paused || cron === undefined) throw gone();
  }
  if (trigger === 'drift' && type === 'drift' && (drift === undefined || drift.paused)) throw gone();
}

/** Throws `invalidInput` with every problem of variables that are given for a run. */
export function checkVariables(variables: DeploymentRequest['variables']): void {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  variables.forEach((variable, index) => {
    const path = `variables[${index}]`;
    const key = `${variable.kind} ${variable.name} ${variable.alias ?? ''}`;
    if (seen.has(key)) problems.push({ path, message: `"${variable.name}" is given twice` });
    seen.add(key);
    const name = variableNameProblem(variable);
    if (name !== null) problems.push({ path: `${path}.name`, message: `"${variable.name}" ${name}` });
    if (variable.value === undefined)
      problems.push({ path: `${path}.value`, message: `"${variable.name}" has no value` });
    else {
      const { problem } = readValue(variable.type, variable.value);
      if (problem !== null) problems.push({ path: `${path}.value`, message: `"${variable.name}" ${problem}` });
    }
  });
  if (problems.length === 0) return;
  const first = problems[0];
  throw new WindlassError(
    'invalidInput',
    `The variables of the request are not usable: ${first ? formatProblem(first) : ''}`,
    { problems },
  );
}

/** Checks a request for a run against what is known now. Nothing is changed. */
export async function checkDeploymentRequest(
  db: Db,
  ask: {
    readonly actor: Actor;
    readonly place: Place;
    readonly request: DeploymentRequestInput;
    readonly trigger: Trigger;
    readonly nowMs: number;
  },
): Promise<CheckedRequest> {
  const { actor, place, trigger } = ask;
  const request = deploymentRequestSchema.parse(ask.request);
  authorizeAny(actor, permissionsFor(request.type), place.root.projectId);
  requirePresent(place);
  const partial = partialFor(place, request);
  const resumed = await checkResume(db, place, request);
  // What is resumed stays what it is: the rest of a destroy is a destroy, not a deploy to go back to later.
  const type = resumed?.type ?? typeFor(request, partial);
  if (!isReadOnly(type)) requireUnlocked(place);
  requireLiveTtl(place.root, type, ask.nowMs);
  requireScheduled(place.root, type, trigger);
  checkVariables(request.variables);
  requireSteering(
    actor,
    place.root.projectId,
    request.variables.map(({ name, kind }, index) => ({ name, kind, path: `variables[${index}]` })),
  );
  await requireAliases(db, place, request, partial);
  const refused = await waiverProblem(db, { actor, place, type, request: { ...request, partial } });
  // A resume carries what the first request had: without its waivers the rest asks, instead of being refused.
  if (refused !== null && request.resume === undefined) throw refused;
  const target = await checkRollback(db, place, request);
  return {
    type,
    request: {
      ...(refused === null ? request : withoutWaivers(request)),
      type,
      ...(partial === undefined ? {} : { partial }),
      ...(resumed && request.resume ? { resume: { ...request.resume, deployment: resumed.id } } : {}),
      ...(target ? { rollbackTo: target.id } : {}),
    },
    basedOn: resumed?.id ?? target?.id ?? null,
    mayWaiveApproval: mayApprove(actor, place.root.projectId),
  };
}
