/** Who decides that a plan needs a person, and whether an earlier approval covers it. */
import type { ApprovalEnvelope, DeploymentRequest, EnvironmentSettings, Plan } from '../model/index.ts';
import type { PlacedNode } from './node-path.ts';
import { counted, listed, quote } from './text.ts';

export interface ApprovalSources {
  /** A custom flow can only ask; that it does not says nothing. */
  readonly customFlow?: boolean | undefined;
  /** Verdict of the policies, when there is one. */
  readonly policy?: boolean | undefined;
  readonly request?: boolean | undefined;
  /** Whether the request may do without what the file and the saved settings demand. What it may always do is ask for more. */
  readonly mayWaive?: boolean | undefined;
  /** `requiresApproval` in the workflow file. */
  readonly file?: boolean | undefined;
  /** Setting of the sub-environment. */
  readonly saved?: boolean | undefined;
}

export interface ApprovalAnswer {
  readonly needed: boolean;
  /** For people: `the workflow file requires it`. */
  readonly because: string;
}

/** What everybody but the request says: the first that says something decides; none asks for nobody. */
function approvalDemanded(sources: Omit<ApprovalSources, 'request' | 'mayWaive'>): ApprovalAnswer {
  const { customFlow, policy, file, saved } = sources;
  if (customFlow === true) return { needed: true, because: 'a custom flow asked for it' };
  const ordered: readonly (readonly [boolean | undefined, string, string])[] = [
    [policy, 'a policy requires it', 'a policy allows it'],
    [file, 'the workflow file requires it', 'the workflow file waives it'],
    [saved, 'the saved settings require it', 'the saved settings waive it'],
  ];
  for (const [says, yes, no] of ordered) {
    if (says !== undefined) return { needed: says, because: says ? yes : no };
  }
  return { needed: false, because: 'nothing asks for it' };
}

/**
 * Whether a person has to see the plan. A request may always ask for it; it may waive what the file or the saved settings
 * demand where `mayWaive`, and never what a custom flow or a policy demands.
 */
export function approvalNeeded(sources: ApprovalSources): ApprovalAnswer {
  const { customFlow, policy, request, mayWaive } = sources;
  const demanded = approvalDemanded(sources);
  if (demanded.needed) {
    if (request !== false || customFlow === true || policy === true) return demanded;
    if (mayWaive === true) return { needed: false, because: 'the request waived it' };
    return { needed: true, because: `${demanded.because}, and the request may not waive it` };
  }
  if (request === undefined) return demanded;
  return { needed: request, because: request ? 'the request asked for it' : 'the request waived it' };
}

/** What a request says of one node: of itself, of the nearest workflow around it that is named, or of all. */
export function approvalInRequest(
  { nodeApprovals = {}, requiresApproval }: Pick<DeploymentRequest, 'nodeApprovals' | 'requiresApproval'>,
  { alias, within = [] }: PlacedNode,
): boolean | undefined {
  const named = [alias, ...within.toReversed()].find((name) => Object.hasOwn(nodeApprovals, name));
  return named === undefined ? requiresApproval : nodeApprovals[named];
}

/** Of the settings of an environment, those that say who has to approve. */
export type ApprovalSettings = Pick<
  EnvironmentSettings,
  'requiresApproval' | 'requiredApprovals' | 'forbidSelfApproval' | 'approvalExpirySeconds'
>;

/**
 * What is set for the whole environment holds for each of its nodes: a node may only be stricter about who approves, and
 * says for itself whether it asks.
 */
export function approvalSettings(node: ApprovalSettings, whole: ApprovalSettings | null): ApprovalSettings {
  if (whole === null) return node;
  return {
    requiresApproval: node.requiresApproval ?? whole.requiresApproval,
    requiredApprovals: Math.max(node.requiredApprovals, whole.requiredApprovals),
    forbidSelfApproval: node.forbidSelfApproval || whole.forbidSelfApproval,
    approvalExpirySeconds: Math.min(node.approvalExpirySeconds, whole.approvalExpirySeconds),
  };
}

