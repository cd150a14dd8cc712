import { setTimeout as delay } from 'node:timers/promises';
import type { Deployment, Environment } from '../../src/model/index.ts';
import { Refused } from './client.ts';
import type { ChaosClient } from './client.ts';
import type { ChaosGraph } from './graph.ts';
import type { Random } from './random.ts';

export interface ActionContext {
  readonly client: ChaosClient;
  readonly random: Random;
  readonly graph: ChaosGraph;
  readonly environment: Environment;
  /** What was asked for and what was answered, for the report. */
  readonly story: string[];
}

/** A value no other deployment has, so that each replaces every resource. */
let values = 0;
const nextValue = (): string => `v${++values}`;

export async function start(
  { client, environment, story }: ActionContext,
  request: Record<string, unknown>,
  failing: readonly string[] = [],
): Promise<Deployment | null> {
  const value = nextValue();
  const variables = [{ name: 'value', value }, ...failing.map((alias) => ({ name: 'fail', value: 'yes', alias }))];
  const body = request['resume'] || request['type'] === 'destroy' ? request : { ...request, variables };
  const said = `${JSON.stringify(request)} ${value}${failing.length > 0 ? ` failing ${failing.join(',')}` : ''}`;
  try {
    const run = await client.request<Deployment>('POST', `/environments/${environment.id}/deployments`, body);
    story.push(`#${run.number} ${run.id} ${said}`);
    return run;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    story.push(`refused ${said}: ${error.message.slice(0, 200)}`);
    return null;
  }
}

const verbs = ['cancel', 'abort', 'rollback', 'retry', 'pause'] as const;

/** Interferes with a run at a random moment; that it comes too late is fine. */
async function interfere(context: ActionContext, run: Deployment): Promise<void> {
  const { client, random, graph, story } = context;
  const waitMs = random.whole(100, 4000);
  const verb = random.pick(verbs);
  const alias = random.pick(graph.nodes).alias;
  await delay(waitMs);
  try {
    switch (verb) {
      case 'cancel':
      case 'abort':
      case 'rollback':
        await client.request('POST', `/deployments/${run.id}/${verb}`, {});
        break;
      case 'retry':
        await client.request('POST', `/deployments/${run.id}/nodes/${alias}/retry`, {});
        break;
      case 'pause':
        await client.request('POST', `/deployments/${run.id}/pause`, {});
        await delay(500);
        await client.request('POST', `/deployments/${run.id}/continue`, {});
        break;
    }
    story.push(`${verb} ${verb === 'retry' ? alias : ''} of #${run.number} after ${waitMs} ms`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    story.push(`${verb} of #${run.number} refused: ${error.message.slice(0, 160)}`);
    // A run that stays paused would never end.
    if (verb === 'pause') await client.request('POST', `/deployments/${run.id}/continue`, {}).catch(() => undefined);
  }
}

function drawRequest(random: Random, graph: ChaosGraph, last: Deployment | null): Record<string, unknown> {
  const node = random.pick(graph.nodes).alias;
  switch (random.whole(0, 7)) {
    case 0:
      return { type: 'destroy' };
    case 1:
      return { partial: { operation: 'single-node-deploy', node } };
    case 2:
      return { partial: { operation: 'single-node-destroy', node, force: random.chance(0.5) } };
    case 3:
      return last === null ? {} : { resume: { deployment: last.id } };
    case 4:
      return { type: 'plan' };
    case 5:
      return { onFailure: 'rollback' };
    default:
      return {};
  }
}

/** A first deploy and one to three more requests, some of them interfered with, some asked for before the last has ended. */
export async function act(context: ActionContext, endWithinMs: number): Promise<void> {
  const { client, random, graph } = context;
  let last: Deployment | null = null;
  const times = random.whole(2, 4);
  for (let time = 0; time < times; time++) {
    const request = time === 0 ? {} : drawRequest(random, graph, last);
    const failing = random.chance(0.35) ? [random.pick(graph.nodes).alias] : [];
    const run = await start(context, request, failing);
    if (run === null) continue;
    last = run;
    if (random.chance(0.5)) await interfere(context, run);
    if (random.chance(0.7)) await client.ended(run.id, endWithinMs);
  }
}
