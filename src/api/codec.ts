import express, { Router } from 'express';
import type { Request, RequestHandler } from 'express';
import { z } from 'zod';
import { requirePermission } from '../access/index.ts';
import type { Principal } from '../access/index.ts';
import type { OpenPayloads, RawPayload } from '../payload-codec.ts';
import { parseJsonBody } from './json-body.ts';
import { HttpProblem, parseInput } from './problems.ts';

/** As the Web UI and the command of Temporal send them: bytes as base64. */
const bodySchema = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), z.base64()).optional(), data: z.base64().optional() }))
    .max(10_000),
});

const bytes = (text: string): Uint8Array => Buffer.from(text, 'base64');
const base64 = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString('base64');

function toRaw({ metadata = {}, data }: z.output<typeof bodySchema>['payloads'][number]): RawPayload {
  const entries = Object.entries(metadata).map(([key, value]) => [key, bytes(value)] as const);
  return { metadata: Object.fromEntries(entries), data: bytes(data ?? '') };
}

function toJson({ metadata, data }: RawPayload): object {
  const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key, base64(value)] as const);
  return { metadata: Object.fromEntries(entries), data: base64(data) };
}

/** Lets pages of one origin, that of Temporal's Web UI, read the answer. */
function allowOrigin(origin: string | null): RequestHandler {
  return (request, response, next) => {
    response.set('Vary', 'Origin');
    if (origin !== null && request.get('origin') === origin) {
      response.set({
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Allow-Credentials': 'true',
        'Access-Control-Allow-Headers': 'authorization, content-type, x-namespace',
        'Access-Control-Allow-Methods': 'POST',
        // An origin of its own, so the default of the other pages would hide it.
        'Cross-Origin-Resource-Policy': 'cross-origin',
      });
    }
    if (request.method === 'OPTIONS') response.status(204).end();
    else next();
  };
}

export interface CodecRouterOptions {
  readonly open: OpenPayloads;
  /** Origin of Temporal's Web UI; null for none. */
  readonly origin: string | null;
  readonly authenticate: (request: Request) => Promise<Principal>;
}

/** `/codec/decode`, as Temporal's Web UI and command ask a codec server. Histories are of all projects. */
export function codecRouter({ open, origin, authenticate }: CodecRouterOptions): Router {
  const router = Router();
  const read = express.text({ type: () => true, limit: '8mb' });
  const check: RequestHandler = async (request, _response, next) => {
    requirePermission(await authenticate(request), 'view');
    next();
  };
  router.use('/codec', allowOrigin(origin));
  router.post('/codec/decode', check, read, async (request, response) => {
    const { payloads } = parseInput(bodySchema, parseJsonBody(String(request.body)), 'body');
    const opened = await open(payloads.map(toRaw)).catch((cause: unknown) => {
      throw new HttpProblem(400, 'invalidInput', 'A payload cannot be opened', {
        hint: cause instanceof Error ? cause.message : 'it was sealed with another key',
      });
    });
    response.set('Cache-Control', 'no-store').json({ payloads: opened.map(toJson) });
  });
  return router;
}
