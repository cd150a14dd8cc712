/** Who decides that a plan needs a person, and whether an earlier approval covers it. */
import type { ApprovalEnvelope, Plan } from '../model/index.ts';
import { counted, listed, quote } from './text.ts';

export interface ApprovalSources {
  /** A custom flow can only ask; that it does not says nothing. */
  readonly customFlow?: boolean | undefined;
  /** Verdict of the policies, when there is one. */
  readonly policy?: boolean | undefined;
  readonly request?: boolean | undefined;
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

/** The first source that says something decides; none asks for nobody. */
export function approvalNeeded(sources: ApprovalSources): ApprovalAnswer {
  const { customFlow, policy, request, file, saved } = sources;
  if (customFlow === true) return { needed: true, because: 'a custom flow asked for it' };
  const ordered: readonly (readonly [boolean | undefined, string, string])[] = [
    [policy, 'a policy requires it', 'a policy allows it'],
    [request, 'the request asked for it', 'the request waived it'],
    [file, 'the workflow file requires it', 'the workflow file waives it'],
    [saved, 'the saved settings require it', 'the saved settings waive it'],
  ];
  for (const [says, yes, no] of ordered) {
    if (says !== undefined) return { needed: says, because: says ? yes : no };
  }
  return { needed: false, because: 'nothing asks for it' };
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
