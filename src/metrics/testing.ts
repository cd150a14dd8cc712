import { z } from 'zod';

/** Names of the metrics in a scrape, as a query names them: a histogram has three. */
export function metricsIn(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    if (type === 'histogram') for (const part of ['bucket', 'sum', 'count']) names.add(`${name}_${part}`);
    else names.add(name);
  }
  return names;
}

const dashboardSchema = z.object({
  panels: z.array(z.object({ targets: z.array(z.object({ expr: z.string() })).default([]) })),
});

/** The metrics that the queries of a Grafana dashboard name. */
export function dashboardMetrics(json: string): Set<string> {
  const { panels } = dashboardSchema.parse(JSON.parse(json));
  const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  return new Set(queries.flatMap((query) => query.match(/\b(windlass|temporal|nodejs|process)_\w+/g) ?? []));
}
