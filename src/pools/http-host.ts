/** The records of nodes behind the API of a server: what a worker without a database works with. */
import { ApplicationFailure } from '@temporalio/activity';
import { messageOf, WindlassError } from '../model/index.ts';
import type { NodeKey } from '../model/index.ts';
import { nodeKeyOf } from '../node/index.ts';
import type { NodeHost, NodeRecords, WorkerIdentity } from '../node/index.ts';
import { failureSchema, methods, nodeHostPath } from './protocol.ts';
import type { Answered, Method, Sent } from './protocol.ts';

export interface HttpHostOptions {
  /** Address of the server, without a slash at the end. */
  readonly url: string;
  /** Of the pool. */
  readonly token: string;
}

const timeoutMs = 60_000;

export interface HttpHost extends NodeHost {
  /** Says that a worker of the pool starts, lives, or leaves in good order. */
  register(worker: WorkerIdentity & { readonly pid: number }): Promise<void>;
  /** False when the server does not know the worker: it has to register. */
  beat(id: string): Promise<boolean>;
  leave(id: string): Promise<void>;
}

export function createHttpHost({ url, token }: HttpHostOptions): HttpHost {
  async function call<M extends Method>(method: M, input: Sent<M>): Promise<Answered<M>> {
    const response = await ask(`${url}${nodeHostPath}/${method}`, token, input);
    const text = await response.text().catch((error: unknown) => {
      throw away(error);
    });
    if (!response.ok) throw errorOf(response.status, text);
    return methods[method].output.parse(JSON.parse(text)) as Answered<M>;
  }
  return {
    async begin(input, caller) {
      const answer = await call('begin', { input, caller });
      if (answer.status === 'over') return answer;
      return { status: 'begun', begin: answer.begin, records: recordsOf(call, nodeKeyOf(input)) };
    },
    isAway: (error) => error instanceof WindlassError && error.code === 'unavailable',
    register: async ({ id, host, bootId, pid }) => void (await call('registerWorker', { id, host, bootId, pid })),
    beat: async (id) => (await call('beat', { id })).known,
    leave: async (id) => void (await call('stopWorker', { id })),
  };
}

type Call = <M extends Method>(method: M, input: Sent<M>) => Promise<Answered<M>>;

function recordsOf(call: Call, key: NodeKey): NodeRecords {
  const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text, 'base64'));
  return {
    open: ({ mode }) => call('open', { key, mode }),
    enter: async (stage, journal) => void (await call('enter', { key, stage, journal })),
    progress: async (text, keep) => void (await call('progress', { key, text, keep })),
    appendLog: async (attempt, chunks) => void (await call('appendLog', { key, attempt, chunks })),
    stopReason: async () => (await call('stopReason', { key })).reason,
    keep: async (kind, body) => (await call('keep', { key, kind, body: Buffer.from(body).toString('base64') })).id,
    async approved() {
      const { approved } = await call('approved', { key });
      return approved && { plan: bytesOf(approved.plan), exported: bytesOf(approved.exported) };
    },
    bounds: (question) => call('bounds', { key, ...question }),
    ask: (question) => call('ask', { key, ...question }),
    end: async (ending) => void (await call('end', { key, ending })),
    succeed: (success) => call('succeed', { key, ...success }),
    foundDrift: async (drift) => void (await call('foundDrift', { key, ...drift })),
    backOff: async (error) => (await call('backOff', { key, error })).pace,
    workerSigns: async (workerId) => (await call('workerSigns', { key, workerId })).signs,
    markUnverified: async (mark) => void (await call('markUnverified', { key, mark })),
    freeLock: async (grantId, because) => (await call('freeLock', { key, grantId, because })).lockId,
  };
}

async function ask(address: string, token: string, input: unknown): Promise<Response> {
  try {
    return await fetch(address, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(input),
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'error',
    });
  } catch (error) {
    throw away(error);
  }
}

/** Passes by itself: the node's call is made again, and adopts the tool that runs meanwhile. */
function away(error: unknown): WindlassError {
  return new WindlassError('unavailable', `the server cannot be reached: ${messageOf(error)}`, { cause: error });
}

function errorOf(status: number, text: string): Error {
  const parsed = failureSchema.safeParse(safeJson(text));
  if (!parsed.success) {
    const reason = `it answered ${status} ${text.slice(0, 300)}`.trim();
    // As whatever stands in front of a server says it when that is not there.
    if (status >= 500) return away(new Error(reason));
    return new WindlassError('internal', `the server does not understand this worker: ${reason}`, {
      hint: 'a worker has to be of the same version as its server, and reach it without anything that answers for it',
    });
  }
  const { code, message, ...rest } = parsed.data;
  return code === 'refused'
    ? ApplicationFailure.nonRetryable(message, 'refused')
    : new WindlassError(code, message, rest);
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
