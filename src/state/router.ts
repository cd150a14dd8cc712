import { createHash } from 'node:crypto';
import express from 'express';
import type { NextFunction, Request, Response, Router } from 'express';
import { WindlassError } from '../model/index.ts';
import { maxStateBytes } from './state-file.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, LockInfo, StateLock, StateStore } from './types.ts';

const maxLockBytes = 64 * 1024;

/** Reads no more than the limit, whatever the sender does; nothing is decompressed, since a small body could become a large one. */
async function readBody(request: Request, limit: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity')
    throw new WindlassError('invalidInput', `bodies in ${encoding.slice(0, 50)} are not taken`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > limit) throw tooLarge(limit);
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}

function tooLarge(limit: number): WindlassError {
  return new WindlassError(
    'tooLarge',
    `the body is larger than ${limit / 1024 ** 2 >= 1 ? `${limit / 1024 ** 2} MiB` : `${limit / 1024} KiB`}; nothing was saved`,
    {
      hint: 'Split the stack, or move large values out of its resources.',
    },
  );
}

function credentials(request: Request): { id: string; token: string } | null {
  const [scheme, value] = (request.headers.authorization ?? '').split(' ', 2);
  if (scheme?.toLowerCase() !== 'basic' || !value) return null;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 1 ? null : { id: text.slice(0, colon), token: text.slice(colon + 1) };
}

function checkMd5(request: Request, body: Buffer): void {
  const claimed = request.headers['content-md5'];
  if (claimed === undefined) return;
  if (createHash('md5').update(body).digest('base64') === claimed) return;
  throw new WindlassError('invalidInput', 'the state was damaged on its way: its MD5 is not what was announced', {
    hint: 'Send it again.',
  });
}

function parseLock(body: Buffer): LockInfo {
  try {
    return lockInfoSchema.parse(JSON.parse(body.toString('utf8')));
  } catch {
    throw new WindlassError(
      'invalidInput',
      'the lock is not described as the HTTP backend does it: an object with an ID',
      {
        hint: 'Only the tool itself should use this address.',
      },
    );
  }
}

/** Tells people who read the tool's message where the holder is to be found. */
function shownHolder(lock: StateLock): LockInfo {
  const run = lock.deploymentId === null ? '' : `Windlass deployment ${lock.deploymentId}`;
  return { ...lock.info, Info: lock.info.Info || run };
}

interface Call {
  readonly request: Request;
  readonly response: Response;
  readonly grant: Grant;
  readonly body: Buffer;
}

type Handler = (call: Call) => Promise<void>;

function handlers(store: StateStore): Record<string, { readonly limit: number; readonly handle: Handler }> {
  const { protocol } = store;
  return {
    GET: {
      limit: 0,
      async handle({ response, grant }) {
        const state = await protocol.read(grant);
        if (!state) return void response.status(204).end();
        response.set('Content-Type', 'application/json');
        response.set('Content-MD5', Buffer.from(state.md5, 'hex').toString('base64'));
        response.status(200).end(state.body);
      },
    },
    POST: {
      limit: maxStateBytes,
      async handle({ request, response, grant, body }) {
        const lockId = request.query['ID'];
        if (typeof lockId !== 'string' || lockId === '') {
          throw new WindlassError('locked', `the state of ${grant.environmentId} was not saved: no lock was named`, {
            hint: 'Run the tool with locking (without -lock=false).',
            class: 'lock',
          });
        }
        checkMd5(request, body);
        await protocol.write(grant, lockId, body);
        response.status(200).end();
      },
    },
    DELETE: {
      limit: maxLockBytes,
      async handle({ response, grant }) {
        await protocol.remove(grant);
        response.status(200).end();
      },
    },
    LOCK: {
      limit: maxLockBytes,
      async handle({ response, grant, body }) {
        const holder = await protocol.lock(grant, parseLock(body));
        if (holder) response.status(423).json(shownHolder(holder));
        else response.status(200).end();
      },
    },
    UNLOCK: {
      limit: maxLockBytes,
      async handle({ response, grant, body }) {
        // force-unlock of some versions names no lock
        await protocol.unlock(grant, body.length === 0 ? null : parseLock(body).ID);
        response.status(200).end();
      },
    },
  };
}

function toError(thrown: unknown): WindlassError {
  if (thrown instanceof WindlassError) return thrown;
  return new WindlassError('internal', 'something went wrong inside Windlass; the state may not be saved', {
    hint: 'Look at the log of the Windlass server.',
    cause: thrown,
  });
}

export interface StateRouterOptions {
  /** Hears of every refusal and failure: the tools print only the number of the answer. */
  readonly onError?: (error: WindlassError, environmentId: string, grantId: string | null) => void;
}

/**
 * The Terraform and OpenTofu HTTP backend at `/<environmentId>`; mount it at `/state`, before body parsers.
 * Basic authentication with a grant's id and token. Errors are plain text.
 */
export function stateRouter(store: StateStore, options: StateRouterOptions = {}): Router {
  const router = express.Router();
  const verbs = handlers(store);

  async function serve(request: Request, response: Response): Promise<void> {
    response.set('Cache-Control', 'no-store');
    const verb = verbs[request.method];
    if (!verb) {
      response.set('Allow', Object.keys(verbs).join(', '));
      return void response
        .status(405)
        .type('text/plain')
        .send('only GET, POST, DELETE, LOCK and UNLOCK are spoken here\n');
    }
    const { environmentId } = request.params;
    const given = credentials(request);
    // before the body is read: nobody unknown makes us hold 64 MiB
    const grant =
      given && typeof environmentId === 'string'
        ? await store.protocol.authenticate(environmentId, given.id, given.token)
        : null;
    if (!grant) {
      response.set('WWW-Authenticate', 'Basic realm="windlass state"');
      return void response
        .status(401)
        .type('text/plain')
        .send('no access to this state: Windlass gives each call of a tool its own user name and password\n');
    }
    const body = verb.limit > 0 ? await readBody(request, verb.limit) : Buffer.alloc(0);
    await verb.handle({ request, response, grant, body });
  }

  router.all('/:environmentId', (request: Request, response: Response, next: NextFunction) => {
    serve(request, response).catch((thrown: unknown) => {
      const error = toError(thrown);
      const { environmentId } = request.params;
      options.onError?.(
        error,
        typeof environmentId === 'string' ? environmentId : '',
        credentials(request)?.id ?? null,
      );
      if (response.headersSent) return next(error);
      // the rest of a refused body is not waited for
      if (!request.complete) response.set('Connection', 'close').once('finish', () => request.destroy());
      response
        .status(error.status)
        .type('text/plain')
        .send(`${error.message}\n${error.hint ? `${error.hint}\n` : ''}`);
    });
  });
  return router;
}
