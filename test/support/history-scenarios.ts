/** What is recorded: each way in which workflows are told something, played once on a real server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Approval, Deployment, Event, Page } from '../../src/model/index.ts';
import type { TestServer } from './windlass.ts';

export interface Scenario {
  readonly name: string;
  readonly file: string;
  /** Answers the ids of the runs whose histories are kept. `directory` holds the file. */
  readonly play: (server: TestServer, environment: string, directory: string) => Promise<string[]>;
  /** Of a large graph the run is kept, its nodes are not. */
  readonly runsOnly?: boolean;
}

const node = (alias: string, script: string, more = ''): string =>
  `  ${alias}:\n    vcs: { type: shell, path: ., deployScript: '${script}', destroyScript: 'true' }\n${more}`;
const needs = (alias: string): string => `    needs: [${alias}]\n`;

const at = (server: TestServer, id: string, alias: string, status: string): Promise<unknown> =>
  server.until(async () => (await server.statuses(id))[alias] === status);

const pendingApprovals = (server: TestServer, id: string, count: number): Promise<Approval[]> =>
  server.until(async () => {
    const page = await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${id}`);
    return page.items.length === count && page.items;
  });

async function endIn(server: TestServer, environment: string, seconds: number): Promise<void> {
  const at = new Date(Date.now() + seconds * 1000).toISOString();
  await server.request('PUT', `/environments/${environment}/ttl`, { kind: 'date', at });
}

/** The destroy of the environment's end, as soon as it is there. */
const runOfEnd = (server: TestServer, environment: string): Promise<Deployment> =>
  server.until(async () => {
    const { items } = await server.request<Page<Deployment>>('GET', `/environments/${environment}/deployments`);
    return items.find(({ trigger }) => trigger === 'ttl');
  });

async function resumeOf(server: TestServer, id: string, body: Record<string, unknown> = {}): Promise<string> {
  const { id: resumed } = await server.request<Deployment>('POST', `/deployments/${id}/resume`, body);
  return (await server.ended(resumed)).id;
}

/** Past the number of events at which a workflow hands over to its successor; see workflows/. */
const nodesOfLargeGraph = 1250;
const messagesOfLongLife = 220;

export const scenarios: readonly Scenario[] = [
  {
    name: 'deploy-and-destroy',
    file: `environments:\n${node('a', 'true')}${node('b', 'true', '    needs: [a]\n')}${node('c', 'true', '    needs: [a, b]\n')}`,
    play: async (server, environment) => [
      (await server.run(environment)).id,
      (await server.run(environment, { type: 'destroy' })).id,
    ],
  },
  {
    name: 'failure-skips-dependents',
    file: `environments:\n${node('a', 'false')}${node('b', 'true', '    needs: [a]\n')}${node('c', 'true')}`,
    play: async (server, environment) => [(await server.run(environment)).id],
  },
  {
    name: 'retry-in-flight',
    file: `environments:\n${node('a', 'test -e ok')}${node('b', 'true', '    needs: [a]\n')}${node('slow', 'sleep 4; touch ../../ok')}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      await server.until(async () => (await server.statuses(id))['a'] === 'failed');
      await server.request('POST', `/deployments/${id}/pause`);
      await server.request('POST', `/deployments/${id}/nodes/a/retry`);
      await server.request('POST', `/deployments/${id}/continue`);
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'rollback-on-failure',
    file: `settings: { onFailure: rollback }\nenvironments:\n${node('a', 'true')}${node('b', 'false', '    needs: [a]\n')}`,
    play: async (server, environment) => [(await server.run(environment)).id],
  },
  {
    name: 'abort',
    file: `environments:\n${node('a', 'sleep 60')}${node('b', 'true', '    needs: [a]\n')}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      await server.until(async () => (await server.statuses(id))['a'] === 'running');
      await server.request('POST', `/deployments/${id}/abort`);
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'approvals',
    file: `environments:\n${node('a', 'true', '    requiresApproval: true\n')}${node('b', 'true', '    requiresApproval: true\n')}${node('c', 'true', '    needs: [b]\n')}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      for (const approval of await pendingApprovals(server, id, 2))
        await server.request('POST', `/approvals/${approval.id}/${approval.alias === 'a' ? 'approve' : 'reject'}`, {});
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'plan-and-retry-rule',
    file: `environments:\n${node('a', 'false', '    retry: { maximum: 1, intervalSeconds: 1 }\n')}`,
    play: async (server, environment) => [
      (await server.run(environment, { type: 'plan' })).id,
      (await server.run(environment)).id,
    ],
  },
  {
    name: 'pause-skip-continue-cancel',
    file: `environments:\n${node('a', 'sleep 3')}${node('b', 'false')}${node('c', 'sleep 3', needs('a'))}${node('d', 'true', needs('b'))}${node('e', 'true', needs('c'))}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      await at(server, id, 'b', 'failed');
      await server.request('POST', `/deployments/${id}/pause`);
      await server.request('POST', `/deployments/${id}/nodes/b/skip`);
      await at(server, id, 'a', 'succeeded');
      await server.request('POST', `/deployments/${id}/continue`);
      await at(server, id, 'c', 'running');
      await server.request('POST', `/deployments/${id}/cancel`);
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'rollback-asked-for',
    file: `environments:\n${node('a', 'true')}${node('b', 'sleep 60', needs('a'))}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      await at(server, id, 'b', 'running');
      await server.request('POST', `/deployments/${id}/rollback`);
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'cancel-queued',
    file: `environments:\n${node('a', 'sleep 3')}`,
    play: async (server, environment) => {
      const first = await server.start(environment);
      await at(server, first.id, 'a', 'running');
      const second = await server.start(environment);
      await server.request('POST', `/deployments/${second.id}/cancel`);
      await server.ended(second.id);
      await server.ended(first.id);
      return [first.id];
    },
  },
  {
    name: 'lock',
    file: `environments:\n${node('a', 'true')}`,
    play: async (server, environment) => {
      const { id } = await server.run(environment);
      await server.request('POST', `/environments/${environment}/lock`, { reason: 'holidays' });
      await server.request('DELETE', `/environments/${environment}/lock`);
      return [id];
    },
  },
  {
    name: 'time-to-live',
    file: `environments:\n${node('a', 'true')}`,
    play: async (server, environment) => {
      const { id } = await server.run(environment);
      await endIn(server, environment, 5);
      const end = await server.ended((await runOfEnd(server, environment)).id);
      return [id, end.id];
    },
  },
  {
    name: 'time-to-live-that-is-put-off',
    file: `environments:\n${node('a', 'sleep 8')}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      await at(server, id, 'a', 'running');
      await endIn(server, environment, 2);
      const end = await runOfEnd(server, environment);
      await server.request('POST', `/environments/${environment}/ttl/extend`, { hours: 4 });
      await server.ended(end.id);
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'time-to-live-of-a-locked-environment',
    file: `environments:\n${node('a', 'true')}`,
    play: async (server, environment) => {
      const { id } = await server.run(environment);
      await endIn(server, environment, 4);
      await server.request('POST', `/environments/${environment}/lock`, { reason: 'holidays' });
      await server.until(async () => {
        const path = `/environments/${environment}/events?limit=200`;
        const { items } = await server.request<Page<Event>>('GET', path, undefined, { accept: 'application/json' });
        return items.some(
          ({ type, data }) => type === 'environment.warning' && /time to live is over/.test(String(data['message'])),
        );
      });
      await server.request('DELETE', `/environments/${environment}/lock`);
      const end = await server.ended((await runOfEnd(server, environment)).id);
      return [id, end.id];
    },
  },
  {
    name: 'time-to-live-of-nodes',
    file: `environments:\n${node('a', 'true', '    ttl: 4s\n')}${node('b', 'true', `    ttl: 4s\n${needs('a')}`)}${node('c', 'true')}`,
    play: async (server, environment) => {
      const { id } = await server.run(environment);
      // One after the other: what needs it first.
      const ends = await server.until(async () => {
        const { items } = await server.request<Page<Deployment>>('GET', `/environments/${environment}/deployments`);
        const found = items.filter(({ trigger }) => trigger === 'ttl');
        return found.length === 2 && found;
      });
      for (const end of ends) await server.ended(end.id);
      return [id, ...ends.map((end) => end.id)];
    },
  },
  {
    name: 'resume',
    file: `environments:\n${node('a', 'true')}${node('b', 'false', needs('a'))}${node('c', 'true', needs('b'))}`,
    play: async (server, environment, directory) => {
      const { id } = await server.run(environment);
      const mended = `environments:\n${node('a', 'true')}${node('b', 'true', needs('a'))}${node('c', 'true', needs('b'))}`;
      writeFileSync(join(directory, 'windlass.workflow.yml'), mended);
      return [id, await resumeOf(server, id, { refresh: true })];
    },
  },
  {
    name: 'approval-node',
    file: `environments:\n${node('a', 'true')}  go: { approval: { message: 'Is it as drawn?' }, needs: [a] }\n${node('b', 'true', needs('go'))}`,
    play: async (server, environment) => {
      const { id } = await server.start(environment);
      for (const approval of await pendingApprovals(server, id, 1))
        await server.request('POST', `/approvals/${approval.id}/approve`, {});
      await server.ended(id);
      return [id];
    },
  },
  {
    name: 'long-life',
    file: `environments:\n${node('a', 'true')}`,
    play: async (server, environment) => {
      const { id } = await server.run(environment);
      for (let times = 0; times < messagesOfLongLife; times += 2) {
        await server.request('POST', `/environments/${environment}/lock`, { reason: 'again' });
        await server.request('DELETE', `/environments/${environment}/lock`);
      }
      return [id, (await server.run(environment)).id];
    },
  },
  {
    name: 'large-graph',
    // Some are still at work when the run hands over, and are watched by its successor.
    file: `environments:\n${node('slow', 'sleep 240')}${Array.from({ length: nodesOfLargeGraph }, (_, index) => node(`n${index}`, 'true')).join('')}`,
    play: async (server, environment) => [(await server.run(environment)).id],
    runsOnly: true,
  },
];
