export { currentTraceparent, endRunSpan, inSpan, isTracing, parseTraceparent, runSpan } from './spans.ts';
export type { OpenSpan, SpanContext } from './spans.ts';
export { startTracing } from './start.ts';
