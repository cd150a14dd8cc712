import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash, randomBytes } from 'node:crypto';

/** Where a span belongs: what crosses processes as `traceparent` (W3C Trace Context). */
export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** A span that is over. */
export interface EndedSpan extends SpanContext {
  readonly name: string;
  readonly kind: 'server' | 'internal';
  readonly parentSpanId: string | null;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  /** Why it failed; null when it did not. */
  readonly error: string | null;
}

/** What takes spans away. */
export interface SpanSink {
  take(span: EndedSpan): void;
  /** Sends what is left. */
  stop(): Promise<void>;
}

let sink: SpanSink | null = null;
const current = new AsyncLocalStorage<SpanContext>();

/** Null switches tracing off: then a span costs one comparison. */
export function setSpanSink(next: SpanSink | null): void {
  sink = next;
}

export function isTracing(): boolean {
  return sink !== null;
}

const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/;

/** Null when it is none, which costs a trace its beginning and nothing else. */
export function parseTraceparent(text: string | null | undefined): SpanContext | null {
  const [, traceId = '', spanId = ''] = traceparentPattern.exec(text ?? '') ?? [];
  return /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) ? { traceId, spanId } : null;
}

const format = ({ traceId, spanId }: SpanContext): string => `00-${traceId}-${spanId}-01`;

/** The open span as `traceparent`; null outside of one. */
export function currentTraceparent(): string | null {
  const span = sink === null ? undefined : current.getStore();
  return span === undefined ? null : format(span);
}

/** What to add to an open span before it ends. */
export interface OpenSpan {
  set(attributes: Attributes): void;
  fail(why: string): void;
}

const noSpan: OpenSpan = { set: () => undefined, fail: () => undefined };

export interface SpanOptions {
  readonly kind?: EndedSpan['kind'];
  readonly attributes?: Attributes;
  /** The span it belongs to when that is not open here; null begins a trace. */
  readonly parent?: SpanContext | null;
}

const newId = (bytes: number): string => randomBytes(bytes).toString('hex');

/** Does work inside a span. An error ends the span as failed with the error's name: its text may hold what is not for traces. */
export async function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: OpenSpan) => T | Promise<T>,
): Promise<T> {
  const taker = sink;
  if (taker === null) return work(noSpan);
  const parent = options.parent === undefined ? (current.getStore() ?? null) : options.parent;
  const own: SpanContext = { traceId: parent?.traceId ?? newId(16), spanId: newId(8) };
  let attributes: Attributes = options.attributes ?? {};
  let error: string | null = null;
  const open: OpenSpan = {
    set: (more) => {
      attributes = { ...attributes, ...more };
    },
    fail: (why) => {
      error = why;
    },
  };
  const startMs = Date.now();
  try {
    return await current.run(own, async () => work(open));
  } catch (thrown) {
    error ??= thrown instanceof Error ? thrown.name : 'error';
    throw thrown;
  } finally {
    const { kind = 'internal' } = options;
    taker.take({
      ...own,
      name,
      kind,
      parentSpanId: parent?.spanId ?? null,
      startMs,
      endMs: Date.now(),
      attributes,
      error,
    });
  }
}

const derived = (what: string, bytes: number): string =>
  createHash('sha256')
    .update(what)
    .digest('hex')
    .slice(0, bytes * 2);

/**
 * The span of a run. It is begun by one process and ended by another, maybe days later, so nobody holds it open: its id
 * follows from the run's. `traceparent` is that of the request; a run that nobody requested has a trace of its own.
 */
export function runSpan(
  deploymentId: string,
  traceparent: string | null,
): SpanContext & { parent: SpanContext | null } {
  const parent = parseTraceparent(traceparent);
  return {
    traceId: parent?.traceId ?? derived(`trace ${deploymentId}`, 16),
    spanId: derived(`span ${deploymentId}`, 8),
    parent,
  };
}

/** Tells the span of a run that has ended. */
export function endRunSpan(run: {
  readonly deploymentId: string;
  readonly traceparent: string | null;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly error: string | null;
}): void {
  const { deploymentId, traceparent, ...rest } = run;
  const { parent, ...own } = runSpan(deploymentId, traceparent);
  sink?.take({ ...own, ...rest, name: 'deployment', kind: 'internal', parentSpanId: parent?.spanId ?? null });
}
