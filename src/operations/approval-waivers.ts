/** Requests that would do without an approval which the saved settings demand. */
import { approvalInRequest, approvalSettingsWithin, isInside, waiverRefusal } from '../definition/index.ts';
import type { PlacedNode } from '../definition/index.ts';
import type { Actor, DeploymentRequest, DeploymentType, Environment } from '../model/index.ts';
import { isReadOnly, WindlassError } from '../model/index.ts';
import { listSubEnvironments } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import { can } from '../access/index.ts';
import { principalOf } from './context.ts';
import type { Place } from './places.ts';

interface Ask {
  readonly actor: Actor;
  readonly place: Place;
  readonly type: DeploymentType;
  readonly request: DeploymentRequest;
}

/** A person who may approve in this project. Windlass itself never does: whoever set a timer need not have been one. */
export function mayApprove(actor: Actor, projectId: string): boolean {
  return actor.kind !== 'system' && can(principalOf(actor), 'approve', { projectId });
}

/** The request without what waives an approval; what asks for one stays. */
export function withoutWaivers(request: DeploymentRequest): DeploymentRequest {
  const { envelope: _, requiresApproval, nodeApprovals, ...rest } = request;
  const asking = Object.entries(nodeApprovals ?? {}).filter(([, asks]) => asks);
  return {
    ...rest,
    ...(requiresApproval === true ? { requiresApproval } : {}),
    ...(asking.length > 0 ? { nodeApprovals: Object.fromEntries(asking) } : {}),
  };
}

/** The nodes that the request is for, as far as they are known; an environment that stands alone is its own only node. */
async function nodesOf(db: Db, { place, request }: Ask): Promise<readonly (readonly [string, Environment])[]> {
  const { root } = place;
  if (root.type !== 'workflow') return [['main', root]];
  const nodes = (await listSubEnvironments(db, root.id)).map((node) => [node.alias ?? node.name, node] as const);
  const only = request.partial?.operation === 'run-from-here' ? undefined : request.partial?.node;
  return only === undefined ? nodes : nodes.filter(([alias]) => alias === only || isInside(alias, only));
}

/** The field of the request that waives what is saved for a node; null when none does. */
function waiverOf(request: DeploymentRequest, node: PlacedNode): string | null {
  const named = [node.alias, ...(node.within ?? []).toReversed()].find(
    (name) => request.nodeApprovals?.[name] === false,
  );
  if (approvalInRequest(request, node) === false)
    return named === undefined ? 'requiresApproval' : `nodeApprovals.${named}`;
  return request.envelope === undefined ? null : 'envelope';
}

function hasWaivers({ requiresApproval, nodeApprovals, envelope }: DeploymentRequest): boolean {
  return requiresApproval === false || envelope !== undefined || Object.values(nodeApprovals ?? {}).includes(false);
}

/**
 * Why the request may not waive what the saved settings demand; null when it waives nothing, or may. What only the file
 * or a custom flow demands is not known yet: the run weighs it with what is recorded of the requester.
 */
export async function waiverProblem(db: Db, ask: Ask): Promise<WindlassError | null> {
  const { actor, place, type, request } = ask;
  if (isReadOnly(type) || !hasWaivers(request)) return null;
  const allowed = mayApprove(actor, place.root.projectId);
  const nodes = await nodesOf(db, ask);
  // Nodes that the file will bring ask as the whole environment does.
  const asking = nodes.length > 0 ? nodes : ([['', place.root]] as const);
  for (const [alias, { settings }] of asking) {
    const around = asking.flatMap(([path, node]) => (node.type === 'workflow' && isInside(alias, path) ? [node] : []));
    const within = around.flatMap((node) => node.alias ?? []).toSorted((a, b) => a.length - b.length);
    const path = waiverOf(request, { alias, within });
    const combined = approvalSettingsWithin(settings, around, place.root.settings);
    if (path === null || combined.requiresApproval !== true) continue;
    const refusal = waiverRefusal(allowed, combined);
    if (refusal === null) continue;
    const name = place.root.type === 'workflow' && alias !== '' ? `${place.root.name}/${alias}` : place.root.name;
    return new WindlassError('forbidden', `${actor.name} may not waive the approval of "${name}": ${refusal}`, {
      problems: [{ path, message: `waives what the saved settings of "${name}" demand` }],
      hint: 'leave it out; the plan then waits for somebody who may approve it',
    });
  }
  return null;
}
