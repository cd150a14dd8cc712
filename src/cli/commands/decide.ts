import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { isInside } from '../../definition/index.ts';
import { approvalDecisionInputSchema } from '../../model/index.ts';
import type { Approval } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { describeCounts, formatCounts, plural, shellQuote, someOf } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import { envelopeFlags, envelopeOptions, findOpenDeployment, readEnvelope } from './runs.ts';
import { canAsk, confirm, findPlace, printValue } from './shared.ts';

const decideOptions = z.object({
  ...envelopeOptions,
  comment: z.string().optional(),
  all: z.boolean().default(false),
  yes: z.boolean().default(false),
});
type DecideCall = Invocation<z.output<typeof decideOptions>>;

const commentFlag = { flags: '--comment <text>', description: 'kept with the decision' };
const allFlag = { flags: '--all', description: 'every decision that the environment waits for' };

export function addDecide({ add }: Registry): void {
  add({
    usage: 'approve <node>',
    summary: 'Approve the plan that a node waits with',
    examples: [
      ['windlass plan show shop/eks', 'read it first'],
      ['windlass approve shop/eks --comment "seen"', 'exactly this plan is applied'],
      ['windlass approve shop --all', 'everything that waits in an environment'],
      ['windlass approve apr_01jd3k --max-changes 5', 'and later nodes of this run while within bounds'],
    ],
    flags: [
      commentFlag,
      allFlag,
      { flags: '-y, --yes', description: 'do not ask although it destroys something' },
      ...envelopeFlags,
    ],
    options: decideOptions,
    run: (call) => decide(call, 'approve'),
  });
  add({
    usage: 'reject <node>',
    summary: 'Reject the plan that a node waits with',
    examples: [
      ['windlass reject shop/eks --comment "not on a Friday"', 'nothing of the plan is applied'],
      ['windlass reject shop --all', 'everything that waits in an environment'],
    ],
    flags: [commentFlag, allFlag],
    options: decideOptions,
    run: (call) => decide(call, 'reject'),
  });
}

async function decide(call: DecideCall, decision: 'approve' | 'reject'): Promise<number> {
  const { options, printer } = call;
  const envelope = decision === 'approve' ? readEnvelope(options) : undefined;
  const { client } = await call.connect();
  const approvals = await findApprovals(client, call.argument(0), options.all);
  if (decision === 'approve') await warnOfDestroys(call, approvals);
  const decided: Approval[] = [];
  for (const approval of approvals) {
    const body = approvalDecisionInputSchema.parse({
      ...(options.comment ? { comment: options.comment } : {}),
      ...(envelope ? { envelope } : {}),
    });
    const { warning, ...answer } = await client.approvals[decision]({ params: { id: approval.id }, body });
    if (warning) printer.remark(oneLine(warning));
    decided.push(answer);
  }
  if (printer.format !== 'table') printValue(call, decided);
  else for (const approval of decided) printer.line(describeDecision(approval, decision));
  return exitCodes.done;
}

function describeDecision(approval: Approval, decision: 'approve' | 'reject'): string {
  const name = oneLine(approval.alias);
  if (decision === 'reject') return `${name}: rejected; nothing of the plan is applied`;
  const given = approval.decisions.filter((entry) => entry.decision === 'approve').length;
  if (approval.status === 'pending')
    return `${name}: ${given} of ${plural(approval.required, 'approval')} given, it still waits`;
  return `${name}: approved ${formatCounts(approval.counts)}, it goes on`;
}

/** Nothing destructive without naming what goes. */
async function warnOfDestroys(call: DecideCall, approvals: readonly Approval[]): Promise<void> {
  const doomed = approvals.filter((approval) => approval.counts.destroy > 0);
  if (doomed.length === 0) return;
  for (const approval of doomed) {
    const gone = approval.resources
      .filter(({ action }) => action === 'delete' || action === 'replace')
      .map(({ address }) => oneLine(address));
    call.printer.remark(
      `${oneLine(approval.alias)}: ${describeCounts(approval.counts)}${gone.length > 0 ? `: ${someOf(gone, 10)}` : ''}`,
    );
  }
  if (!call.options.yes && canAsk(call.io))
    await confirm(call.io, call.printer, 'What is destroyed cannot be brought back.');
}

/** Decisions behind an approval id, a node's path or an environment. */
async function findApprovals(client: Client, reference: string, all: boolean): Promise<Approval[]> {
  if (/^apr_[0-9a-z]+$/.test(reference)) return [await client.approvals.get({ params: { id: reference } })];
  const { root, environment, alias } = await findPlace(client, reference);
  const deployment = await findOpenDeployment(client, root);
  const { items } = await collect(client.approvals.list, { query: { deployment: deployment.id, status: 'pending' } });
  const mine = items.filter(
    (approval) =>
      alias === null ||
      approval.environmentId === environment.id ||
      approval.alias === alias ||
      (environment.type === 'workflow' && isInside(approval.alias, alias)),
  );
  if (mine.length === 0) {
    throw new CliError(`"${reference}" waits for no decision`, {
      exitCode: exitCodes.failed,
      hint:
        items.length > 0
          ? `these wait: ${someOf(
              items.map((item) => shellQuote(`${root.name}/${item.alias}`)),
              10,
            )}`
          : `see: windlass status ${shellQuote(root.name)}`,
    });
  }
  if (mine.length > 1 && !all) {
    throw usageError(
      `${plural(mine.length, 'decision')} are waited for in "${root.name}": which one?`,
      [
        ...mine.map((item) => `${shellQuote(`${root.name}/${item.alias}`)}  ${formatCounts(item.counts)}  ${item.id}`),
        'or all of them: --all',
      ].join('\n'),
    );
  }
  return mine;
}
