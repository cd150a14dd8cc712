import { setTimeout as delay } from 'node:timers/promises';
import { isTerminalDeployment } from '../../src/model/index.ts';
import type { Approval, Deployment, Environment, Page } from '../../src/model/index.ts';
import { Refused } from './client.ts';
import type { ChaosClient } from './client.ts';
import type { ChaosGraph } from './graph.ts';
import type { Random } from './random.ts';

export type StopVerb = 'cancel' | 'abort' | 'rollback';

/** What was asked of one run. */
export interface Asked {
  readonly number: number;
  readonly failing: readonly string[];
  readonly stops: Set<StopVerb>;
}

/** How often something was asked for, and how often it was taken. */
export type Counts = Record<string, { asked: number; taken: number }>;

export interface ActionContext {
  readonly client: ChaosClient;
  readonly random: Random;
  readonly graph: ChaosGraph;
  readonly environment: Environment;
  /** What was asked for and what was answered, for the report. */
  readonly story: string[];
  /** By deployment. */
  readonly asked: Map<string, Asked>;
  /** Deployments of which a plan was rejected. */
  readonly rejected: Set<string>;
  readonly counts: Counts;
  /** Time since the run began, for the story. */
  readonly clock: () => string;
}

/** A value no other deployment has, so that each replaces every resource. */
let values = 0;
const nextValue = (): string => `v${++values}`;

/** Does it, counts it, and tells the story of it. Answers null when it was refused. */
async function attempt<T>(
  context: ActionContext,
  kind: string,
  said: string,
  work: () => Promise<T>,
): Promise<T | null> {
  const { counts, story, clock } = context;
  const count = (counts[kind] ??= { asked: 0, taken: 0 });
  count.asked++;
  try {
    const answer = await work();
    count.taken++;
    story.push(`${clock()} ${said}`);
    return answer;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    story.push(`${clock()} ${said}: refused, ${error.reason}`);
    return null;
  }
}

function remember(context: ActionContext, run: Deployment, failing: readonly string[]): void {
  const { story, asked, clock } = context;
  if (asked.has(run.id)) return;
  asked.set(run.id, { number: run.number, failing, stops: new Set() });
  story.push(`${clock()} #${run.number} is ${run.id}`);
}

/** Longer than a worker can be dead before another takes its nodes over: then the tool still runs. */
const slowSeconds = 22;

/** Asks for a run. */
export async function start(
  context: ActionContext,
  request: Record<string, unknown>,
  failing: readonly string[] = [],
): Promise<Deployment | null> {
  const { client, random, graph, environment } = context;
  const own = request['type'] === undefined || request['type'] === 'deploy' || request['type'] === 'plan';
  const value = nextValue();
  const slow = own && random.chance(0.15) ? [random.pick(graph.nodes).alias] : [];
  const variables = [
    { name: 'value', value },
    ...failing.map((alias) => ({ name: 'fail', value: 'yes', alias })),
    ...slow.map((alias) => ({ name: 'pause', value: String(slowSeconds), alias })),
  ];
  const body = own ? { ...request, variables } : request;
  const { partial, type } = request as { partial?: { operation: string }; type?: string };
  const kind = partial?.operation ?? type ?? 'deploy';
  const said = `${JSON.stringify(request)}${own ? ` ${value}` : ''}${failing.length > 0 ? ` failing ${failing.join()}` : ''}${slow.length > 0 ? ` slow ${slow.join()}` : ''}`;
  const run = await attempt(context, kind, said, () =>
    client.request<Deployment>('POST', `/environments/${environment.id}/deployments`, body),
  );
  if (run !== null) remember(context, run, own ? failing : []);
  return run;
}