/** The same of a node in workflows of its graph, each of which may have settings of its own. */
export function approvalSettingsWithin(
  node: ApprovalSettings,
  /** Outermost first. */
  groups: readonly { readonly settings: ApprovalSettings }[],
  whole: ApprovalSettings | null,
): ApprovalSettings {
  return approvalSettings(
    node,
    groups.reduce<ApprovalSettings | null>((around, { settings }) => approvalSettings(settings, around), whole),
  );
}

/**
 * Why whoever asks for a run may not waive its approval: to waive is to approve in advance, alone. Null when they may.
 * `mayApprove` is whether they had the permission when they asked.
 */
export function waiverRefusal(
  mayApprove: boolean,
  settings: Pick<ApprovalSettings, 'requiredApprovals' | 'forbidSelfApproval'>,
): string | null {
  if (!mayApprove) return 'the permission "approve" is missing';
  if (settings.forbidSelfApproval) return 'whoever asks for a run may not approve it here';
  if (settings.requiredApprovals > 1) return `${settings.requiredApprovals} people have to approve it`;
  return null;
}

/** Bounds that one person has approved for the run. */
export interface GivenBounds {
  /** Identifies the person over time. */
  readonly by: string;
  readonly envelope: ApprovalEnvelope;
}

/**
 * Whether as many people as have to approve this plan have each given bounds that it stays inside of: bounds count as
 * the approval of the one who gave them. The last bounds of a person are the ones that count.
 */
export function insideBounds(
  plan: Pick<Plan, 'counts' | 'hasChanges' | 'resources'>,
  given: readonly GivenBounds[],
  rule: { readonly required: number; /** Who may not approve. */ readonly barred: string | null },
): EnvelopeAnswer {
  const people = new Map(given.filter(({ by }) => by !== rule.barred).map(({ by, envelope }) => [by, envelope]));
  const answers = [...people.values()].map((envelope) => insideEnvelope(plan, envelope));
  const inside = answers.filter((answer) => answer.inside);
  if (inside.length >= rule.required) return inside[0] ?? outside('nobody gave bounds for it');
  const why = answers.find((answer) => !answer.inside);
  if (why !== undefined) return why;
  return outside(
    rule.required === 1
      ? 'nobody who may approve it gave bounds for it'
      : `${rule.required} people have to approve it, and ${inside.length} of them gave bounds for it`,
  );
}

export interface EnvelopeAnswer {
  readonly inside: boolean;
  /** For people: why a person is asked, or what covers the plan. */
  readonly because: string;
}

/** Whether a plan stays inside the bounds that were approved for the run. When in doubt it is outside. */
export function insideEnvelope(
  plan: Pick<Plan, 'counts' | 'hasChanges' | 'resources'>,
  envelope: ApprovalEnvelope,
): EnvelopeAnswer {
  if (!plan.hasChanges) return { inside: true, because: 'the plan changes nothing' };
  const { add, change, destroy } = plan.counts;
  const changed = plan.resources.filter((resource) => resource.action !== 'noop' && resource.action !== 'read');
  const gone = changed.filter((resource) => resource.action === 'delete' || resource.action === 'replace');
  // Tools count a replacement in different ways; the larger figure is the careful one.
  const destroys = Math.max(destroy, gone.length);
  if (destroys > envelope.maxDestroys) {
    const which =
      gone.length === 0
        ? ''
        : `: ${listed(
            gone.map((resource) => resource.address),
            'and',
            5,
          )}`;
    return outside(
      `it destroys ${counted(destroys, 'resource')}, and ${envelope.maxDestroys} may be destroyed${which}`,
    );
  }
  const total = Math.max(add + change + destroy, changed.length);
  if (envelope.maxChanges !== undefined && total > envelope.maxChanges) {
    return outside(`it makes ${counted(total, 'change')}, and ${envelope.maxChanges} may be made`);
  }
  if (envelope.allowedTypes !== undefined) {
    const allowed = new Set(envelope.allowedTypes);
    const other = changed.find((resource) => !allowed.has(resource.type));
    if (other !== undefined)
      return outside(`it changes ${other.address}, and the type ${quote(other.type)} is not among the approved ones`);
    if (changed.length < Math.max(add, change, destroy))
      return outside('it does not name every resource it changes, so their types cannot be checked');
  }
  return { inside: true, because: 'the plan is inside the bounds that were approved for the run' };
}

function outside(why: string): EnvelopeAnswer {
  return { inside: false, because: why };
}
