import { z } from 'zod';
import { ApiError, collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { isMeant } from '../../definition/index.ts';
import type { Deployment, NodeRun } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes } from '../exit.ts';
import { renderPlanTotals, titleOfPlan } from '../follow/plan-totals.ts';
import { shellQuote } from '../text/format.ts';
import { oneLine, safeText } from '../text/width.ts';
import { findDeployment } from './runs.ts';
import { findPlace, printValue } from './shared.ts';
import type { NodePlace } from './shared.ts';

type ShowCall = Invocation<{ deployment?: string | undefined }>;

export function addPlanShow(add: Registry['add'], plan: ReturnType<Registry['add']>): void {
  add(
    {
      usage: 'show <environment>',
      summary: 'Print the full plan of an environment, or of one node',
      examples: [
        ['windlass plan show shop', 'the whole: what goes first, then each node'],
        ['windlass plan show shop/eks', 'one node, as a person reads it'],
        ['windlass plan show shop/eks --json', "the tool's own JSON"],
        ['windlass plan show shop/eks --deployment 7', 'of an earlier run'],
      ],
      flags: [
        {
          flags: '--deployment <number>',
          description: 'number or id of the run; the last one with a plan when absent',
        },
      ],
      options: z.object({ deployment: z.string().optional() }),
      async run(call) {
        const { client } = await call.connect();
        const place = await findPlace(client, call.argument(0));
        const whole = (place.alias === null ? place.root : place.environment).type === 'workflow';
        return whole ? showWhole(call, client, place) : showNode(call, client, place);
      },
    },
    plan,
  );
}

async function candidatesOf(call: ShowCall, client: Client, { root }: NodePlace): Promise<Deployment[]> {
  if (call.options.deployment) return [await findDeployment(client, root, call.options.deployment)];
  return (await collect(client.deployments.list, { query: { environment: root.id } }, { limit: 10 })).items;
}

async function readPlan(
  client: Client,
  deployment: Deployment,
  alias: string,
  format: 'text' | 'json',
): Promise<string> {
  const response = await client.deployments.plan.response({ params: { ref: deployment.id, alias }, query: { format } });
  return response.text();
}

/** null where there is none: runs that did not get as far as a plan of this node have none. */
async function findPlan(...asked: Parameters<typeof readPlan>): Promise<string | null> {
  try {
    return await readPlan(...asked);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'notFound') return null;
    throw error;
  }
}

async function showNode(call: ShowCall, client: Client, place: NodePlace): Promise<void> {
  const { environment, alias } = place;
  const node = alias ?? environment.alias ?? environment.name;
  const format = call.printer.format === 'table' ? 'text' : 'json';
  const candidates = await candidatesOf(call, client, place);
  const [only] = candidates;
  for (const deployment of candidates) {
    const text =
      candidates.length === 1 && deployment === only
        ? await readPlan(client, deployment, node, format)
        : await findPlan(client, deployment, node, format);
    if (text === null) continue;
    if (format === 'json') call.printer.line(text.trim());
    else {
      call.printer.remark(`Plan of ${oneLine(environment.name)} in deployment ${deployment.number}`);
      call.printer.line(safeText(text).trimEnd());
    }
    return;
  }
  throw noPlan(place);
}

function noPlan({ root, environment, alias }: NodePlace): CliError {
  return new CliError(`there is no plan of "${environment.name}" in its last runs`, {
    exitCode: exitCodes.failed,
    hint: `make one: windlass plan ${shellQuote(alias === null ? root.name : `${root.name}/${alias}`)}`,
  });
}

interface NodePlan {
  readonly node: NodeRun;
  /** null when it has none, such as a node that is let go. */
  readonly text: string | null;
}

async function showWhole(call: ShowCall, client: Client, place: NodePlace): Promise<void> {
  const format = call.printer.format === 'table' ? 'text' : 'json';
  for (const deployment of await candidatesOf(call, client, place)) {
    const params = { ref: deployment.id };
    const { items } = await collect(client.deployments.nodes, { params }, { pageSize: 1000 });
    const { alias } = place;
    const nodes = items.filter((node) => !node.compensation && (alias === null || isMeant(node, alias)));
    const plans: NodePlan[] = [];
    for (const node of nodes)
      plans.push({ node, text: node.counts === null ? null : await findPlan(client, deployment, node.alias, format) });
    if (plans.some(({ text }) => text !== null)) {
      printWhole(call, deployment, plans);
      return;
    }
  }
  throw noPlan(place);
}

function printWhole(call: ShowCall, deployment: Deployment, plans: readonly NodePlan[]): void {
  const { printer } = call;
  if (printer.format !== 'table') {
    printValue(call, {
      deployment: deployment.id,
      number: deployment.number,
      nodes: plans.map(({ node: { alias, name, removal, status, reason, counts }, text }) => ({
        alias,
        name,
        removal,
        status,
        reason: reason?.message ?? null,
        counts,
        plan: text === null ? null : (JSON.parse(text) as unknown),
      })),
    });
    return;
  }
  const { style } = printer;
  printer.remark(`Plan of ${oneLine(deployment.environmentName)} in deployment ${deployment.number}`);
  for (const { node, text } of plans) {
    if (node.action === 'keep' && node.removal === null) continue;
    printer.lines(['', style.colors.bold(`${style.glyphs.dot} ${titleOfPlan(node)}`)]);
    if (text !== null) printer.line(safeText(text).trimEnd());
    else printer.line(`  ${oneLine(node.reason?.message ?? node.error?.message ?? 'it has no plan')}`);
  }
  printer.lines([
    '',
    ...renderPlanTotals(
      plans.map(({ node }) => node),
      style,
    ),
  ]);
}