/** Asks for a run that goes on from, or back before, one that has ended. */
async function startFrom(
  context: ActionContext,
  verb: 'resume' | 'rollback',
  last: Deployment,
): Promise<Deployment | null> {
  const { client, random, asked } = context;
  // A run that has not quite ended is stopped itself, and that may have happened though no answer ever came.
  if (verb === 'rollback') asked.get(last.id)?.stops.add('rollback');
  const body = verb === 'resume' ? { refresh: random.chance(0.3) } : {};
  const run = await attempt(
    context,
    `${verb} of an ended run`,
    `${verb} from #${last.number} ${JSON.stringify(body)}`,
    () => client.request<Deployment>('POST', `/deployments/${last.id}/${verb}`, body),
  );
  if (run === null) return null;
  // What is resumed is asked for again with the same variables.
  remember(context, run, verb === 'resume' ? (asked.get(last.id)?.failing ?? []) : []);
  return run;
}

type Verb = StopVerb | 'retry' | 'skip' | 'pause';
const verbs: readonly Verb[] = ['cancel', 'abort', 'rollback', 'retry', 'skip', 'pause'];
const repairs: readonly Verb[] = ['retry', 'retry', 'skip', 'skip', 'pause', 'abort'];
/** A node has to fail before it can be tried again or skipped. */
const failureWithinMs = 8000;

/**
 * Waits until a node has failed. The run is paused meanwhile, as somebody does who repairs it: with nodes left to start it
 * cannot end before.
 */
async function failedNode(context: ActionContext, run: Deployment): Promise<string | null> {
  const { client } = context;
  let paused = false;
  for (const deadline = Date.now() + failureWithinMs; Date.now() < deadline; await delay(100)) {
    const { status } = await client.request<Deployment>('GET', `/deployments/${run.id}`);
    if (isTerminalDeployment(status)) return null;
    const nodes = (await client.nodes(run.id)).filter(({ compensation }) => !compensation);
    const found = nodes.find((node) => node.status === 'failed');
    if (found !== undefined) return found.alias;
    const failing = context.asked.get(run.id)?.failing ?? [];
    if (!paused && nodes.some((node) => node.status === 'running' && failing.includes(node.alias))) {
      paused = true;
      await attempt(context, 'pause', `pause of #${run.number}`, () =>
        client.request('POST', `/deployments/${run.id}/pause`, {}),
      );
    }
  }
  return null;
}

/** Interferes with a run at a random moment; that it comes too late is fine. */
async function interfere(context: ActionContext, run: Deployment): Promise<void> {
  const { client, random, graph, asked } = context;
  const verb = random.pick((asked.get(run.id)?.failing.length ?? 0) > 0 ? repairs : verbs);
  const waitMs = random.whole(50, 4000);
  const drawn = random.pick(graph.nodes).alias;
  const mends = random.chance(0.6);
  switch (verb) {
    case 'cancel':
    case 'abort':
    case 'rollback':
      await delay(waitMs);
      // Before it is sent, since it may be taken although the answer never comes.
      asked.get(run.id)?.stops.add(verb);
      await attempt(context, verb, `${verb} of #${run.number}`, async () => {
        const answer = await client.request<Deployment>('POST', `/deployments/${run.id}/${verb}`, {});
        // A run that has just ended is rolled back by one of its own.
        if (answer.id !== run.id) remember(context, answer, []);
      });
      return;
    case 'retry':
    case 'skip': {
      const alias = (await failedNode(context, run)) ?? drawn;
      if (verb === 'retry' && mends) {
        await attempt(context, 'variables', `${alias} of #${run.number} is mended`, () =>
          client.request('PUT', `/deployments/${run.id}/nodes/${alias}/variables`, [{ name: 'fail', value: 'no' }]),
        );
      }
      await attempt(context, verb, `${verb} ${alias} of #${run.number}`, () =>
        client.request('POST', `/deployments/${run.id}/nodes/${alias}/${verb}`, {}),
      );
      await attempt(context, 'continue', `continue #${run.number}`, () =>
        client.request('POST', `/deployments/${run.id}/continue`, {}),
      );
      return;
    }
    case 'pause':
      await delay(waitMs / 4);
      await attempt(context, 'pause', `pause of #${run.number}`, () =>
        client.request('POST', `/deployments/${run.id}/pause`, {}),
      );
      await delay(random.whole(100, 1500));
      // Also after a refusal: a run that stays paused would never end.
      await attempt(context, 'continue', `continue #${run.number}`, () =>
        client.request('POST', `/deployments/${run.id}/continue`, {}),
      );
  }
}

