export { countNode, countRequest, countRun, countTakeover } from './instruments.ts';
export { exposition, expositionType } from './exposition.ts';
export type { MetricSources, PoolState, RecordCounts } from './exposition.ts';
export { carriesToken, serveMetrics } from './server.ts';
export type { MetricsServer } from './server.ts';
