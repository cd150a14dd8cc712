import { z } from 'zod';
import { isReadOnly, isTerminalDeployment } from '../../model/index.ts';
import type { Deployment, Preview } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { exitCodes, usageError } from '../exit.ts';
import type { Session } from '../session.ts';
import { shellQuote } from '../text/format.ts';
import { renderRollback } from '../text/preview.ts';
import { confirmDestroys } from './confirm-destroys.ts';
import { lastDeployment, stopRun } from './control.ts';
import { yesFlag } from './options.ts';
import { findDeployment, followFlags, followOptions, isDeploymentId, startRun } from './runs.ts';
import { findPlace, printValue } from './shared.ts';

const rollbackOptions = z.object({
  ...followOptions,
  reason: z.string().optional(),
  comment: z.string().optional(),
  to: z.string().optional(),
  plan: z.boolean().default(false),
  requireApproval: z.boolean().default(false),
  yes: z.boolean().default(false),
});
type RollbackCall = Invocation<z.output<typeof rollbackOptions>>;

export function addRollback({ add }: Registry): void {
  add({
    usage: 'rollback <environment>',
    summary: 'Take an environment back to its last successful deployment',
    description:
      'While a run is in progress: stops it and takes back what it began to change, in reverse. After it: a new deployment from the snapshot of the last successful one, or of the one named with --to. Says first which node goes back to what, and asks when something would be destroyed.',
    examples: [
      ['windlass rollback shop', 'the running or the last run'],
      ['windlass rollback shop --to 7', 'to what deployment 7 had deployed'],
      ['windlass rollback shop --plan', 'see what it would change; nothing is changed'],
      ['windlass rollback shop --require-approval', 'asks before every apply'],
    ],
    flags: [
      { flags: '--to <number>', description: 'number or id of the deployment whose snapshot is restored' },
      { flags: '--plan', description: 'only plan it' },
      { flags: '--require-approval', description: 'ask before every apply of the new deployment' },
      yesFlag,
      { flags: '--reason <text>', description: 'kept with the run that is stopped' },
      { flags: '--comment <text>', description: 'kept with the new deployment' },
      ...followFlags,
    ],
    options: rollbackOptions,
    async run(call) {
      const session = await call.connect();
      const asked = await chooseRollback(call, session);
      if (asked.preview === null) return stopRun(call, session, { deployment: asked.deployment, ...rollbackStop });
      return rollBack(call, session, { ...asked, preview: asked.preview });
    },
  });
}

const rollbackStop = { verb: 'rollback', ending: 'rolledBack' } as const;

interface RollbackChoice {
  /** The run in progress, or the last one that changed something. */
  readonly deployment: Deployment;
  /** null when there is nothing to decide: it has not begun, or is taken back already. */
  readonly preview: Preview | null;
}

async function chooseRollback({ options, argument }: RollbackCall, session: Session): Promise<RollbackChoice> {
  const { client } = session;
  const reference = argument(0);
  if (options.to !== undefined) {
    const { root } = await findPlace(client, reference);
    const deployment = await findDeployment(client, root, options.to);
    const body = { type: 'rollback', rollbackTo: deployment.id } as const;
    return { deployment, preview: await client.environments.preview({ params: { ref: root.id }, body }) };
  }
  const deployment = await lastRun(session, reference);
  const { status } = deployment;
  const open = !isTerminalDeployment(status);
  if (status === 'queued' || status === 'rollingBack' || status === 'rolledBack') return { deployment, preview: null };
  if (open && isReadOnly(deployment.type)) return { deployment, preview: null };
  return { deployment, preview: await client.deployments.previewRollback({ params: { ref: deployment.id } }) };
}

/** The run in progress, or else the last one that changed something. */
async function lastRun(session: Session, reference: string): Promise<Deployment> {
  const { client } = session;
  if (isDeploymentId(reference)) return findDeployment(client, null, reference);
  const { root } = await findPlace(client, reference);
  return findDeployment(client, null, root.currentDeploymentId ?? (await lastDeployment(session, reference)));
}

async function rollBack(
  call: RollbackCall,
  session: Session,
  { deployment, preview }: { readonly deployment: Deployment; readonly preview: Preview },
): Promise<number> {
  const { options, printer } = call;
  const name = deployment.environmentName;
  if (preview.stops !== null && options.requireApproval) {
    throw usageError(
      `what a running deployment has begun is taken back without approvals`,
      `stop it, then go back with approvals: windlass abort ${shellQuote(name)}`,
    );
  }
  if (printer.format === 'table') for (const line of renderRollback(preview, printer.errorStyle)) printer.remark(line);
  if (preview.stops !== null && options.plan) {
    if (printer.format !== 'table') printValue(call, preview);
    return exitCodes.done;
  }
  const { basedOn } = preview;
  const more = {
    ...(basedOn ? { rollbackTo: basedOn.id } : {}),
    ...((options.comment ?? options.reason) ? { comment: options.comment ?? options.reason } : {}),
  };
  const environment = { id: preview.environmentId };
  if (options.plan) return startRun(call, session, environment, { type: 'plan', ...more });
  const command = `windlass rollback ${shellQuote(call.argument(0))}${options.to ? ` --to ${shellQuote(options.to)}` : ''}`;
  if (!options.yes) await confirmDestroys(call, preview.destroys, { what: `rolling back "${name}"`, command });
  if (preview.stops !== null) return stopRun(call, session, { deployment, ...rollbackStop });
  return startRun(call, session, environment, {
    type: 'rollback',
    ...more,
    ...(options.requireApproval ? { requiresApproval: true } : {}),
    ...(options.yes ? {} : { mayDestroy: preview.destroys.map(({ alias }) => alias) }),
  });
}
