import { basename } from 'node:path';
import { currentTraceparent, inSpan } from '../tracing/index.ts';
import type { OpenSpan } from '../tracing/index.ts';
import { adopt as adoptProcess, launch as launchProcess } from './launch.ts';
import type { LaunchOptions, ProcessEnd, WatchOptions } from './launch.ts';

function describe(span: OpenSpan, end: ProcessEnd): ProcessEnd {
  if (end.code !== null) span.set({ 'process.exit.code': end.code });
  if (end.stopped !== null) span.set({ 'windlass.stopped': end.stopped });
  // OpenTofu answers 2 when a plan has changes.
  if (end.code === null || (end.code !== 0 && end.code !== 2)) span.fail(end.stopped ?? `exit code ${end.code}`);
  return end;
}

/** As `launch`, inside a span that the tool can continue: it finds it in `TRACEPARENT`. Arguments may hold secrets and are not told. */
export function launch(options: LaunchOptions): Promise<ProcessEnd> {
  const program = basename(options.argv[0] ?? '');
  const command = options.argv[1];
  const name = command !== undefined && /^[a-z]+$/.test(command) ? `${program} ${command}` : program;
  return inSpan(name, { attributes: { 'process.executable.name': program } }, async (span) => {
    const traceparent = currentTraceparent();
    const env = traceparent === null ? options.env : { ...options.env, TRACEPARENT: traceparent };
    return describe(span, await launchProcess({ ...options, env }));
  });
}

/** As `adopt`, inside a span. */
export function adopt(options: WatchOptions): Promise<ProcessEnd> {
  return inSpan('adopted tool', { attributes: {} }, async (span) => describe(span, await adoptProcess(options)));
}
