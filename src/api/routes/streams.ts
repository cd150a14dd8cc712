import type { Request, Response } from 'express';
import type { Deployment, DeploymentStatus, Event, LogChunk, NodeRun } from '../../model/index.ts';
import { isTerminalDeployment, WindlassError } from '../../model/index.ts';
import { isMeant } from '../../definition/index.ts';
import { getDeployment, getEnvironment, latestEventId, listNodeRuns, readEvents, readLog } from '../../store/index.ts';
import { eventId } from '../../contract/index.ts';
import type { Contract } from '../../contract/index.ts';
import { HttpProblem } from '../problems.ts';
import type { CallOf, HandlersOf } from '../route.ts';
import { followTable, openStream } from '../sse.ts';
import type { SseStream } from '../sse.ts';
import type { Waker } from '../waker.ts';
import type { Growth, Progress } from '../announcements.ts';
import type { RouteDeps } from './shared.ts';

type EventCall = CallOf<Contract['deployments' | 'environments']['events']>;
type LogCall = CallOf<Contract['deployments']['logs']>;

const pageSize = 500;

type Media = 'stream' | 'json' | 'text';
const mediaTypes: Readonly<Record<Media, string>> = {
  stream: 'text/event-stream',
  json: 'application/json',
  text: 'text/plain',
};

/** What the client wants most of what there is; the first when it does not care. */
function chooseMedia(request: Request, offered: readonly Media[]): Media {
  const best = request.accepts(offered.map((media) => mediaTypes[media]));
  const chosen = offered.find((media) => mediaTypes[media] === best);
  if (chosen !== undefined) return chosen;
  throw new HttpProblem(
    406,
    'notAcceptable',
    `This is available as ${offered.map((media) => mediaTypes[media]).join(', ')}`,
  );
}

/** Where a stream goes on: the header wins, since a browser that comes back repeats the address of its first call. */
function resumeAfter(request: Request, query: { after?: number | undefined }): number | undefined {
  const header = request.get('last-event-id');
  if (header === undefined || header === '') return query.after;
  const parsed = eventId.safeParse(header);
  if (parsed.success && /^\d+$/.test(header)) return parsed.data;
  throw new WindlassError('invalidInput', 'Last-Event-ID is the id of an event of this stream, a whole number', {
    problems: [{ path: 'header.Last-Event-ID', message: 'is not a whole number' }],
  });
}

function sendPage<T extends { id: number }>(response: Response, items: readonly T[], asked: number): void {
  const full = items.length >= asked;
  response.status(200).json({ items, next: full ? String(items.at(-1)?.id ?? '') : null });
}

/** Wakes for announcements that are about this run or environment, and for those that say nothing. */
function subscribeTo(
  waker: Waker<Growth>,
  about: { deploymentId: string } | { environmentId: string },
): (wake: () => void) => () => void {
  const fits = (growth: Growth): boolean =>
    'deploymentId' in about ? growth.deploymentId === about.deploymentId : growth.environmentId === about.environmentId;
  return (wake) => waker.subscribe((growth) => (growth === null || fits(growth) ? wake() : undefined));
}

/** How far tools are is told and not kept: it goes straight to who listens, and is lost on who is slow. */
function forwardProgress(waker: Waker<Progress>, deploymentId: string, stream: SseStream): () => void {
  let busy = false;
  return waker.subscribe((announced) => {
    if (announced?.deploymentId !== deploymentId || busy) return;
    busy = true;
    const { index, alias, progress } = announced;
    void stream.send({ event: 'progress', data: { index, alias, progress } }).finally(() => {
      busy = false;
    });
  });
}

const newestEvent = ({ db, shared }: RouteDeps): Promise<number> =>
  shared.read('newest event', () => latestEventId(db.sql));

