import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { loadConfig, logLevels } from '../../config.ts';
import type { Config, Mode } from '../../config.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes } from '../exit.ts';
import { ownVersion, packageRoot } from '../package-root.ts';
import type { Io, Printer } from '../io.ts';
import { startEmbedded } from '../session.ts';
import type { RunningServer } from '../startup.ts';

const serverOptions = z.object({
  host: z.string().optional(),
  port: z.coerce.number('expected a port').int().min(0).max(65_535).optional(),
  data: z.string().optional(),
  logLevel: z.enum(logLevels).optional(),
  newAdministratorKey: z.boolean().optional(),
  ignoreDamage: z.boolean().optional(),
  pool: z.string().optional(),
});
export const serverFlags = [
  { flags: '--host <address>', description: 'address to listen on (default 127.0.0.1)' },
  { flags: '--port <port>', description: 'port of the API (default 8080; 0 takes any free one)' },
  { flags: '--data <directory>', description: 'data directory of the embedded server' },
  { flags: '--log-level <level>', description: 'how much is logged', choices: logLevels },
  {
    flags: '--new-administrator-key',
    description: 'make an administrator key although there is one, when the other was lost; it is stored, not shown',
  },
];

type ServerCall = Pick<Invocation<z.output<typeof serverOptions>>, 'io' | 'options'>;

export function readConfig({ io, options }: ServerCall, mode: Mode): Config {
  return loadConfig(io.env, {
    mode,
    host: options.host,
    port: options.port,
    dataDirectory: options.data,
    logLevel: options.logLevel,
    ignoreDamage: options.ignoreDamage,
    pool: options.pool,
  });
}
export { serverOptions };

/** Resolves at Ctrl-C or SIGTERM. */
export function untilInterrupted(io: Io): Promise<void> {
  return new Promise((resolve) => {
    const stop = io.onInterrupt(() => {
      stop();
      resolve();
    });
  });
}

/** Starts the embedded server for `up` and `demo`. */
export async function startHere(
  call: Pick<Invocation<z.output<typeof serverOptions>>, 'io' | 'printer' | 'dependencies' | 'options'>,
  config: Config,
): Promise<RunningServer> {
  const { io, printer, dependencies, options } = call;
  const { newAdministratorKey } = options;
  if (printer.format === 'table') printer.line(`Windlass ${ownVersion()}`);
  return startEmbedded({ io, printer, config, dependencies, output: io.stdout, brief: false, newAdministratorKey });
}

/** Stops it, and says so when that takes its time. */
export async function stopHere(printer: Printer, server: RunningServer): Promise<void> {
  const timer = setTimeout(
    () => printer.remark('Stopping; running tools may finish what they do. Ctrl-C again stops at once.'),
    1_000,
  );
  try {
    await server.stop();
  } finally {
    clearTimeout(timer);
  }
}

/** Starts what a machine of its own runs. */
async function start(call: ServerCall, mode: 'server' | 'worker'): Promise<{ stop(): Promise<void> }> {
  const ofPool = mode === 'worker' && (call.options.pool ?? call.io.env['WINDLASS_POOL']) !== undefined;
  const config = readConfig(call, ofPool ? 'pool' : mode);
  if (ofPool) return (await import('../../pool-worker.ts')).runPoolWorker(config);
  const { runServer, runWorker } = await import('../../server.ts');
  return mode === 'server' ? runServer(config, call.options) : runWorker(config);
}

export function addServe({ add }: Registry): void {
  add({
    usage: 'up',
    summary: 'Run everything on this machine: API, workers, Temporal, database',
    examples: [
      ['windlass up', 'until Ctrl-C; the data stays'],
      ['windlass up --port 9000', 'on another port'],
    ],
    flags: [
      ...serverFlags,
      {
        flags: '--ignore-damage',
        description: 'open the embedded database although files of it are damaged, to save what can be read',
      },
    ],
    options: serverOptions,
    async run(call) {
      const server = await startHere(call, readConfig(call, 'embedded'));
      if (call.printer.format === 'table') {
        call.printer.lines([
          '',
          'Next, in another terminal:  windlass init my-shop · windlass deploy ./my-shop · windlass --help',
          'Ctrl-C stops it; runs in progress continue at the next start.',
        ]);
      }
      await untilInterrupted(call.io);
      await stopHere(call.printer, server);
    },
  });
  for (const [mode, summary, example] of [
    [
      'server',
      'Run the API alone, on a database and a Temporal of yours',
      'needs WINDLASS_DATABASE_URL, TEMPORAL_ADDRESS and WINDLASS_ENCRYPTION_KEY',
    ],
    ['worker', 'Run a worker alone; as many as you like', 'needs the same variables as the server'],
  ] as const) {
    add({
      usage: mode,
      summary,
      description: `${summary}. Settings come from environment variables; docs/operating.md lists them.`,
      examples: [[`windlass ${mode}`, example]],
      flags:
        mode === 'server'
          ? serverFlags
          : [
              ...serverFlags.filter(({ flags }) => flags.startsWith('--log-level') || flags.startsWith('--data')),
              {
                flags: '--pool <name>',
                description:
                  'run the tools of this runner pool alone; needs no database, but WINDLASS_URL and WINDLASS_POOL_TOKEN',
              },
            ],
      options: serverOptions,
      async run(call) {
        const running = await start(call, mode);
        await untilInterrupted(call.io);
        await running.stop();
      },
    });
  }
  add({
    usage: 'test [arguments...]',
    summary: "Run Windlass's own tests; gets what they need first",
    examples: [['windlass test', 'all of them']],
    options: z.object({}),
    async run(call) {
      const code = await runScript(join(packageRoot(), 'scripts', 'test.mjs'), call.variadic(0));
      return code === 0 ? exitCodes.done : exitCodes.failed;
    },
  });
}

function runScript(script: string, parameters: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...parameters], { stdio: 'inherit', cwd: packageRoot() });
    child.once('error', (error) => reject(new CliError(`cannot run ${script}: ${error.message}`)));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
