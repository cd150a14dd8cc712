/** The server's side of runner pools: a pool's token opens the records of the nodes that it is given, and nothing else. */
import { ApplicationFailure } from '@temporalio/activity';
import express from 'express';
import type { ErrorRequestHandler, Request, RequestHandler, Response, Router } from 'express';
import { errorCodes, WindlassError } from '../model/index.ts';
import type { NodeKey } from '../model/index.ts';
import type { NodeHost, NodeRecords } from '../node/index.ts';
import { isMethod, largestBodyBytes, methods, refusedStatus } from './protocol.ts';
import type { Answered, Failure, Method, Received } from './protocol.ts';

/** What a server does for the workers of a pool. */
export interface PoolAccess {
  /** The pool's name. Throws `unauthenticated`. */
  authenticate(token: string, from: string): Promise<string>;
  readonly host: NodeHost;
  /** The records of a node that the pool runs. Throws `notFound` for any other. */
  records(pool: string, key: NodeKey): Promise<NodeRecords>;
  registerWorker(pool: string, worker: Received<'registerWorker'>): Promise<void>;
  /** False when it is not known as a worker of the pool. */
  beat(pool: string, id: string): Promise<boolean>;
  stopWorker(pool: string, id: string): Promise<void>;
  /** Whether a node is to be run by the pool, in a run that is open. */
  isOf(pool: string, key: NodeKey): Promise<boolean>;
}

type Handlers = { readonly [M in Method]: (pool: string, input: Received<M>) => Promise<Answered<M>> };

function handlersOf(access: PoolAccess): Handlers {
  /** Does something to the records of a node, if it is one of the pool. */
  const ofNode =
    <I extends { readonly key: NodeKey }, O>(work: (records: NodeRecords, input: I) => Promise<O>) =>
    async (pool: string, input: I): Promise<O> =>
      work(await access.records(pool, input.key), input);
  const done = async (work: Promise<unknown>): Promise<Record<string, never>> => {
    await work;
    return {};
  };
  return {
    registerWorker: (pool, worker) => done(access.registerWorker(pool, worker)),
    beat: async (pool, { id }) => ({ known: await access.beat(pool, id) }),
    stopWorker: (pool, { id }) => done(access.stopWorker(pool, id)),
    async begin(pool, { input, caller }) {
      const { deploymentId, index, compensation = false } = input;
      if (!(await access.isOf(pool, { deploymentId, index, compensation })))
        throw ApplicationFailure.nonRetryable(`"${input.alias}" is not run by the pool ${pool}`, 'refused');
      const begun = await access.host.begin(input, caller);
      return begun.status === 'over' ? begun : { status: 'begun', begin: begun.begin };
    },
    open: ofNode((records, { mode }) => records.open({ mode })),
    enter: ofNode((records, { stage, journal }) => done(records.enter(stage, journal))),
    progress: ofNode((records, { text, keep }) => done(records.progress(text, keep))),
    appendLog: ofNode((records, { attempt, chunks }) => done(records.appendLog(attempt, chunks))),
    stopReason: ofNode(async (records) => ({ reason: await records.stopReason() })),
    keep: ofNode(async (records, { kind, body }) => ({ id: await records.keep(kind, Buffer.from(body, 'base64')) })),
    approved: ofNode(async (records) => {
      const approved = await records.approved();
      const text = (body: Uint8Array | null): string | null => body && Buffer.from(body).toString('base64');
      return { approved: approved && { plan: text(approved.plan), exported: text(approved.exported) } };
    }),
    bounds: ofNode((records, { plan, flowAsks }) => records.bounds({ plan, flowAsks })),
    ask: ofNode((records, { because, plan, planArtifact }) => records.ask({ because, plan, planArtifact })),
    end: ofNode((records, { ending }) => done(records.end(ending))),
    succeed: ofNode((records, success) => records.succeed(withoutKey(success))),
    foundDrift: ofNode((records, drift) => done(records.foundDrift(withoutKey(drift)))),
    backOff: ofNode(async (records, { error }) => ({ pace: await records.backOff(error) })),
    workerSigns: ofNode(async (records, { workerId }) => ({ signs: await records.workerSigns(workerId) })),
    markUnverified: ofNode((records, { mark }) => done(records.markUnverified(mark))),
    freeLock: ofNode(async (records, { grantId, because }) => ({ lockId: await records.freeLock(grantId, because) })),
  };
}

