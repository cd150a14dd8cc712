import { createHash } from 'node:crypto';
import express from 'express';
import type { NextFunction, Request, Response, Router } from 'express';
import { WindlassError } from '../model/index.ts';
import { maxStateBytes, tooLarge } from './state-file.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, LockInfo, StateLock, StateStore } from './types.ts';

const maxLockBytes = 64 * 1024;

function readBody(limit: number) {
  // no decompression: no tool sends any, and a small body could become a large one
  return express.raw({ type: () => true, limit, inflate: false });
}

function credentials(request: Request): { id: string; token: string } | null {
  const [scheme, value] = (request.headers.authorization ?? '').split(' ', 2);
  if (scheme?.toLowerCase() !== 'basic' || !value) return null;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 1 ? null : { id: text.slice(0, colon), token: text.slice(colon + 1) };
}

function bodyOf(request: Request): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
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

type Handler = (request: Request, response: Response, grant: Grant) => Promise<void>;

function handlers(store: StateStore): Record<string, { readonly limit: number; readonly handle: Handler }> {
  const { protocol } = store;
  return {
    GET: {
      limit: 0,
      async handle(_request, response, grant) {
        const state = await protocol.read(grant);
        if (!state) return void response.status(204).end();
        response.set('Content-Type', 'application/json');
        response.set('Content-MD5', Buffer.from(state.md5, 'hex').toString('base64'));
        response.status(200).end(state.body);
      },
    },
    POST: {
      limit: maxStateBytes,
      async handle(request, response, grant) {
        const lockId = request.query['ID'];
        if (typeof lockId !== 'string' || lockId === '') {
          throw new WindlassError('locked', `the state of ${grant.environmentId} was not saved: no lock was named`, {
            hint: 'Run the tool with locking (without -lock=false).',
            class: 'lock',
          });
        }
        const body = bodyOf(request);
        checkMd5(request, body);
        await protocol.write(grant, lockId, body);
        response.status(200).end();
      },
    },
    DELETE: {
      limit: maxLockBytes,
      async handle(_request, response, grant) {
        await protocol.remove(grant);
        response.status(200).end();
      },
    },
    LOCK: {
      limit: maxLockBytes,
      async handle(request, response, grant) {
        const holder = await protocol.lock(grant, parseLock(bodyOf(request)));
        if (holder) response.status(423).json(shownHolder(holder));
        else response.status(200).end();
      },
    },
    UNLOCK: {
      limit: maxLockBytes,
      async handle(request, response, grant) {
        const body = bodyOf(request);
        // force-unlock of some versions names no lock
        await protocol.unlock(grant, body.length === 0 ? null : parseLock(body).ID);
        response.status(200).end();
      },
    },
  };
}

function toError(thrown: unknown): WindlassError {
  if (thrown instanceof WindlassError) return thrown;
  if (typeof thrown === 'object' && thrown !== null && 'type' in thrown) {
    if (thrown.type === 'entity.too.large') return tooLarge();
    if (thrown.type === 'encoding.unsupported')
      return new WindlassError('invalidInput', 'compressed bodies are not taken');
    if (thrown.type === 'request.aborted')
      return new WindlassError('invalidInput', 'the request ended before its body was complete');
  }
  return new WindlassError('internal', 'something went wrong inside Windlass; the state may not be saved', {
    hint: 'Look at the log of the Windlass server.',
    cause: thrown,
  });
}

export interface StateRouterOptions {
  /** Hears of failures that are not the caller's: the answer says little about them. */
  readonly onError?: (error: WindlassError) => void;
}

/**
 * The Terraform and OpenTofu HTTP backend at `/<environmentId>`; mount it at `/state`, before body parsers.
 * Basic authentication with a grant's id and token. Errors are plain text, which the tools print.
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
    if (verb.limit > 0) {
      await new Promise<void>((resolve, reject) => {
        readBody(verb.limit)(request, response, (thrown?: unknown) =>
          thrown === undefined ? resolve() : reject(thrown),
        );
      });
    }
    await verb.handle(request, response, grant);
  }

  router.all('/:environmentId', (request: Request, response: Response, next: NextFunction) => {
    serve(request, response).catch((thrown: unknown) => {
      const error = toError(thrown);
      if (error.code === 'unavailable' || error.code === 'internal') options.onError?.(error);
      if (response.headersSent) return next(error);
      response
        .status(error.status)
        .type('text/plain')
        .send(`${error.message}\n${error.hint ? `${error.hint}\n` : ''}`);
    });
  });
  return router;
}
