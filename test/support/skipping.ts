import type { Server } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { NativeConnection } from '@temporalio/worker';
import { createKey } from '../../src/access/index.ts';
import { createApi } from '../../src/api/index.ts';
import { loadConfig, withPort } from '../../src/config.ts';
import { nextRuns } from '../../src/definition/index.ts';
import { createToolLocator } from '../../src/embedded/index.ts';
import { createLogger, installTemporalRuntime } from '../../src/log.ts';
import { searchAttributes, taskQueues, workflowIds, workflowTypes } from '../../src/model/index.ts';
import { createOperations, createTemporalGateway } from '../../src/operations/index.ts';
import type { ScheduleInput } from '../../src/operations/index.ts';
import { isolationSettings, openRooms } from '../../src/rooms.ts';
import { chooseIsolation } from '../../src/process/index.ts';
import { startWorkers } from '../../src/worker.ts';
import { shiftClock } from './shifted-clock.ts';
import { toolPath } from './tools.ts';
import { until } from './until.ts';
import type { UntilOptions } from './until.ts';
import { createTestClient, testEnvironment } from './windlass.ts';
import type { TestClient } from './windlass.ts';

/** API, worker and database of Windlass on a Temporal whose time is skipped. They stop and start as often as wanted. */
export interface SkippingServer {
  client(): TestClient;
  nowMs(): number;
  /**
   * Lets the time pass up to a moment. What Temporal has timers for happens on the way; firings of schedules are started
   * at their times and `onFiring` is awaited after each, with the time standing still.
   */
  passTo(momentMs: number, onFiring?: (firing: Firing) => Promise<void>): Promise<void>;
  /** Waits for what needs no time of Temporal's; after a few seconds a minute passes after all. */
  until(check: () => Promise<boolean>, options?: UntilOptions): Promise<void>;
  /** Stops API, worker and database, and starts them anew. Nothing but the data directory and Temporal is left of them. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface Firing {
  readonly environmentId: string;
  readonly kind: ScheduleInput['kind'];
  readonly atMs: number;
  /** Why the firing came to nothing. */
  readonly skipped?: string | undefined;
}

const patienceMs = 8000;