async function streamDeployment(deps: RouteDeps, call: EventCall, deployment: Deployment): Promise<void> {
  const { db, announcements, shared } = deps;
  const { id, temporalUrl } = deployment;
  const resume = resumeAfter(call.request, call.query);
  const from = resume ?? (await newestEvent(deps));
  const snapshot = (): Promise<{ deployment: Deployment; nodes: NodeRun[] }> =>
    shared.read(`snapshot ${id}`, async () => ({
      deployment: { ...(await getDeployment(db.sql, id)), temporalUrl },
      nodes: await listNodeRuns(db.sql, id),
    }));
  const status = async (): Promise<DeploymentStatus> =>
    (await shared.read(`deployment ${id}`, () => getDeployment(db.sql, id))).status;
  // Read before the stream begins, so that a failure is a problem and not a broken stream.
  const first = await snapshot();
  const stream = openStream(call.response, call.gone);
  await stream.send({ id: from, event: 'snapshot', data: first });
  const stopProgress = forwardProgress(announcements.progress, id, stream);
  let last = from;
  try {
    last = await followTable<Event>({
      stream,
      gone: call.gone,
      after: from,
      read: (seen) =>
        shared.read(`events ${id} ${seen}`, () =>
          readEvents(db.sql, { deploymentId: id, afterId: seen, limit: pageSize }),
        ),
      idOf: (event) => event.id,
      toEvent: (event) => ({ id: event.id, event: event.type, data: event }),
      subscribe: subscribeTo(announcements.events, { deploymentId: id }),
      mayEnd: (event) => event.type === 'deployment.status',
      isOver: async () => isTerminalDeployment(await status()),
      // A run that begins or turns back has nodes that were not in the snapshot before.
      afterItem: async (event) => {
        if (event.type !== 'deployment.status') return;
        await stream.send({ id: event.id, event: 'snapshot', data: await snapshot() });
      },
    });
    if (stream.open) await stream.send({ id: last, event: 'end', data: { status: await status() } });
  } finally {
    stopProgress();
    stream.end();
  }
}

async function streamEnvironment(
  deps: RouteDeps,
  call: EventCall,
  environmentId: string,
  rootId: string,
): Promise<void> {
  const { db, announcements, shared } = deps;
  const resume = resumeAfter(call.request, call.query);
  const from = resume ?? (await newestEvent(deps));
  const environment = await shared.read(`environment ${environmentId}`, () => getEnvironment(db.sql, environmentId));
  const stream = openStream(call.response, call.gone);
  await stream.send({ id: from, event: 'snapshot', data: { environment } });
  try {
    await followTable<Event>({
      stream,
      gone: call.gone,
      after: from,
      read: (seen) =>
        shared.read(`events ${environmentId} ${seen}`, () =>
          readEvents(db.sql, { environmentId, afterId: seen, limit: pageSize }),
        ),
      idOf: (event) => event.id,
      toEvent: (event) => ({ id: event.id, event: event.type, data: event }),
      subscribe: subscribeTo(announcements.events, { environmentId: rootId }),
      mayEnd: () => false,
      isOver: () => Promise.resolve(false),
    });
  } finally {
    stream.end();
  }
}

async function streamLogs(deps: RouteDeps, call: LogCall, deployment: Deployment): Promise<void> {
  const { db, announcements, shared } = deps;
  const { id } = deployment;
  const { node, stage } = call.query;
  const from = resumeAfter(call.request, call.query) ?? 0;
  const stream = openStream(call.response, call.gone);
  try {
    const last = await followTable<LogChunk>({
      stream,
      gone: call.gone,
      after: from,
      read: (seen) =>
        shared.read(`log ${JSON.stringify([id, node, stage, seen])}`, () =>
          readLog(db.sql, { deploymentId: id, alias: node, stage, afterId: seen, limit: pageSize }),
        ),
      idOf: (chunk) => chunk.id,
      toEvent: (chunk) => ({ id: chunk.id, event: 'log', data: chunk }),
      subscribe: (wake) => {
        const stops = [
          subscribeTo(announcements.logs, { deploymentId: id })(wake),
          subscribeTo(announcements.events, { deploymentId: id })(wake),
        ];
        return () => stops.forEach((stop) => stop());
      },
      mayEnd: () => false,
      isOver: async () =>
        call.query.follow === false ||
        isTerminalDeployment((await shared.read(`deployment ${id}`, () => getDeployment(db.sql, id))).status),
      alwaysAsk: true,
    });
    if (stream.open) await stream.send({ id: last, event: 'end', data: {} });
  } finally {
    stream.end();
  }
}

