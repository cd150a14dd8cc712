import { writeFileSync } from 'node:fs';
import type { Counts } from './actions.ts';
import type { Kill } from './monkey.ts';
import type { RunReport } from './one-run.ts';

export interface SeriesReport {
  readonly seed: number;
  readonly parallel: number;
  readonly seconds: number;
  readonly reports: readonly RunReport[];
  /** All of the series, also those between two runs. */
  readonly kills: readonly Kill[];
  readonly counts: Counts;
  readonly endedAlone: readonly string[];
  /** What was still there when everything was over. */
  readonly leftOver: readonly string[];
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)));
}

const listed = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([word, count]) => `${word} ${count}`)
    .join(', ') || 'none';

/** One line, and the whole story when something was violated. */
export function runLines(seed: number, report: RunReport): string[] {
  const { run, nodes, kills, seconds, violations, story, endings } = report;
  const verdict = violations.length === 0 ? 'ok' : `${violations.length} VIOLATIONS`;
  const line = `run ${run}: ${verdict}; ${nodes} nodes; ${endings.length} deployments; killed ${listed(tally(kills.map(({ kind }) => kind)))}; ${seconds.toFixed(1)} s`;
  if (violations.length === 0) return [line];
  return [
    line,
    ...story.map((text) => `    ${text}`),
    ...endings.map((text) => `    ${text}`),
    ...violations.map((text) => `  VIOLATION ${text}`),
    `  the same graph and requests again: npm run chaos -- --seed ${seed} --from ${run} --runs 1`,
  ];
}

export function countViolations({ reports, leftOver }: SeriesReport): number {
  return reports.reduce((sum, { violations }) => sum + violations.length, leftOver.length);
}

export function summaryLines(series: SeriesReport): string[] {
  const { seed, parallel, seconds, reports, kills, counts, endedAlone, leftOver } = series;
  const violating = reports.filter(({ violations }) => violations.length > 0);
  const endings = reports.flatMap((report) => report.endings.map((text) => text.replace(/^#\d+ /, '')));
  const amid = kills.filter(({ running }) => running > 0).length;
  return [
    '',
    `seed ${seed}: ${reports.length} runs, ${parallel} at a time, in ${seconds.toFixed(0)} s (${(seconds / Math.max(1, reports.length)).toFixed(1)} s a run)`,
    `killed: ${listed(tally(kills.map(({ kind }) => kind)))}; ${amid} of ${kills.length} while tools ran`,
    `asked (taken): ${Object.entries(counts)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([kind, { asked, taken }]) => `${kind} ${asked} (${taken})`)
      .join(', ')}`,
    `endings: ${listed(tally(endings))}`,
    `runs with violations: ${violating.length}`,
    ...violating.flatMap(({ run, violations }) => violations.map((text) => `  run ${run}: ${text}`)),
    ...leftOver.map((text) => `  in the end: ${text}`),
    ...(endedAlone.length > 0 ? [`parts that ended by themselves: ${endedAlone.length}`] : []),
    ...endedAlone.slice(0, 20).map((text) => `  ${text.replaceAll('\n', '\n    ')}`),
  ];
}

/** Everything as JSON when the name ends in .json, else as it is printed. */
export function writeReport(file: string, series: SeriesReport): void {
  const text = [...series.reports.flatMap((report) => runLines(series.seed, report)), ...summaryLines(series)];
  const violations = countViolations(series);
  writeFileSync(
    file,
    file.endsWith('.json') ? `${JSON.stringify({ violations, ...series }, null, 2)}\n` : `${text.join('\n')}\n`,
  );
}
