import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { AnswerOf, Client } from '../../client/index.ts';
import { loadConfig } from '../../config.ts';
import type { Config } from '../../config.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import type { Session } from '../session.ts';
import { createMeter } from '../text/meter.ts';
import type { Meter } from '../text/meter.ts';
import { printDone } from './shared.ts';

const urlName = 'WINDLASS_MOVE_DATABASE_URL';
const options = z.object({
  data: z.string().optional(),
  databaseUrl: z.string().optional(),
  temporalAddress: z.string().optional(),
  temporalNamespace: z.string().default('default'),
  wait: z.boolean().default(false),
  cancel: z.boolean().default(false),
});
type Call = Invocation<z.output<typeof options>>;

type OpenRun = AnswerOf<Client['installation']['get']>['openRuns'][number];

const longestStopMs = 180_000;
const named = (run: OpenRun): string => `#${run.number} of "${run.environment}" (${run.status})`;

export function addMove({ add }: Registry): void {
  add({
    usage: 'move',
    summary: 'Move the embedded server to PostgreSQL and a Temporal cluster',
    description: `Copies all records into an empty PostgreSQL, then marks the embedded server as moved, which never starts again on this data directory. Schedules and times to live go on at the new place as soon as a worker runs there. A running server is stopped; runs that are open have to end first. The address of the database may be given in ${urlName}, where no process list shows its password.`,
    examples: [
      [`${urlName}=postgres://… windlass move --temporal-address temporal:7233`, ''],
      ['windlass move --database-url postgres://… --temporal-address temporal:7233 --wait', 'lets open runs end first'],
      ['windlass move --database-url postgres://… --cancel', 'gives up a move that could not be finished'],
    ],
    flags: [
      { flags: '--data <directory>', description: 'data directory of the embedded server' },
      { flags: '--database-url <url>', description: `an empty PostgreSQL database; else ${urlName}` },
      { flags: '--temporal-address <host:port>', description: 'the Temporal to move to' },
      { flags: '--temporal-namespace <name>', description: 'its namespace (default: default)' },
      { flags: '--wait', description: 'let open runs end, and hold new ones back for the new place' },
      { flags: '--cancel', description: 'give up a move whose records have not arrived' },
    ],
    options,
    async run(call) {
      const config = loadConfig(call.io.env, { mode: 'embedded', dataDirectory: call.options.data });
      const databaseUrl = call.options.databaseUrl ?? call.io.env[urlName];
      if (!databaseUrl || !/^postgres(ql)?:\/\/\S+$/.test(databaseUrl))
        throw usageError(
          'where to is not said',
          `give --database-url postgres://user:password@host:5432/database, or ${urlName}`,
        );
      const { cancelMove, checkDestination, moveAway } = await import('../../moving.ts');
      if (call.options.cancel) {
        await cancelMove(config, databaseUrl);
        printDone(call, 'The move was given up; start the server again: windlass up', { cancelled: true });
        return;
      }
      const { temporalAddress, temporalNamespace: namespace } = call.options;
      if (temporalAddress === undefined) throw usageError('where to is not said', 'give --temporal-address host:port');
      const meter = createMeter(call.io, call.printer);
      const onProgress = (done: number, total: number): void => meter.show('copying records', done, total);
      const { temporalConnectionOptions } = await import('../../temporal-connection.ts');
      const access = temporalConnectionOptions(config.temporal);
      const to = { databaseUrl, temporalAddress, namespace, access, onProgress };
      try {
        await checkDestination(to);
        await stopRunning(call, config, meter);
        const moved = await moveAway(config, to);
        meter.close();
        printDone(call, `Moved to ${moved.to}.`, moved);
        if (call.printer.format === 'table') call.printer.lines(nextSteps(moved, config));
      } finally {
        meter.close();
      }
    },
  });
}

function nextSteps(
  moved: { keyFile: string | null; temporalKeptIn: string | null; localSources: readonly string[] },
  { dataDirectory }: Config,
): string[] {
  return [
    '',
    'Next, on each machine of the new place:',
    '  WINDLASS_DATABASE_URL and TEMPORAL_ADDRESS of it, and',
    moved.keyFile === null
      ? '  the same WINDLASS_ENCRYPTION_KEY'
      : `  WINDLASS_ENCRYPTION_KEY_FILE with a copy of ${moved.keyFile}`,
    '  windlass server · windlass worker',
    'API keys go on working there: windlass login URL. Schedules and times to live go on when the first worker runs.',
    ...(moved.localSources.length === 0
      ? []
      : [
          `Sources of ${moved.localSources.slice(0, 5).join(', ')} are directories of this machine: run a worker here, or give them git sources before it goes.`,
        ]),
    `${dataDirectory} stays as it was${moved.temporalKeptIn === null ? '' : ` (Temporal's part in ${moved.temporalKeptIn})`} and does not start again.`,
  ];
}

/** Holds new runs back, lets the open ones end when that is wanted, and stops the server. Without one does nothing. */
async function stopRunning(call: Call, { dataDirectory }: Config, meter: Meter): Promise<void> {
  const session = await call.connectLocal(dataDirectory);
  if (session === null) return;
  await session.client.installation.hold({ body: { reason: 'the server is being moved' } });
  let interrupted = false;
  const stopListening = call.io.onInterrupt(() => (interrupted = true));
  try {
    for (;;) {
      const { openRuns } = await session.client.installation.get();
      if (openRuns.length === 0) break;
      if (!call.options.wait)
        throw new CliError(`runs are open: ${openRuns.slice(0, 5).map(named).join(', ')}`, {
          hint: 'nothing was changed. --wait lets them end and holds new ones back',
        });
      if (interrupted) throw new CliError('stopped; nothing was changed', { exitCode: exitCodes.detached });
      const more = openRuns.length > 1 ? ` and ${openRuns.length - 1} more` : '';
      meter.show(`waiting for ${openRuns.slice(0, 1).map(named).join('')}${more}`, 0, 0);
      await sleep(1000);
    }
    await stopServer(call, dataDirectory, meter);
  } catch (error) {
    await release(session);
    throw error;
  } finally {
    stopListening();
  }
}

async function release({ client }: Session): Promise<void> {
  await client.installation.release().catch(() => undefined);
}

async function stopServer({ io }: Call, dataDirectory: string, meter: Meter): Promise<void> {
  const { findRunning } = await import('../../embedded/index.ts');
  const running = findRunning(dataDirectory);
  if (running === null) return;
  meter.show('stopping the server', 0, 0);
  process.kill(running.pid, 'SIGTERM');
  for (const deadline = io.now() + longestStopMs; findRunning(dataDirectory) !== null; await sleep(250)) {
    if (io.now() > deadline)
      throw new CliError(`the server (process ${running.pid}) does not stop`, {
        hint: 'stop it by hand, then repeat this',
      });
  }
}
