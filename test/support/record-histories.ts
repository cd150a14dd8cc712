/**
 * Records one history of each kind of run into test/histories/<today>/, from a real server. What was recorded before stays:
 * it stands for workflows that are open somewhere. Run it with
 * `npm run record-histories` when workflow code has changed on purpose; see docs/versioning.md.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Approval, Page } from '../../src/model/index.ts';
import { toolPath } from './tools.ts';
import { startTestServer } from './windlass.ts';
import type { TestServer } from './windlass.ts';

interface Scenario {
  readonly name: string;
  readonly file: string;
  readonly play: (server: TestServer, environment: string) => Promise<string[]>;
}

const node = (alias: string, script: string, more = ''): string =>
  `  ${alias}:\n    vcs: { type: shell, path: ., deployScript: '${script}', destroyScript: 'true' }\n${more}`;

const scenarios: readonly Scenario[] = [
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
      const waiting = await server.until(async () => {
        const page = await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${id}`);
        return page.items.length === 2 && page.items;
      });
      for (const approval of waiting)
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
];

/** Names of machines and processes do not belong into the repository. */
function withoutMachine(text: string): string {
  return text.replace(/"identity":"[^"]*"/g, '"identity":"worker"').replaceAll(`${process.cwd()}/`, 'windlass/');
}

async function record(): Promise<void> {
  const target = join(process.cwd(), 'test', 'histories', new Date().toISOString().slice(0, 10));
  if (existsSync(target)) throw new Error(`${target} is there already: recorded histories are not replaced`);
  mkdirSync(target, { recursive: true });
  const server = await startTestServer();
  try {
    for (const { name, file, play } of scenarios) {
      const directory = mkdtempSync(join(tmpdir(), 'windlass-record-'));
      writeFileSync(join(directory, 'windlass.workflow.yml'), file);
      await server.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory } });
      const environment = await server.createEnvironment({ name, template: name });
      const deployments = await play(server, name);
      const ids = [`environment:${environment.id}`];
      for (const id of deployments) {
        ids.push(`deployment:${id}`);
        for (const run of await server.nodes(id))
          if (run.startedAt !== null) ids.push(`deployment:${id}/${run.compensation ? 'rollback/' : ''}${run.alias}`);
      }
      for (const [position, id] of ids.entries()) {
        const show = ['workflow', 'show', '--workflow-id', id, '--address', server.temporalAddress, '--output', 'json'];
        const history: unknown = JSON.parse(
          execFileSync(toolPath('temporal'), show, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }),
        );
        const kind = id.startsWith('environment:') ? 'environment' : id.includes('/') ? 'node' : 'deployment';
        writeFileSync(join(target, `${name}.${position}.${kind}.json`), `${withoutMachine(JSON.stringify(history))}\n`);
      }
      process.stdout.write(`${name}: ${ids.length} histories\n`);
      rmSync(directory, { recursive: true, force: true });
    }
  } finally {
    await server.stop();
  }
}

void record();
