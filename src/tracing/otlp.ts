import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { HrTime, SpanContext as OtelContext } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { EndedSpan, SpanSink } from './spans.ts';

const time = (ms: number): HrTime => [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];

const context = (traceId: string, spanId: string): OtelContext => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });

function toReadable(span: EndedSpan, resource: ReadableSpan['resource'], version: string): ReadableSpan {
  const { traceId, spanId, parentSpanId, startMs, endMs, error } = span;
  return {
    name: span.name,
    kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.INTERNAL,
    spanContext: () => context(traceId, spanId),
    ...(parentSpanId === null ? {} : { parentSpanContext: context(traceId, parentSpanId) }),
    startTime: time(startMs),
    endTime: time(endMs),
    duration: time(Math.max(0, endMs - startMs)),
    status: error === null ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
    attributes: { ...span.attributes },
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: 'windlass', version },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Sends spans in batches over OTLP/HTTP. The exporter reads its own `OTEL_EXPORTER_OTLP_…` variables. */
export function createOtlpSink(service: { readonly name: string; readonly version: string }): SpanSink {
  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': service.name, 'service.version': service.version }))
    .merge(detectResources({ detectors: [envDetector] }));
  const processor = new BatchSpanProcessor(new OTLPTraceExporter());
  return {
    take: (span) => processor.onEnd(toReadable(span, resource, service.version)),
    stop: () => processor.shutdown(),
  };
}
