import { z } from 'zod';
import type { Flag, Invocation } from '../cli.ts';
import { usageError } from '../exit.ts';
import { oneLine } from '../text/width.ts';
import { canAsk, confirm } from './shared.ts';

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
const whole = z.coerce.number('expected a whole number').int('expected a whole number').positive().optional();

export const settingsFlags: readonly Flag[] = [
  { flags: '--require-approval <true|false>', description: 'ask before every apply' },
  { flags: '--required-approvals <n>', description: 'how many people have to approve' },
  { flags: '--forbid-self-approval <true|false>', description: 'whoever asked for a run may not approve it' },
  { flags: '--coalesce <true|false>', description: 'keep only the newest queued deploy' },
  { flags: '--max-parallel <n>', description: 'nodes at once' },
  { flags: '--ttl-hours <hours>', description: 'destroys itself this long after a deploy' },
];
export const settingsOptions = {
  requireApproval: flag,
  requiredApprovals: whole,
  forbidSelfApproval: flag,
  coalesce: flag,
  maxParallel: whole,
  ttlHours: z.coerce.number('expected hours').positive().optional(),
};

/** Only the settings that were given. */
export function readSettings(options: z.output<z.ZodObject<typeof settingsOptions>>): Record<string, unknown> {
  const { requireApproval, requiredApprovals, forbidSelfApproval, coalesce, maxParallel, ttlHours } = options;
  const all = {
    requiresApproval: requireApproval,
    requiredApprovals,
    forbidSelfApproval,
    coalesceDeploys: coalesce,
    maxParallel,
    ttl: ttlHours === undefined ? undefined : { kind: 'hours', hours: ttlHours },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