type Draw = Record<string, unknown> | 'resume' | 'rollback';

function draw(random: Random, graph: ChaosGraph): Draw {
  const node = random.pick(graph.nodes).alias;
  switch (random.whole(0, 12)) {
    case 0:
    case 1:
      return { type: 'destroy' };
    case 2:
      return { partial: { operation: 'single-node-deploy', node } };
    case 3:
      return { partial: { operation: 'run-from-here', node } };
    case 4:
      return { partial: { operation: 'single-node-destroy', node, force: random.chance(0.5) } };
    case 5:
    case 6:
      return 'resume';
    case 7:
      return { type: 'plan' };
    case 8:
    case 9:
      return { onFailure: 'rollback' };
    case 10:
      return 'rollback';
    case 11:
      return { onFailure: 'stop' };
    default:
      return {};
  }
}

/** What a person does about nodes that are marked: looks at what is really there, and says so. */
export async function verifyMarked(context: ActionContext): Promise<void> {
  const { client, environment } = context;
  for (const { id, alias, flags } of await client.children(environment.id)) {
    if (flags.stateUnverified === null) continue;
    await attempt(context, 'verify', `verify ${alias}`, () =>
      client.request('POST', `/environments/${id}/state/verify`, { reason: 'looked at what is really there' }),
    );
  }
}

/** A first deploy and one to three more requests, some of them interfered with, some asked for before the last has ended. */
export async function act(context: ActionContext, endWithinMs: number): Promise<void> {
  const { client, random, graph } = context;
  let last: Deployment | null = null;
  const times = random.whole(2, 4);
  for (let time = 0; time < times; time++) {
    const drawn: Draw = time === 0 ? {} : draw(random, graph);
    // Now and then nobody looks: then the next run has to say so, or to leave the mark.
    if (time > 0 && random.chance(0.6)) await verifyMarked(context);
    const failing = random.chance(0.4) ? [random.pick(graph.nodes).alias] : [];
    const run: Deployment | null =
      typeof drawn !== 'string'
        ? await start(context, drawn, failing)
        : last === null
          ? await start(context, {}, failing)
          : await startFrom(context, drawn, last);
    if (run === null) continue;
    last = run;
    if (random.chance(0.6)) await interfere(context, run);
    if (random.chance(0.75)) await client.ended(run.id, endWithinMs);
  }
}

/** Decides what nodes ask for as long as it is not stopped: most of it is approved. */
export function decideApprovals(context: ActionContext, random: Random): { approveAll(): void; stop(): Promise<void> } {
  const { client, environment, graph, asked, rejected } = context;
  let stopped = false;
  let rejects = true;
  const work = (async (): Promise<void> => {
    if (!graph.nodes.some((node) => node.approval)) return;
    while (!stopped) {
      const page = await client.request<Page<Approval>>(
        'GET',
        `/approvals?status=pending&environment=${environment.id}&limit=50`,
      );
      for (const { id, alias, deploymentId } of page.items) {
        const decision = rejects && random.chance(0.15) ? 'reject' : 'approve';
        const of = asked.get(deploymentId);
        if (decision === 'reject') rejected.add(deploymentId);
        await attempt(context, decision, `${decision} ${alias} of #${of?.number ?? deploymentId}`, () =>
          client.request('POST', `/approvals/${id}/${decision}`, {}),
        );
      }
      await delay(300);
    }
  })();
  work.catch(() => undefined);
  return {
    approveAll() {
      rejects = false;
    },
    async stop() {
      stopped = true;
      await work;
    },
  };
}
