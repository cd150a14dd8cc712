import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { approvalSchema, deploymentStatuses, deploymentStatusWord, deploymentTypes } from '../../model/index.ts';
import type { Approval, Deployment, NodeRun } from '../../model/index.ts';
import type { Flag, Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { renderFinal } from '../follow/render.ts';
import { renderSummary } from '../follow/summary.ts';
import { createView } from '../../view/index.ts';
import { kindOf, wordOf } from '../follow/words.ts';
import { describeCounts, formatCounts, formatDuration, shellQuote } from '../text/format.ts';
import { renderTable } from '../text/table.ts';
import { oneLine } from '../text/width.ts';
import { usageError } from '../exit.ts';
import { limitFlag, limitOption } from './options.ts';
import { findDeployment, followFlags, followOptions, followDeployment } from './runs.ts';
import { ago, findPlace, getEnvironment, printItem, printList, printValue } from './shared.ts';

export function addDeployments({ add, group }: Registry): void {
  const deployment = group('deployment', 'Deployments: every run there was', ['deployments', 'run', 'runs']);
  add(
    {
      usage: 'list [environment]',
      aliases: ['ls'],
      summary: 'List runs, newest first',
      examples: [
        ['windlass deployment list shop', 'of one environment'],
        ['windlass deployment list --since 7d --requested-by ana', 'who deployed what last week'],
        ['windlass deployment list --status failed', 'of all environments'],
      ],
      flags: [
        { flags: '--status <status>', description: 'in this status', choices: deploymentStatuses },
        { flags: '--type <type>', description: 'of this type', choices: deploymentTypes },
        { flags: '--since <when>', description: 'not older than this: 7d, 12h, 30m or a date' },
        { flags: '--requested-by <name>', description: 'asked for by this key or user' },
        limitFlag,
      ],
      options: z.object({
        ...limitOption,
        status: z.string().optional(),
        type: z.enum(deploymentTypes).optional(),
        since: z.string().optional(),
        requestedBy: z.string().optional(),
      }),
      async run(call) {
        const { limit, status, type, since, requestedBy } = call.options;
        const { client } = await call.connect();
        const reference = call.optional(0);
        const environment = reference === undefined ? null : (await findPlace(client, reference)).root;
        const listing = await collect(
          client.deployments.list,
          {
            query: {
              environment: environment?.id,
              status,
              type,
              requestedBy,
              since: since === undefined ? undefined : readSince(since, call.io.now()),
            },
          },
          { limit },
        );
        printList(
          call,
          listing,
          [
            ...(environment
              ? []
              : [{ title: 'environment', value: (item: Deployment) => item.environmentName, keep: true }]),
            { title: 'number', value: (item) => item.number, align: 'right' },
            { title: 'type', value: kindOf },
            { title: 'status', value: (item) => deploymentStatusWord(item.status) },
            { title: 'nodes', value: countsOf },
            {
              title: 'took',
              value: (item) =>
                item.startedAt && item.finishedAt
                  ? formatDuration(Date.parse(item.finishedAt) - Date.parse(item.startedAt))
                  : null,
            },
            { title: 'when', value: (item) => ago(call, item.queuedAt) },
            {
              title: 'by',
              value: (item) =>
                `${item.requestedBy}${item.trigger === 'user' || item.trigger === 'api' ? '' : ` (${item.trigger})`}`,
            },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No runs.',
        );
      },
    },
    deployment,
  );
  add(
    {
      usage: 'show <deployment>',
      summary: 'Show one run with its nodes, and why it ended as it did',
      examples: [
        ['windlass deployment show dep_01jd3k9x2m7q4w8s5t6v', ''],
        ['windlass deployment show 7 --environment shop', 'by number'],
      ],
      flags: [numberFlag],
      options: z.object(numberOption),
      async run(call) {
        const { client } = await call.connect();
        const item = await findNamed(call, client);
        const { items: nodes } = await collect(client.deployments.nodes, { params: { ref: item.id } });
        const { printer, io } = call;
        if (printer.format !== 'table') return printValue(call, { ...item, nodes });
        const view = createView({ deployment: item, nodes });
        printer.lines(
          renderFinal(view, {
            nowMs: io.now(),
            width: printer.width,
            height: undefined,
            frame: 0,
            style: printer.style,
          }),
        );
        printer.lines(renderSummary(view, printer.style));
        printer.line();
        printItem(call, item, [
          ['asked for', `${ago(call, item.queuedAt)} by ${item.requestedBy} (${item.trigger})`],
          ['comment', item.request.comment ?? null],
          ['commit', item.sourceCommit],
          ['based on', item.basedOn],
          ['Temporal', item.temporalUrl],
          ['id', item.id],
        ]);
        return undefined;
      },
    },
    deployment,
  );
  add(
    {
      usage: 'watch <deployment>',
      summary: 'Follow a run until it ends',
      examples: [
        ['windlass deployment watch dep_01jd3k9x2m7q4w8s5t6v', ''],
        ['windlass deployment watch 7 --environment shop', 'by number'],
      ],
      flags: [numberFlag, ...followFlags.filter(({ flags }) => flags !== '--detach')],
      options: z.object({ ...numberOption, ...followOptions, detach: z.literal(false).default(false) }),
      async run(call) {
        const session = await call.connect();
        return followDeployment(call, session, await findNamed(call, session.client));
      },
    },
    deployment,
  );
  add(
    {
      usage: 'nodes <deployment>',
      summary: 'List the nodes of a run with their times',
      examples: [['windlass deployment nodes dep_01jd3k9x2m7q4w8s5t6v --limit 5000', '']],
      flags: [numberFlag, limitFlag],
      options: z.object({ ...numberOption, ...limitOption }),
      async run(call) {
        const { client } = await call.connect();
        const { id } = await findNamed(call, client);
        const { limit } = call.options;
        const listing = await collect(client.deployments.nodes, { params: { ref: id } }, { limit });
        printList(
          call,
          listing,
          [
            { title: 'node', value: (item) => `${item.alias}${item.compensation ? ' (taking back)' : ''}`, keep: true },
            { title: 'status', value: wordOf },
            { title: 'changes', value: (item) => formatCounts(item.counts) },
            { title: 'took', value: tookOf },
            { title: 'why', value: (item) => item.error?.message ?? item.reason?.message ?? null },
          ],
          'No nodes.',
        );
      },
    },
    deployment,
  );
}

const numberFlag: Flag = { flags: '--environment <environment>', description: 'whose numbers are meant' };
const numberOption = { environment: z.string().optional() };

/** The run that a command names: by id, or by its number with `--environment`. */
async function findNamed(
  call: Invocation<{ readonly environment?: string | undefined }>,
  client: Client,
): Promise<Deployment> {
  const { environment } = call.options;
  const whose = environment === undefined ? null : (await findPlace(client, environment)).root;
  return findDeployment(client, whose, call.argument(0));
}

function tookOf(node: NodeRun): string | null {
  return node.startedAt && node.finishedAt
    ? formatDuration(Date.parse(node.finishedAt) - Date.parse(node.startedAt))
    : null;
}

function countsOf({ counts }: Deployment): string {
  const stopped = counts.cancelled > 0 ? `, ${counts.cancelled} stopped` : '';
  return `${counts.succeeded}/${counts.total}${counts.failed > 0 ? `, ${counts.failed} failed` : ''}${stopped}`;
}

const units = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** `7d`, `12h`, `30m`, `2w` before now, or a date, as ISO 8601. */
export function readSince(text: string, nowMs: number, flag = '--since'): string {
  const relative = /^(\d{1,5})([mhdw])$/.exec(text);
  if (relative) return new Date(nowMs - Number(relative[1]) * units[relative[2] as keyof typeof units]).toISOString();
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw usageError(`${flag} ${text}: expected 7d, 12h, 30m or a date such as 2026-03-01`);
  return new Date(at).toISOString();
}

export function addApprovals({ add, group }: Registry): void {
  const approval = group('approval', 'Approvals: decisions that runs wait for', ['approvals']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List decisions; those that are waited for when nothing else is asked',
      examples: [
        ['windlass approval list', 'what waits for a person'],
        ['windlass approval list --environment shop --status approved', ''],
      ],
      flags: [
        {
          flags: '--status <status>',
          description: 'in this status',
          choices: ['pending', 'approved', 'rejected', 'expired', 'superseded'],
          fallback: 'pending',
        },
        { flags: '--environment <environment>', description: 'of this environment' },
        { flags: '--deployment <deployment>', description: 'of this run' },
        limitFlag,
      ],
      options: z.object({
        ...limitOption,
        status: approvalSchema.shape.status,
        environment: z.string().optional(),
        deployment: z.string().optional(),
      }),
      async run(call) {
        const { limit, status, environment, deployment } = call.options;
        const { client } = await call.connect();
        const environmentId = environment ? (await getEnvironment(client, environment)).id : undefined;
        const listing = await collect(
          client.approvals.list,
          { query: { status, environment: environmentId, deployment } },
          { limit },
        );
        printList(
          call,
          listing,
          [
            { title: 'what', value: (item) => item.path, keep: true },
            { title: 'changes', value: (item) => formatCounts(item.counts), keep: true },
            ...(status === 'pending' ? [] : [{ title: 'status', value: (item: Approval) => item.status, keep: true }]),
            { title: 'run', value: (item) => `${item.deploymentType} ${item.deploymentNumber}`, keep: true },
            { title: 'asked by', value: (item) => item.requestedBy },
            ...(status === 'pending'
              ? [{ title: 'expires', value: (item: Approval) => ago(call, item.expiresAt), keep: true }]
              : [{ title: 'decided by', value: (item: Approval) => item.decisions.map(({ by }) => by).join(', ') }]),
            { title: 'why', value: (item) => item.reason },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'Nothing waits for a decision.',
        );
        const [first] = listing.items;
        if (call.printer.format === 'table' && status === 'pending' && first) {
          const path = shellQuote(first.path);
          const next = [`windlass plan show ${path}`, `windlass approve ${path}`, `windlass reject ${path}`];
          call.printer.line(`\nNext:  ${next.join(' · ')}`);
        }
      },
    },
    approval,
  );
  add(
    {
      usage: 'show <approval>',
      summary: 'Show what a decision is about',
      examples: [['windlass approval show apr_01jd3k9x2m7q4w8s5t6v', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.approvals.get({ params: { id: call.argument(0) } });
        printItem(call, item, [
          ['what', item.path],
          ['status', item.status],
          ['changes', describeCounts(item.counts)],
          ['why', item.reason],
          ['needs', item.required > 1 ? `${item.required} approvals` : null],
          ['self', item.forbidRequester ? 'whoever asked for the run may not approve it' : null],
          ['expires', item.status === 'pending' ? ago(call, item.expiresAt) : null],
          ['run', `deployment ${item.deploymentNumber}, ${item.deploymentType}, asked for by ${item.requestedBy}`],
          ['deployment', item.deploymentId],
          ['id', item.id],
        ]);
        if (call.printer.format !== 'table') return;
        const { printer } = call;
        if (item.resources.length > 0) {
          printer.line();
          printer.lines(
            renderTable(
              item.resources,
              [
                { title: 'action', value: (resource) => resource.action },
                { title: 'resource', value: (resource) => resource.address, keep: true },
              ],
              printer.width,
            ).map((line) => `  ${line}`),
          );
        }
        for (const { by, decision, comment, at } of item.decisions) {
          printer.line(
            `  ${ago(call, at)}: ${oneLine(by)} ${decision === 'approve' ? 'approved' : 'rejected'}${comment ? `: ${oneLine(comment)}` : ''}`,
          );
        }
        if (item.status === 'pending')
          printer.line(`\nNext:  windlass approve ${shellQuote(item.id)} · windlass reject ${shellQuote(item.id)}`);
      },
    },
    approval,
  );
}

export function addAudit({ add, group }: Registry): void {
  const audit = group('audit', 'The audit log: who changed what');
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List what was changed, newest first',
      examples: [
        ['windlass audit list --since 7d --actor ana', 'what one person has done'],
        ['windlass audit list --target shop/eks', 'what was done to one thing'],
        ['windlass audit list --action environment.lock', 'or environment, for all that begin so'],
        ['windlass audit list --since 2026-03-01 --until 2026-03-08 --limit 1000', ''],
        ['windlass audit list --json', 'with before and after'],
      ],
      flags: [
        { flags: '--actor <name>', description: 'done by this key or user' },
        { flags: '--action <action>', description: 'this action, or all that begin with it' },
        { flags: '--target <target>', description: 'done to this: a name, an id, or a type such as variable' },
        { flags: '--project <project>', description: 'in this project' },
        { flags: '--since <when>', description: 'not older than this: 7d, 12h, 30m or a date' },
        { flags: '--until <when>', description: 'older than this' },
        limitFlag,
      ],
      options: z.object({
        ...limitOption,
        actor: z.string().optional(),
        action: z.string().optional(),
        target: z.string().optional(),
        project: z.string().optional(),
        since: z.string().optional(),
        until: z.string().optional(),
      }),
      async run(call) {
        const { limit, since, until, ...filter } = call.options;
        const nowMs = call.io.now();
        const query = {
          ...filter,
          since: since === undefined ? undefined : readSince(since, nowMs, '--since'),
          until: until === undefined ? undefined : readSince(until, nowMs, '--until'),
        };
        const { client } = await call.connect();
        const listing = await collect(client.audit.list, { query }, { limit });
        printList(
          call,
          { ...listing, more: false },
          [
            { title: 'when', value: (item) => ago(call, item.at), keep: true },
            { title: 'who', value: (item) => item.actor.name },
            { title: 'did', value: (item) => item.action, keep: true },
            { title: 'to', value: (item) => item.targetName ?? item.targetId, keep: true },
            { title: 'project', value: (item) => item.projectName },
            { title: 'from', value: (item) => item.actor.from },
          ],
          'Nothing was changed that fits.',
        );
        const last = listing.items.at(-1);
        if (listing.more && last && call.printer.format === 'table')
          call.printer.remark(`… there is more; go on with: --until ${last.at}`);
      },
    },
    audit,
  );
}
