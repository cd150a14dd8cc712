import type { Deployment, DeploymentType, NodeRun } from '../../model/index.ts';
import { assertNever } from '../../model/index.ts';
import type { Colors, Glyphs } from '../text/style.ts';
import { oneLine } from '../text/width.ts';

/** A node that this run leaves as it is. */
export function isKept(node: Pick<NodeRun, 'action'>): boolean {
  return node.action === 'keep';
}

/** The word beside a node; with the glyph it says the same without colours. */
export function wordOf(node: Pick<NodeRun, 'action' | 'status' | 'stage' | 'ran' | 'compensation'>): string {
  if (isKept(node)) return 'kept';
  switch (node.status) {
    case 'pending':
      return 'waiting';
    case 'running':
      return node.stage ?? 'starting';
    case 'waitingForApproval':
      return 'approval';
    case 'retrying':
      return 'retrying';
    case 'succeeded':
      return doneWord(node);
    case 'paused':
    case 'failed':
    case 'skipped':
    case 'cancelled':
    case 'aborted':
      return node.status;
    default:
      return assertNever(node.status, 'node status');
  }
}

function doneWord(node: Pick<NodeRun, 'action' | 'ran' | 'compensation'>): string {
  switch (node.action) {
    case 'deploy':
      return node.ran ? (node.compensation ? 'restored' : 'deployed') : 'unchanged';
    case 'destroy':
      return 'destroyed';
    case 'plan':
      return 'planned';
    case 'drift':
      return 'checked';
    case 'keep':
      return 'kept';
    default:
      return assertNever(node.action, 'node action');
  }
}

export function glyphOf(node: Pick<NodeRun, 'action' | 'status'>, glyphs: Glyphs, frame: number): string {
  if (isKept(node)) return glyphs.dot;
  switch (node.status) {
    case 'pending':
      return glyphs.pending;
    case 'running':
      return glyphs.spinner[frame % glyphs.spinner.length] ?? '';
    case 'waitingForApproval':
    case 'paused':
      return glyphs.approval;
    case 'retrying':
      return glyphs.retrying;
    case 'succeeded':
      return glyphs.done;
    case 'failed':
      return glyphs.failed;
    case 'skipped':
      return glyphs.skipped;
    case 'cancelled':
    case 'aborted':
      return glyphs.stopped;
    default:
      return assertNever(node.status, 'node status');
  }
}

export function paintNode(text: string, node: Pick<NodeRun, 'action' | 'status'>, colors: Colors): string {
  if (isKept(node)) return colors.dim(text);
  switch (node.status) {
    case 'pending':
    case 'skipped':
      return colors.dim(text);
    case 'running':
      return colors.cyan(text);
    case 'waitingForApproval':
    case 'paused':
    case 'retrying':
      return colors.yellow(text);
    case 'succeeded':
      return colors.green(text);
    case 'failed':
    case 'cancelled':
    case 'aborted':
      return colors.red(text);
    default:
      return assertNever(node.status, 'node status');
  }
}

/** What a run does, and to what: `Destroying shop/billing`. `paint` is put around the name. */
export function titleOf(deployment: Deployment, paint: (name: string) => string = (name) => name): string {
  const { environmentName, request } = deployment;
  const { partial, resume } = request;
  const whole = paint(oneLine(environmentName));
  if (resume !== undefined) return `Resuming ${whole}`;
  if (partial === undefined) return `${verbOf(deployment.type)} ${whole}`;
  if (partial.operation === 'run-from-here')
    return `${verbOf(deployment.type)} ${whole} from ${oneLine(partial.node)} on`;
  // A run of the graph that keeps the rest is recorded as a deploy, whatever it does to its one node.
  const verb = verbOf(partial.operation === 'single-node-destroy' ? 'destroy' : deployment.type);
  return `${verb} ${paint(oneLine(`${environmentName}/${partial.node}`))}`;
}

/** What kind of run it was, in a list: `destroy of billing`. */
export function kindOf({ type, request: { partial, resume } }: Deployment): string {
  if (resume !== undefined) return 'resume';
  if (partial === undefined) return type;
  if (partial.operation === 'run-from-here') return `${type} from ${partial.node} on`;
  return `${partial.operation === 'single-node-destroy' ? 'destroy' : type} of ${partial.node}`;
}

function verbOf(type: DeploymentType): string {
  switch (type) {
    case 'deploy':
      return 'Deploying';
    case 'destroy':
      return 'Destroying';
    case 'plan':
      return 'Planning';
    case 'drift':
      return 'Checking for drift in';
    case 'rollback':
      return 'Rolling back';
    default:
      return assertNever(type, 'deployment type');
  }
}

export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
