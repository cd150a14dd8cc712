import type { RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { countRequest } from '../metrics/index.ts';
import { newId } from '../model/index.ts';

const requestIds = new WeakMap<Response, string>();

/** The id of a request: the caller's own when it is a plain one, else a new one. */
export function requestIdOf(response: Response): string {
  let id = requestIds.get(response);
  if (!id) {
    id = newId('req');
    requestIds.set(response, id);
  }
  return id;
}

const routes = new WeakMap<Response, string>();

/** Says which route a request has come to, by its pattern: paths hold ids, of which there are too many to count by. */
export function noteRoute(response: Response, pattern: string): void {
  routes.set(response, pattern);
}

/** Gives each request an id and logs and counts its end. Neither headers nor bodies nor query values are logged: they may hold secrets. */
export function logRequests(logger: Logger): RequestHandler {
  return (request, response, next) => {
    const offered = request.get('x-request-id');
    if (offered && /^[\w.-]{1,100}$/.test(offered)) requestIds.set(response, offered);
    const requestId = requestIdOf(response);
    response.set('X-Request-Id', requestId);
    const started = performance.now();
    response.once('close', () => {
      const ms = performance.now() - started;
      if (!String(response.getHeader('content-type')).startsWith('text/event-stream')) {
        const { method } = request;
        countRequest({
          method,
          route: routes.get(response) ?? 'other',
          status: response.statusCode,
          seconds: ms / 1000,
        });
      }
      const line = {
        requestId,
        method: request.method,
        path: request.originalUrl.split('?')[0]?.slice(0, 500),
        status: response.statusCode,
        durationMs: Math.round(ms),
        ...(response.writableFinished ? {} : { cut: true }),
      };
      if (response.statusCode >= 500) logger.error(line, 'request failed');
      else logger.info(line, 'request');
    });
    next();
  };
}
