import { z } from 'zod';
import {
  changeCountsSchema,
  deploymentStatuses,
  deploymentStatusWord,
  environmentStatuses,
  environmentStatusWord,
  nodeStatuses,
} from '../../model/index.ts';
import type { Event } from '../../model/index.ts';
import { assertNever } from '../../model/index.ts';
import { describeCounts, formatRelative, plural } from './format.ts';
import { oneLine } from './width.ts';

/** What events carry. All is optional: events of earlier versions carried less. */
const dataSchema = z.looseObject({
  status: z.string().optional().catch(undefined),
  stage: z.string().nullish().catch(null),
  try: z.number().optional().catch(undefined),
  action: z.string().optional().catch(undefined),
  compensation: z.boolean().optional().catch(undefined),
  number: z.number().optional().catch(undefined),
  type: z.string().optional().catch(undefined),
  paused: z.boolean().optional().catch(undefined),
  message: z.string().nullish().catch(null),
  reason: z.string().nullish().catch(null),
  kind: z.string().optional().catch(undefined),
  firedAt: z.string().optional().catch(undefined),
  by: z.string().optional().catch(undefined),
  decision: z.string().optional().catch(undefined),
  complete: z.boolean().optional().catch(undefined),
  expiresAt: z.string().nullish().catch(null),
  resources: z.number().optional().catch(undefined),
  counts: changeCountsSchema.nullish().catch(null),
  lock: z.looseObject({ by: z.string(), reason: z.string() }).nullish().catch(null),
  stateUnverified: z.unknown().optional(),
});
type EventData = z.output<typeof dataSchema>;

/** What happened, for people. Never throws: an event that is not understood is shown as it is. */
export function sentenceOf(event: Event, nowMs: number): string {
  const data = dataSchema.parse(event.data);
  return oneLine(textOf(event, data, nowMs) ?? `${event.type} ${JSON.stringify(event.data)}`);
}

function textOf(event: Event, data: EventData, nowMs: number): string | null {
  switch (event.type) {
    case 'deployment.status':
      return deploymentText(data);
    case 'node.status':
      return nodeText(data);
    case 'node.stage':
      return data.stage ? `${takingBack(data)}${data.stage}` : null;
    case 'node.log':
      return data.message ?? null;
    case 'environment.status':
      return environmentText(event, data);
    case 'environment.warning':
      return data.message ? `warning: ${data.message}` : null;
    case 'approval.requested':
      return `waits for approval${data.counts ? ` of ${describeCounts(data.counts)}` : ''}${data.reason ? `: ${data.reason}` : ''}`;
    case 'approval.decided':
      return `${data.decision === 'reject' ? 'rejected' : 'approved'} by ${data.by ?? 'somebody'}${data.complete === false ? ', more have to' : ''}`;
    case 'ttl.changed':
      return data.expiresAt
        ? `ends ${formatRelative(data.expiresAt, nowMs)} (${data.expiresAt.slice(0, 16).replace('T', ' ')})${byWhom(data)}`
        : `has no end any more${byWhom(data)}`;
    case 'ttl.warning':
      return data.expiresAt ? `destroys itself at ${data.expiresAt.slice(0, 16).replace('T', ' ')}` : null;
    case 'schedule.skipped':
      return `the ${data.kind ?? 'run'} of the schedule was skipped${data.message ? `: ${data.message}` : ''}`;
    case 'drift.result':
      return driftText(data);
    default:
      return assertNever(event.type, 'event');
  }
}

const byWhom = ({ by }: EventData): string => (by === undefined ? '' : `, by ${by}`);
const takingBack = ({ compensation }: EventData): string => (compensation === true ? 'taking back: ' : '');

function deploymentText(data: EventData): string | null {
  const status = z.enum(deploymentStatuses).safeParse(data.status);
  if (!status.success) return null;
  const run = `deployment ${data.number ?? ''}${data.type === undefined ? '' : ` (${data.type})`}`;
  const paused = data.paused === true ? ', paused' : '';
  return `${run} is ${deploymentStatusWord(status.data)}${paused}${data.message ? `: ${data.message}` : ''}`;
}

function nodeText(data: EventData): string | null {
  const { data: status } = z.enum(nodeStatuses).safeParse(data.status);
  if (status === undefined) return null;
  const doing = data.action === undefined || data.action === 'keep' ? '' : `${data.action} `;
  const again = data.try !== undefined && data.try > 1 ? `, try ${data.try}` : '';
  const why = data.message ? `: ${data.message}` : '';
  switch (status) {
    case 'pending':
      return `${takingBack(data)}${doing}waits for its turn`;
    case 'running':
      return `${takingBack(data)}${doing}started${again}`;
    case 'waitingForApproval':
      return `${takingBack(data)}${doing}waits for approval`;
    case 'retrying':
      return `${takingBack(data)}${doing}will be tried again${why}`;
    case 'paused':
    case 'succeeded':
    case 'failed':
    case 'skipped':
    case 'cancelled':
    case 'aborted':
      return `${takingBack(data)}${doing}${status}${again}${why}`;
    default:
      return assertNever(status, 'node status');
  }
}

function environmentText({ data: raw }: Event, data: EventData): string | null {
  const known = z.enum(environmentStatuses).safeParse(data.status);
  const status = known.success ? environmentStatusWord(known.data) : '';
  if (Object.hasOwn(raw, 'lock')) return data.lock ? `locked by ${data.lock.by}: ${data.lock.reason}` : 'unlocked';
  if (Object.hasOwn(raw, 'stateUnverified'))
    return data.stateUnverified === null ? 'its state is verified' : 'its state is not verified';
  return status ? `is ${status}` : null;
}

function driftText({ status, resources, message }: EventData): string | null {
  switch (status) {
    case 'ok':
      return 'has not drifted';
    case 'drifted':
      return `has drifted: ${plural(resources ?? 0, 'resource')}`;
    case 'error':
      return `could not be checked for drift${message ? `: ${message}` : ''}`;
    default:
      return null;
  }
}