/** Everything as plain text, one node after the other in the order in which they began. */
async function writeLogText(deps: RouteDeps, call: LogCall, deployment: Deployment): Promise<void> {
  const { db } = deps;
  const { node, stage } = call.query;
  const { response, gone } = call;
  const runs = (await listNodeRuns(db.sql, deployment.id)).filter((run) => node === undefined || isMeant(run, node));
  const began = runs.toSorted((a, b) => (a.startedAt ?? '~').localeCompare(b.startedAt ?? '~') || a.index - b.index);
  response.status(200).type('text/plain; charset=utf-8').set('Cache-Control', 'no-store');
  for (const run of began) {
    let seen = call.query.after ?? 0;
    let title: string | null =
      node !== run.alias || run.compensation ? `== ${run.alias}${run.compensation ? ' (taken back)' : ''}\n` : null;
    for (;;) {
      const chunks = await readLog(db.sql, {
        deploymentId: deployment.id,
        alias: run.alias,
        compensation: run.compensation,
        stage,
        afterId: seen,
        limit: pageSize,
      });
      if (chunks.length === 0 || gone.aborted) break;
      const text = (title ?? '') + chunks.map((chunk) => chunk.text).join('');
      title = null;
      seen = chunks.at(-1)?.id ?? seen;
      if (!response.write(text))
        await new Promise<void>((resolve) => response.once('drain', resolve).once('close', resolve));
    }
  }
  response.end();
}

export function deploymentEvents(deps: RouteDeps): HandlersOf<'deployments'>['events'] {
  const { operations, db, shared } = deps;
  return async (call) => {
    const media = chooseMedia(call.request, ['stream', 'json']);
    const deployment = await shared.readAlone(() =>
      operations.getDeployment({ actor: call.caller, ref: call.params.ref }),
    );
    if (media === 'stream') return streamDeployment(deps, call, deployment);
    const asked = call.query.limit ?? 200;
    const afterId = call.query.cursor ?? call.query.after ?? 0;
    return sendPage(
      call.response,
      await readEvents(db.sql, { deploymentId: deployment.id, afterId, limit: asked }),
      asked,
    );
  };
}

export function environmentEvents(deps: RouteDeps): HandlersOf<'environments'>['events'] {
  const { operations, db, shared } = deps;
  return async (call) => {
    const media = chooseMedia(call.request, ['stream', 'json']);
    const environment = await shared.readAlone(() =>
      operations.getEnvironment({ actor: call.caller, ref: call.params.ref }),
    );
    if (media === 'stream')
      return streamEnvironment(deps, call, environment.id, environment.parentId ?? environment.id);
    const asked = call.query.limit ?? 200;
    const afterId = call.query.cursor ?? call.query.after ?? 0;
    return sendPage(
      call.response,
      await readEvents(db.sql, { environmentId: environment.id, afterId, limit: asked }),
      asked,
    );
  };
}

export function deploymentLogs(deps: RouteDeps): HandlersOf<'deployments'>['logs'] {
  const { operations, db, shared } = deps;
  return async (call) => {
    const media = call.query.format === 'text' ? 'text' : chooseMedia(call.request, ['json', 'stream', 'text']);
    const deployment = await shared.readAlone(() =>
      operations.getDeployment({ actor: call.caller, ref: call.params.ref }),
    );
    if (media === 'text') return writeLogText(deps, call, deployment);
    if (media === 'stream') return streamLogs(deps, call, deployment);
    const asked = call.query.limit ?? 200;
    const afterId = call.query.cursor ?? call.query.after ?? 0;
    const { node: alias, stage } = call.query;
    return sendPage(
      call.response,
      await readLog(db.sql, { deploymentId: deployment.id, alias, stage, afterId, limit: asked }),
      asked,
    );
  };
}
