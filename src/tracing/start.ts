import { setSpanSink } from './spans.ts';

/**
 * Begins to send spans when the environment names a receiver (`OTEL_EXPORTER_OTLP_ENDPOINT`); answers how to stop. Without
 * one nothing of OpenTelemetry is loaded.
 */
export async function startTracing(
  environment: Readonly<Record<string, string | undefined>>,
  service: { readonly name: string; readonly version: string },
): Promise<() => Promise<void>> {
  const named = environment['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  if (!named?.trim() || environment['OTEL_SDK_DISABLED'] === 'true') return () => Promise.resolve();
  const { createOtlpSink } = await import('./otlp.ts');
  const sink = createOtlpSink(service);
  setSpanSink(sink);
  return async () => {
    setSpanSink(null);
    await sink.stop();
  };
}
