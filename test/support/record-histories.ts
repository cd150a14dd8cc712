/**
 * Records histories of each kind of run into a new folder of test/histories/, named after the day, from a real server. What
 * was recorded before stays: it stands for workflows that are open somewhere. Run it with
 * `npm run record-histories` when workflow code has changed on purpose; see docs/versioning.md. Names of scenarios as
 * arguments record only those.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';
import { scenarios } from './history-scenarios.ts';
import type { Scenario } from './history-scenarios.ts';
import { toolPath } from './tools.ts';
import { startTestServer } from './windlass.ts';
import type { TestServer } from './windlass.ts';

/** Longer ones are kept packed. */
const longestPlainBytes = 100_000;

/** Names of machines and processes do not belong into the repository. */
function withoutMachine(text: string): string {
  return text.replace(/"identity":"[^"]*"/g, '"identity":"worker"').replaceAll(`${process.cwd()}/`, 'windlass/');
}

/** A folder of its own for each recording: `2026-11-26`, and then `2026-11-26-2`. */
function newFolder(): string {
  const root = join(process.cwd(), 'test', 'histories');
  const today = new Date().toISOString().slice(0, 10);
  for (let count = 1; ; count++) {
    const folder = join(root, count === 1 ? today : `${today}-${count}`);
    if (existsSync(folder)) continue;
    mkdirSync(folder, { recursive: true });
    return folder;
  }
}

const startSchema = z.object({
  events: z.tuple(
    [
      z.object({
        workflowExecutionStartedEventAttributes: z.object({ continuedExecutionRunId: z.string().optional() }),
      }),
    ],
    z.unknown(),
  ),
});

/** The histories of a workflow and of those that it took over from, oldest first. */
function historiesOf(server: TestServer, workflowId: string): string[] {
  const found: string[] = [];
  for (let runId: string | undefined, first = true; first || runId !== undefined; first = false) {
    const run = runId === undefined ? [] : ['--run-id', runId];
    const show = ['workflow', 'show', '--workflow-id', workflowId, ...run, '--address', server.temporalAddress];
    const text = execFileSync(toolPath('temporal'), [...show, '--output', 'json'], {
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
    });
    const history: unknown = JSON.parse(text);
    found.unshift(withoutMachine(JSON.stringify(history)));
    const [started] = startSchema.parse(history).events;
    runId = started.workflowExecutionStartedEventAttributes.continuedExecutionRunId || undefined;
  }
  return found;
}

async function workflowsOf(server: TestServer, runs: readonly string[], runsOnly: boolean): Promise<string[]> {
  const ids: string[] = [];
  for (const id of runs) {
    ids.push(`deployment:${id}`);
    if (runsOnly) continue;
    for (const run of await server.nodes(id))
      if (run.startedAt !== null) ids.push(`deployment:${id}/${run.compensation ? 'rollback/' : ''}${run.alias}`);
  }
  return ids;
}

function kindOf(workflowId: string): string {
  if (workflowId.startsWith('environment:')) return 'environment';
  return workflowId.includes('/') ? 'node' : 'deployment';
}

function keep(folder: string, name: string, text: string): void {
  const file = join(folder, `${name}.json`);
  if (text.length <= longestPlainBytes) writeFileSync(file, `${text}\n`);
  else writeFileSync(`${file}.gz`, gzipSync(text, { level: 9 }));
}

async function recordScenario(server: TestServer, scenario: Scenario, folder: string): Promise<void> {
  const { name, file, play, runsOnly = false } = scenario;
  const directory = mkdtempSync(join(tmpdir(), 'windlass-record-'));
  writeFileSync(join(directory, 'windlass.workflow.yml'), file);
  await server.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory } });
  const environment = await server.createEnvironment({ name, template: name });
  const runs = await play(server, name, directory);
  const workflows = [`environment:${environment.id}`, ...(await workflowsOf(server, runs, runsOnly))];
  let count = 0;
  for (const id of workflows) {
    for (const history of historiesOf(server, id)) keep(folder, `${name}.${count++}.${kindOf(id)}`, history);
  }
  process.stdout.write(`${name}: ${count} histories\n`);
  rmSync(directory, { recursive: true, force: true });
}

async function record(): Promise<void> {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`there is no scenario ${unknown.join(', ')}`);
  const folder = newFolder();
  const server = await startTestServer();
  try {
    for (const scenario of scenarios) {
      if (asked.length === 0 || asked.includes(scenario.name)) await recordScenario(server, scenario, folder);
    }
  } finally {
    await server.stop();
  }
}

void record();
