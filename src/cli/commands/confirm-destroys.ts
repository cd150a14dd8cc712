import { ApiError } from '../../client/index.ts';
import type { Preview, PreviewDestroy } from '../../model/index.ts';
import type { Invocation } from '../cli.ts';
import { usageError } from '../exit.ts';
import { plural, someOf } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import { canAsk, confirm } from './shared.ts';

type Call = Pick<Invocation<unknown>, 'io' | 'printer'>;

export interface Confirmation<T> {
  /** `--yes` was given. */
  readonly yes: boolean;
  /** Such as `deploying "shop"`. */
  readonly what: string;
  /** The command that goes on without asking, without its `--yes`. */
  readonly command: string;
  readonly preview: () => Promise<Preview>;
  /** Asks for the run. `mayDestroy` names the nodes of which something may go; undefined lets anything go. */
  readonly request: (mayDestroy: string[] | undefined) => Promise<T>;
}

/** Asks for a run, and a person first when it would destroy something. Nothing else costs a call more. */
export async function requestConfirmed<T>(call: Call, confirmation: Confirmation<T>): Promise<T> {
  const { yes, preview, request } = confirmation;
  if (yes) return request(undefined);
  try {
    return await request([]);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'needsConfirmation') throw error;
  }
  const { destroys } = await preview();
  await confirmDestroys(call, destroys, confirmation);
  return request(destroys.map(({ alias }) => alias));
}

/** Names what goes and asks. Without a terminal only `--yes` goes on: exit code 2, with what would be destroyed. */
export async function confirmDestroys(
  { io, printer }: Call,
  destroys: readonly PreviewDestroy[],
  { what, command }: Pick<Confirmation<unknown>, 'what' | 'command'>,
): Promise<void> {
  if (destroys.length === 0) return;
  const headline = `${what} destroys ${countDestroys(destroys)}`;
  const lines = destroys.slice(0, mostLines).map((destroy) => `  ${describeDestroy(destroy)}`);
  if (destroys.length > mostLines) lines.push(`  … and ${destroys.length - mostLines} more`);
  if (!canAsk(io)) {
    throw usageError([`${headline}:`, ...lines].join('\n'), `to go on: ${command} --yes`);
  }
  printer.remark(`${headline[0]?.toUpperCase() ?? ''}${headline.slice(1)}:`);
  for (const line of lines) printer.remark(line);
  await confirm(io, printer, 'What is destroyed cannot be brought back.');
}
const mostLines = 40;

/** `2 sub-environments (5 resources)`, `1 resource in "db"`. */
function countDestroys(destroys: readonly PreviewDestroy[]): string {
  const whole = destroys.filter((destroy) => destroy.whole);
  const rest = destroys.filter((destroy) => !destroy.whole);
  const sum = (some: readonly PreviewDestroy[]): number =>
    some.reduce((total, { resources }) => total + (resources ?? 0), 0);
  const counted = whole.some(({ resources }) => resources !== null) ? ` (${plural(sum(whole), 'resource')})` : '';
  return [
    ...(whole.length > 0 ? [`${plural(whole.length, 'sub-environment')}${counted}`] : []),
    ...(rest.length > 0 ? [`${plural(sum(rest), 'resource')} of ${plural(rest.length, 'other')}`] : []),
  ].join(' and ');
}

function describeDestroy({ name, whole, resources, addresses, plannedIn }: PreviewDestroy): string {
  const count = resources === null ? 'number of resources not known' : plural(resources, 'resource');
  const named = addresses.length > 0 ? `: ${someOf(addresses.map(oneLine), 5)}` : '';
  return whole
    ? `${oneLine(name)}   as a whole, ${count}`
    : `${oneLine(name)}   ${count}${named}   (as plan ${plannedIn ?? ''} says)`;
}
