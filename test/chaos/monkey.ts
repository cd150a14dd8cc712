import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, MemberName, Tool } from './cluster.ts';
import type { Random } from './random.ts';

export type KillKind = 'worker' | 'bothWorkers' | 'api' | 'temporal' | 'tool' | 'toolAndWorkers';

export interface Kill {
  readonly kind: KillKind;
  readonly at: Date;
  /** Tools that were killed, as `<deployment>/<alias>`. */
  readonly tools: readonly string[];
  /** How many tools ran at that moment. */
  readonly running: number;
}

export interface Monkey {
  readonly kills: readonly Kill[];
  /** Tools of these nodes are not killed any more; everything else is. */
  spare(aliases: readonly string[]): void;
  stop(): Promise<void>;
}

const weights: readonly (readonly [KillKind, number])[] = [
  ['worker', 32],
  ['bothWorkers', 8],
  ['api', 17],
  ['temporal', 10],
  ['tool', 26],
  ['toolAndWorkers', 10],
];

function drawKind(random: Random): KillKind {
  let left = random.next() * weights.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of weights) {
    left -= weight;
    if (left < 0) return kind;
  }
  return 'worker';
}

/** A tool lives for about a second: one that is to be killed is waited for. */
const toolWithinMs = 4000;

/** Pauses between two kills. */
const pauseMs = { least: 1500, most: 9000 };

/** Kills parts of Windlass and tools at random moments until it is stopped. */
export function releaseMonkey(cluster: Cluster, random: Random): Monkey {
  const kills: Kill[] = [];
  const spared = new Set<string>();
  const stop = new AbortController();

  const fairTools = (): Tool[] => cluster.tools().filter(({ alias }) => alias !== '' && !spared.has(alias));
  const waitForTool = async (): Promise<boolean> => {
    for (const deadline = Date.now() + toolWithinMs; Date.now() < deadline; await delay(50)) {
      if (stop.signal.aborted) return false;
      if (fairTools().length === 0) continue;
      // Some of its life goes by, so that it is killed in any of its moments.
      await delay(random.whole(0, 700));
      return true;
    }
    return false;
  };
  const killTool = (): string[] => {
    const fair = fairTools();
    if (fair.length === 0) return [];
    const { pid, deploymentId, alias } = random.pick(fair);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return [];
    }
    return [`${deploymentId}/${alias}`];
  };
  const killParts = async (...names: MemberName[]): Promise<boolean> =>
    (await Promise.all(names.map((name) => cluster.kill(name, random.whole(0, 2500))))).includes(true);

  async function strike(kind: KillKind): Promise<void> {
    if ((kind === 'tool' || kind === 'toolAndWorkers') && !(await waitForTool())) return;
    const tools = cluster.tools();
    const seen = { kind, at: new Date(), running: tools.length };
    switch (kind) {
      case 'worker':
        if (await killParts(random.pick(['worker-1', 'worker-2']))) kills.push({ ...seen, tools: [] });
        return;
      case 'bothWorkers':
        if (await killParts('worker-1', 'worker-2')) kills.push({ ...seen, tools: [] });
        return;
      case 'api':
        if (await killParts('api')) kills.push({ ...seen, tools: [] });
        return;
      case 'temporal':
        if (await killParts(random.pick(cluster.temporalMembers))) kills.push({ ...seen, tools: [] });
        return;
      case 'tool': {
        const killed = killTool();
        if (killed.length > 0) kills.push({ ...seen, tools: killed });
        return;
      }
      case 'toolAndWorkers': {
        const parts = await killParts('worker-1', 'worker-2');
        const killed = killTool();
        if (parts || killed.length > 0) kills.push({ ...seen, tools: killed });
      }
    }
  }

  const rampage = (async (): Promise<void> => {
    for (;;) {
      await delay(random.whole(pauseMs.least, pauseMs.most), undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      await strike(drawKind(random));
    }
  })();
  return {
    kills,
    spare(aliases) {
      for (const alias of aliases) spared.add(alias);
    },
    async stop() {
      stop.abort();
      await rampage;
    },
  };
}
