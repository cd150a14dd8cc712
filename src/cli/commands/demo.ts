import { join } from 'node:path';
import { z } from 'zod';
import type { Invocation, Registry } from '../cli.ts';
import { sessionOf } from '../session.ts';
import type { Session } from '../session.ts';
import { packageRoot } from '../package-root.ts';
import { exitCodes } from '../exit.ts';
import { provideEnvironment } from './deploy-directory.ts';
import { requireDeployable, templateOf } from './directory.ts';
import { startRun } from './runs.ts';
import { readConfig, serverFlags, serverOptions, startHere, stopHere, untilInterrupted } from './serve.ts';

const demoOptions = serverOptions.extend({ exit: z.boolean().default(false) });
type DemoCall = Invocation<z.output<typeof demoOptions>>;

/** What the demo's environment is called in commands. */
const demoName = 'shop';

export function addDemo({ add }: Registry): void {
  add({
    usage: 'demo',
    summary: 'Start everything and deploy the example "Online shop", six real stacks',
    examples: [
      ['windlass demo', 'stays up until Ctrl-C'],
      ['windlass demo --exit', 'ends after the deploy, with its exit code'],
    ],
    flags: [{ flags: '--exit', description: 'end after the deploy' }, ...serverFlags],
    options: demoOptions,
    async run(call) {
      const config = readConfig(call, 'embedded');
      // A server that is up already, or one that is named, is as good as one of our own.
      const named = call.url !== undefined ? await call.connect() : await call.connectLocal(config.dataDirectory);
      if (named) return deployDemo(call, named);
      const server = await startHere(call, config);
      const session = await sessionOf(call.io, server, { close: () => stopHere(call.printer, server) });
      try {
        const code = await deployDemo(call, session);
        if (!call.options.exit && code !== exitCodes.detached) {
          if (call.printer.format === 'table') {
            call.printer.lines([
              '',
              `API and its documentation  ${server.url}/docs/api`,
              ...(server.temporalUrl ? [`Runs in Temporal           ${server.temporalUrl}`] : []),
              '',
              `Next, in another terminal:  windlass graph ${demoName} · windlass logs ${demoName}/eks · windlass destroy ${demoName} · windlass init my-shop (your own)`,
              'Ctrl-C stops the server; everything is kept.',
            ]);
          }
          await untilInterrupted(call.io);
          return exitCodes.done;
        }
        return code;
      } finally {
        await session.close();
      }
    },
  });
}

async function deployDemo(call: DemoCall, session: Session): Promise<number> {
  const { printer } = call;
  const example = requireDeployable(join(packageRoot(), 'examples', 'online-shop'));
  const quiet = { options: { createTemplates: false }, printer: { ...printer, remark: () => undefined } };
  const environment = await provideEnvironment({
    call: quiet,
    session,
    name: demoName,
    template: { ...templateOf(example, 'Online shop'), description: 'The example that comes with Windlass' },
  });
  if (printer.format === 'table')
    printer.lines(['', `The example "Online shop": six real stacks, as the environment ${demoName}.`]);
  return startRun({ ...call, options: { detach: false, detachOnApproval: false } }, session, environment, {
    type: 'deploy',
  });
}
