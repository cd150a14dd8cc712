import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { WindlassError, messageOf } from '../model/index.ts';

/** A machine without the internet must notice it at once and go on to the next way of getting the tool. */
const answerWithinMs = 5_000;
const stalledAfterMs = 30_000;

function unreachable(url: string, error: unknown): WindlassError {
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
  return new WindlassError('unavailable', `cannot reach ${new URL(url).host}: ${cause}`, { cause: error });
}

async function request(url: string, abort: AbortController): Promise<Response> {
  const timer = setTimeout(() => abort.abort(new Error(`no answer within ${answerWithinMs / 1000} s`)), answerWithinMs);
  try {
    const response = await fetch(url, { signal: abort.signal, redirect: 'follow' });
    if (response.ok) return response;
    await response.body?.cancel();
    throw new WindlassError('unavailable', `${new URL(url).host} answered ${response.status} for ${url}`);
  } catch (error) {
    if (error instanceof WindlassError) throw error;
    throw unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
}

/** A small text, such as a list of checksums. */
export async function downloadText(url: string): Promise<string> {
  const abort = new AbortController();
  const response = await request(url, abort);
  const timer = setTimeout(() => abort.abort(new Error('the answer takes too long')), stalledAfterMs);
  try {
    return await response.text();
  } catch (error) {
    throw unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
}

export interface VerifiedDownload {
  readonly url: string;
  readonly file: string;
  readonly sha256: string;
  readonly onBytes: (received: number, total: number | null) => void;
}

/** Stores what the address answers. Throws when it does not have this checksum; then the file must not be used. */
export async function downloadVerified(download: VerifiedDownload): Promise<void> {
  const { url, file, sha256, onBytes } = download;
  const abort = new AbortController();
  const response = await request(url, abort);
  if (!response.body) throw new WindlassError('unavailable', `${url} has no content`);
  const length = Number(response.headers.get('content-length'));
  const hash = createHash('sha256');
  let received = 0;
  let stalled = setTimeout(() => undefined, 0);
  const watch = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      clearTimeout(stalled);
      stalled = setTimeout(() => abort.abort(new Error('the download has stalled')), stalledAfterMs);
      hash.update(chunk);
      received += chunk.length;
      onBytes(received, length > 0 ? length : null);
      done(null, chunk);
    },
  });
  try {
    // The signal again: the one of the request does not reach a body that is read for minutes.
    const { signal } = abort;
    await pipeline(Readable.fromWeb(response.body as ReadableStream), watch, createWriteStream(file), { signal });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    throw unreachable(url, abort.signal.aborted ? abort.signal.reason : error);
  } finally {
    clearTimeout(stalled);
  }
  requireHash(url, hash.digest('hex'), sha256);
}

function requireHash(what: string, found: string, expected: string): void {
  if (found === expected) return;
  throw new WindlassError('unavailable', `${what} has the checksum ${found} instead of ${expected}; it is not used`);
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Throws when the file is not the one it should be. */
export async function verifyFile(file: string, sha256: string): Promise<void> {
  requireHash(file, await sha256Of(file), sha256);
}

export function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