function withoutKey<T extends { readonly key: NodeKey }>(input: T): Omit<T, 'key'> {
  const { key: _key, ...rest } = input;
  return rest;
}

export interface NodeHostRouterOptions {
  /** Told what nobody foresaw; the worker hears only that it happened. */
  readonly onError: (error: unknown) => void;
}

/** The methods of the protocol. Their errors are answered here, as workers read them. */
export function nodeHostRouter(access: PoolAccess, { onError }: NodeHostRouterOptions): Router {
  const handlers = handlersOf(access);
  const router = express.Router();
  /** Before a byte of the body is read: it may be as large as a plan. */
  const check: RequestHandler<{ method: string }, unknown, unknown, unknown, { pool: string }> = async (
    request,
    response,
    next,
  ) => {
    try {
      response.locals.pool = await access.authenticate(tokenOf(request), request.socket.remoteAddress ?? '');
    } catch (error) {
      // What is still to come of the body is not waited for either.
      response.set('connection', 'close');
      throw error;
    }
    next();
  };
  const read = express.json({ limit: largestBodyBytes, type: () => true });
  router.post('/:method', check, read, async (request, response) => {
    const { method } = request.params;
    if (!isMethod(method)) throw new WindlassError('notFound', `there is no method "${method.slice(0, 100)}" here`);
    await answer(handlers, { pool: response.locals.pool, method, body: request.body }, response);
  });
  const answerFailure: ErrorRequestHandler = (thrown: unknown, _request, response, _next) => {
    const failure = failureOf(thrown);
    if (failure.code === 'internal') onError(thrown);
    response.status(failure.code === 'refused' ? refusedStatus : errorCodes[failure.code].status).json(failure);
  };
  router.use(answerFailure);
  return router;
}

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof ApplicationFailure && thrown.type === 'refused')
    return { code: 'refused', message: thrown.message, class: 'internal' };
  const { code, message, class: errorClass, hint, problems } = toWindlassError(thrown);
  return { code, message, class: errorClass, hint, ...(problems === undefined ? {} : { problems: [...problems] }) };
}

function toWindlassError(thrown: unknown): WindlassError {
  if (thrown instanceof WindlassError) return thrown;
  // As the reader of bodies throws: the sender's fault.
  if (thrown instanceof Error && 'status' in thrown && typeof thrown.status === 'number' && thrown.status < 500)
    return new WindlassError(thrown.status === 413 ? 'tooLarge' : 'invalidInput', `the body: ${thrown.message}`);
  return new WindlassError('internal', 'the server failed for a reason of its own', { hint: 'its log says which' });
}

interface HostCall<M extends Method> {
  readonly pool: string;
  readonly method: M;
  readonly body: unknown;
}

async function answer<M extends Method>(
  handlers: Handlers,
  { pool, method, body }: HostCall<M>,
  response: Response,
): Promise<void> {
  const parsed = methods[method].input.safeParse(body);
  if (!parsed.success)
    throw new WindlassError('invalidInput', `${method}: ${parsed.error.issues[0]?.message ?? 'is not valid'}`, {
      problems: parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message })),
      hint: 'a worker has to be of the same version as its server',
    });
  response.json(await handlers[method](pool, parsed.data as Received<M>));
}

function tokenOf(request: Pick<Request, 'headers'>): string {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ', 2);
  if (scheme?.toLowerCase() === 'bearer' && token) return token;
  throw new WindlassError('unauthenticated', 'the token of a runner pool is missing', {
    hint: 'start the worker with WINDLASS_POOL_TOKEN',
  });
}
