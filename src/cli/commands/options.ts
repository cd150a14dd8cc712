import { z } from 'zod';
import type { Flag, Invocation } from '../cli.ts';
import { usageError } from '../exit.ts';
import { oneLine } from '../text/width.ts';
import { canAsk, confirm } from './shared.ts';
import { readHours } from './times.ts';

export const limitFlag: Flag = { flags: '--limit <n>', description: 'at most this many (default 100)' };
export const limitOption = {
  limit: z.coerce.number('expected a whole number').int('expected a whole number').min(1).default(100),
};

export const yesFlag: Flag = { flags: '-y, --yes', description: 'do not ask' };
export const yesOption = z.object({ yes: z.boolean().default(false) });

/** Names what goes for good, and asks. */
export async function confirmDelete(
  call: Pick<Invocation<{ readonly yes: boolean }>, 'io' | 'options' | 'printer'>,
  what: string,
): Promise<void> {
  if (call.options.yes) return;
  if (!canAsk(call.io)) throw usageError(`this deletes ${oneLine(what)}`, 'pass --yes to go on without a terminal');
  await confirm(call.io, call.printer, `This deletes ${oneLine(what)}.`);
}

const flag = z
  .enum(['true', 'false'], 'expected true or false')
  .transform((text) => text === 'true')
  .optional();
/** `none` takes a setting away. */
const flagOrNone = z
  .enum(['true', 'false', 'none'], 'expected true, false or none')
  .transform((text) => (text === 'none' ? null : text === 'true'))
  .optional();
const wholeOrNone = z
  .string()
  .regex(/^([1-9]\d{0,5}|none)$/, 'expected a whole number, or none')
  .transform((text) => (text === 'none' ? null : Number(text)))
  .optional();
const nameOrNone = z
  .string()
  .transform((text) => (text === 'none' ? null : text))
  .optional();
const whole = z.coerce.number('expected a whole number').int('expected a whole number').positive().optional();

export const settingsFlags: readonly Flag[] = [
  {
    flags: '--require-approval <true|false|none>',
    description: 'ask before every apply; of a whole graph for each of its nodes; none leaves it to the file',
  },
  { flags: '--required-approvals <n>', description: 'how many people have to approve' },
  { flags: '--approval-expiry <time>', description: 'a decision not made in this time cancels the run: 8h, 14d' },
  { flags: '--forbid-self-approval <true|false>', description: 'whoever asked for a run may not approve it' },
  { flags: '--coalesce <true|false>', description: 'keep only the newest queued deploy' },
  { flags: '--max-parallel <n>', description: 'nodes at once, or none' },
  { flags: '--pool <name>', description: 'runner pool that runs the tools, or none' },
  { flags: '--ttl-hours <hours>', description: 'destroys itself this long after a deploy' },
];
export const settingsOptions = {
  requireApproval: flagOrNone,
  requiredApprovals: whole,
  forbidSelfApproval: flag,
  coalesce: flag,
  maxParallel: wholeOrNone,
  pool: nameOrNone,
  approvalExpiry: z.string().optional(),
  ttlHours: z.coerce.number('expected hours').positive().optional(),
};

/** Only the settings that were given. */
export function readSettings(options: z.output<z.ZodObject<typeof settingsOptions>>): Record<string, unknown> {
  const {
    requireApproval,
    requiredApprovals,
    approvalExpiry,
    forbidSelfApproval,
    coalesce,
    maxParallel,
    ttlHours,
    pool,
  } = options;
  const all = {
    requiresApproval: requireApproval,
    requiredApprovals,
    approvalExpirySeconds: approvalExpiry === undefined ? undefined : Math.round(readHours(approvalExpiry) * 3600),
    forbidSelfApproval,
    coalesceDeploys: coalesce,
    maxParallel,
    pool,
    ttl: ttlHours === undefined ? undefined : { kind: 'hours', hours: ttlHours },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** For a thing that is made anew, where nothing can be taken away. */
export function dropNone(settings: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}
