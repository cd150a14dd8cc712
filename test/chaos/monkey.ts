import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, MemberName } from './cluster.ts';
import type { Random } from './random.ts';

export type KillKind = 'worker' | 'bothWorkers' | 'api' | 'temporal' | 'tool' | 'toolAndWorkers';

export interface Kill {
  readonly kind: KillKind;
  readonly atMs: number;
  /** Of a tool: `<deployment>/<alias>`. */
  readonly tools: readonly string[];
}

export interface Monkey {
  readonly kills: readonly Kill[];
  stop(): Promise<void>;
}

const weights: readonly (readonly [KillKind, number])[] = [
  ['worker', 35],
  ['bothWorkers', 10],
  ['api', 17],
  ['temporal', 13],
  ['tool', 18],
  ['toolAndWorkers', 7],
];

function drawKind(random: Random): KillKind {
  let left = random.next() * weights.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of weights) {
    left -= weight;
    if (left < 0) return kind;
  }
  return 'worker';
}

/** Kills parts of Windlass at random moments until it is stopped, at most `most` times. */
export function releaseMonkey(cluster: Cluster, random: Random, most: number): Monkey {
  const kills: Kill[] = [];
  const begunMs = Date.now();
  const stop = new AbortController();

  const killTool = (): string[] => {
    const running = cluster.tools();
    if (running.length === 0) return [];
    const { pid, deploymentId, alias } = random.pick(running);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return [];
    }
    return [`${deploymentId}/${alias}`];
  };
  const killParts = (...names: MemberName[]): Promise<void[]> =>
    Promise.all(names.map((name) => cluster.kill(name, random.whole(0, 2500))));

  async function strike(kind: KillKind): Promise<void> {
    let tools: string[] = [];
    switch (kind) {
      case 'worker':
        await killParts(random.pick(['worker-1', 'worker-2']));
        break;
      case 'bothWorkers':
        await killParts('worker-1', 'worker-2');
        break;
      case 'api':
      case 'temporal':
        await killParts(kind);
        break;
      case 'tool':
        tools = killTool();
        if (tools.length === 0) return;
        break;
      case 'toolAndWorkers':
        if (cluster.tools().length === 0) return;
        await killParts('worker-1', 'worker-2');
        tools = killTool();
        break;
    }
    kills.push({ kind, atMs: Date.now() - begunMs, tools });
  }

  const rampage = (async (): Promise<void> => {
    while (kills.length < most) {
      await delay(random.whole(200, 2500), undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      const kind = drawKind(random);
      await strike(kind);
    }
  })();
  return {
    kills,
    async stop() {
      stop.abort();
      await rampage;
    },
  };
}
