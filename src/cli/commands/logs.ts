import { z } from 'zod';
import { collect } from '../../client/index.ts';
import { stages } from '../../model/index.ts';
import type { Deployment, LogChunk, Stage } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError, exitCodes } from '../exit.ts';
import { createLogPrinter } from '../log-printer.ts';
import type { Session } from '../session.ts';
import { shellQuote } from '../text/format.ts';
import { findDeployment, isDeploymentId } from './runs.ts';
import { findPlace } from './shared.ts';

const logsOptions = z.object({
  follow: z.boolean().default(false),
  stage: z.enum(stages).optional(),
  deployment: z.string().optional(),
});
type LogsCall = Invocation<z.output<typeof logsOptions>>;

export function addLogs({ add }: Registry): void {
  add({
    usage: 'logs <environment>',
    summary: 'Print or follow the logs of a run, or of one node in it',
    examples: [
      ['windlass logs shop', 'the last run, node after node'],
      ['windlass logs -f shop/eks', 'follow one node'],
      ['windlass logs shop/db --stage apply', 'one stage of it'],
      ['windlass logs shop --deployment 7', 'an earlier run'],
    ],
    flags: [
      { flags: '-f, --follow', description: 'go on until the run ends' },
      { flags: '--stage <stage>', description: 'only this stage', choices: stages },
      {
        flags: '--deployment <number>',
        description: 'number or id of the run; the current or the last one when absent',
      },
    ],
    options: logsOptions,
    async run(call) {
      const session = await call.connect();
      const { deployment, alias } = await findLogs(call, session);
      const query = { node: alias ?? undefined, stage: call.options.stage };
      return call.options.follow ? follow(call, session, deployment, query) : print(call, session, deployment, query);
    },
  });
}

async function findLogs(
  call: LogsCall,
  { client }: Session,
): Promise<{ deployment: Deployment; alias: string | null }> {
  const reference = call.argument(0);
  if (isDeploymentId(reference)) return { deployment: await findDeployment(client, null, reference), alias: null };
  const { environment, root, alias } = await findPlace(client, reference);
  if (call.options.deployment)
    return { deployment: await findDeployment(client, root, call.options.deployment), alias };
  const id =
    root.currentDeploymentId ??
    (alias === null ? root.lastDeploymentId : (environment.lastDeploymentId ?? root.lastDeploymentId));
  if (id === null) {
    throw new CliError(`"${root.name}" was never run`, {
      exitCode: exitCodes.failed,
      hint: `windlass deploy ${shellQuote(root.name)}`,
    });
  }
  return { deployment: await client.deployments.get({ params: { ref: id } }), alias };
}

type LogQuery = { readonly node: string | undefined; readonly stage: Stage | undefined };

async function print(call: LogsCall, { client }: Session, deployment: Deployment, query: LogQuery): Promise<number> {
  const { printer } = call;
  const { items } = await collect(
    client.deployments.logs,
    { params: { ref: deployment.id }, query },
    { pageSize: 1000 },
  );
  if (printer.format !== 'table') {
    for (const chunk of items) printer.line(JSON.stringify(chunk));
    return exitCodes.done;
  }
  if (items.length === 0) printer.remark(`Deployment ${deployment.number} has no such logs.`);
  const lines = createLogPrinter({ write: printer.line, style: printer.style, prefixed: false });
  for (const chunk of inNodeOrder(items)) lines.add(chunk);
  lines.end();
  return exitCodes.done;
}

/** All of one node before the next, in the order in which nodes began. */
function inNodeOrder(chunks: readonly LogChunk[]): LogChunk[] {
  const groups = new Map<string, LogChunk[]>();
  for (const chunk of chunks) {
    const key = `${chunk.compensation} ${chunk.alias}`;
    const group = groups.get(key);
    if (group) group.push(chunk);
    else groups.set(key, [chunk]);
  }
  return [...groups.values()].flat();
}

async function follow(
  call: LogsCall,
  { client, embedded }: Session,
  deployment: Deployment,
  query: LogQuery,
): Promise<number> {
  const { printer, io } = call;
  const machine = printer.format !== 'table';
  const nodes =
    query.node === undefined
      ? (await collect(client.deployments.nodes, { params: { ref: deployment.id } }, { limit: 2 })).items
      : [];
  const lines = createLogPrinter({ write: printer.line, style: printer.style, prefixed: nodes.length > 1 });
  const abort = new AbortController();
  const stopListening = io.onInterrupt(() => abort.abort());
  try {
    const events = client.deployments.logs.stream(
      { params: { ref: deployment.id }, query: { ...query, follow: true } },
      {
        signal: abort.signal,
        onConnection: (state) =>
          printer.remark(state === 'lost' ? 'the connection to the server is lost, trying again' : 'connected again'),
      },
    );
    for await (const { event, data } of events) {
      if (event === 'end') continue;
      if (machine) printer.line(JSON.stringify(data));
      else lines.add(data);
    }
  } finally {
    stopListening();
    lines.end();
  }
  if (!abort.signal.aborted) return exitCodes.done;
  printer.remark(
    embedded
      ? 'Stopped. The server of this command stops with it.'
      : `Detached. Stop the run itself with:  windlass cancel ${shellQuote(deployment.environmentName)}`,
  );
  return exitCodes.detached;
}