interface App {
  readonly client: TestClient;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/**
 * The time-skipping server has no Schedules. What the product puts there is kept here instead, and each firing starts the
 * product's own workflow under the id that Temporal gives it: the schedule's, a dash and the nominal time.
 *
 * It starts today, or `at` a later date: then a test is the same on every day that it is run.
 * With `wholeProcess` records and activities go by that date, too.
 */
export async function startSkippingServer(
  options: { readonly at?: string; readonly wholeProcess?: boolean } = {},
): Promise<SkippingServer> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'windlass-skipping-'));
  const plain = loadConfig(testEnvironment(dataDirectory));
  const log = createLogger(plain);
  await installTemporalRuntime(log, plain.metrics);
  const executable = { type: 'existing-path' as const, path: toolPath('temporal-test-server') };
  const time = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
  await time.connection.operatorService.addSearchAttributes({
    namespace: 'default',
    // 2: keyword
    searchAttributes: Object.fromEntries(Object.values(searchAttributes).map((name) => [name, 2])),
  });
  // Not the environment's own client, whose waits for results would let the time pass.
  const temporal = new Client({ connection: time.connection });
  const schedules = new Map<string, ScheduleInput>();
  // Of everything in this process: API, activities and the embedded database read the same clock as Temporal.
  const clock = options.wholeProcess === true ? shiftClock() : null;
  let aheadMs = 0;
  const nowMs = (): number => Date.now() + aheadMs;
  const setClock = (momentMs: number): void => {
    if (clock === null) aheadMs = momentMs - Date.now();
    else clock.set(momentMs);
  };

  let starts = 0;
  async function startApp(): Promise<App> {
    const config = withPort(plain, await freePort());
    const tools = createToolLocator(config);
    const rooms = await openRooms(config, tools);
    const gateway = {
      ...createTemporalGateway(temporal, { namespace: 'default' }),
      putSchedule: async (input: ScheduleInput) => void schedules.set(`${input.kind}:${input.environmentId}`, input),
      deleteSchedule: async (kind: string, environmentId: string) => void schedules.delete(`${kind}:${environmentId}`),
    };
    const operations = createOperations({ ...rooms, temporal: gateway, clock: nowMs });
    const api = createApi({ operations, ...rooms, temporal: gateway, log, temporalUrl: null });
    const http = await new Promise<Server>((resolve) => {
      const server = api.listen(config.http.port, '127.0.0.1', () => resolve(server));
    });
    const connection = await NativeConnection.connect({ address: time.address });
    // The time-skipping server never takes back a step that it gave to the queue of a worker which has stopped since; without
    // a cache there are no such queues, and each step is as good as one after a restart.
    const workers = await startWorkers({
      config,
      rooms,
      operations,
      temporal,
      connection,
      address: time.address,
      log,
      isolation: await chooseIsolation(isolationSettings(config)),
      cachedWorkflows: 0,
    });
    const { token } = await createKey(rooms.db.sql, { name: `test-${++starts}`, permissions: ['*'] });
    return {
      client: createTestClient(config.http.publicUrl, token),
      stop: async () => {
        http.closeAllConnections();
        await new Promise((resolve) => http.close(resolve));
        await workers.stop();
        await connection.close();
        await rooms.db.close();
      },
    };
  }

  async function skipTo(momentMs: number): Promise<void> {
    const leftMs = momentMs - (await time.currentTimeMs());
    // Before Temporal's, so that no call in the middle of its work sees its own clock jump.
    if (leftMs > 0) clock?.set(momentMs);
    if (leftMs > 0) await time.sleep(leftMs);
    setClock(await time.currentTimeMs());
  }

  function nextFiring(afterMs: number): { input: ScheduleInput; atMs: number } | null {
    const all = [...schedules.values()]
      .filter((input) => !input.paused)
      .flatMap((input) => nextRuns(input.cron, input.timezone, afterMs, 1).map((atMs) => ({ input, atMs })));
    return all.sort((a, b) => a.atMs - b.atMs)[0] ?? null;
  }

  async function fire(input: ScheduleInput, atMs: number): Promise<Firing> {
    const { kind, environmentId } = input;
    const result: unknown = await temporal.workflow.execute(workflowTypes.scheduledRequest, {
      workflowId: `scheduled:${kind}:${environmentId}-${new Date(atMs).toISOString()}`,
      taskQueue: taskQueues.orchestration,
      args: [{ environmentId, kind }],
    });
    return { environmentId, kind, atMs, skipped: (result as { skipped?: string }).skipped };
  }

  let reconciliations = 0;
  /** What the schedule of the reconciliation starts each minute. */
  async function minute(): Promise<void> {
    await skipTo(nowMs() + 60_000);
    await temporal.workflow.start(workflowTypes.reconcile, {
      workflowId: `${workflowIds.reconcile}-${++reconciliations}`,
      taskQueue: taskQueues.orchestration,
    });
  }

  if (options.at !== undefined) await skipTo(Date.parse(options.at));
  let app = await startApp();
  return {
    client: () => app.client,
    nowMs,
    passTo: async (momentMs, onFiring) => {
      for (let afterMs = nowMs(); ;) {
        const next = nextFiring(afterMs);
        if (next === null || next.atMs > momentMs) return skipTo(momentMs);
        await skipTo(next.atMs);
        const firing = await fire(next.input, next.atMs);
        await onFiring?.(firing);
        afterMs = next.atMs;
      }
    },
    until: async (check, options) => {
      // Tasks that a stopped worker had taken come back only when their time is over, which stands still here.
      let minuteAtMs = performance.now() + patienceMs;
      await until(async () => {
        if (await check()) return true;
        if (performance.now() < minuteAtMs) return false;
        await minute();
        minuteAtMs = performance.now() + patienceMs;
        return false;
      }, options);
    },
    restart: async () => {
      await app.stop();
      app = await startApp();
    },
    stop: async () => {
      await app.stop();
      await time.teardown();
      clock?.restore();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}
